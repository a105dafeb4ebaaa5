"""Behavior of galleries in every store."""

import os
import subprocess
import sys
import threading
from dataclasses import replace

import numpy as np
import pytest
import synthetic_people
from synthetic_people import CARD, SIZE, faces_of

from gluonfr.apps.gallery.gallery import Gallery, gallery_exists
from gluonfr.apps.gallery.import_export import export_gallery, import_gallery
from gluonfr.apps.gallery.stores.base import Person
from gluonfr.apps.gallery.stores.matrix import Matrix, search_people
from gluonfr.apps.gallery.stores.milvus_server import is_address
from gluonfr.core import Card, GluonFRError

HOSTILE = [
    "'; DROP TABLE people; --",
    '<img src=x onerror="alert(1)">',
    "a\nb\r\tc",
    "x" * 200,
    "张伟 العربية 🙂",
    "../../etc/passwd",
    "%s{0}\\",
    "unknown",
]


def test_enrolled_people_are_identified(open_gallery):
    gallery = open_gallery()
    for person in range(20):
        assert gallery.enroll(f"p{person}", faces_of(person), sources=[f"p{person}/{n}.jpg" for n in range(3)]) == 3
    assert gallery.count() == (20, 60)
    assert gallery.people()[3] == Person("p3", 3)
    threshold = gallery.threshold(similarity=0.7)
    for answer, person in zip(gallery.identify(np.stack([faces_of(p, 4)[3] for p in range(20)]), 3, threshold), range(20)):
        assert answer.name == f"p{person}"
        assert len(answer.matches) == 3
        assert answer.matches[0].source.startswith(f"p{person}/")
    assert all(answer.name is None for answer in gallery.identify(faces_of(99), threshold=threshold))
    # Also after it was closed and opened again.
    gallery.close()
    again = open_gallery()
    assert again.count() == (20, 60)
    assert again.identify(faces_of(7)[0], 1, threshold)[0].name == "p7"


def test_gallery_exists_after_it_was_created(open_gallery, where):
    assert not gallery_exists(where)
    open_gallery()
    assert gallery_exists(where)


def test_search_equals_an_exhaustive_search(open_gallery):
    random = np.random.default_rng(0)
    gallery = open_gallery()
    people, rows, names = {}, [], []
    # A person with very many photos must not hide the others.
    for person, photos in enumerate(random.integers(1, 9, 40).tolist() + [300]):
        embeddings = random.normal(size=(photos, SIZE)).astype(np.float32)
        people[str(person)] = embeddings, None, None
        rows.append(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True))
        names += [str(person)] * photos
    assert gallery.enroll_people(people) == len(names)
    rows, names = np.concatenate(rows).astype(np.float64), np.array(names)
    queries = random.normal(size=(30, SIZE))
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    for query, answer in zip(queries, gallery.identify(queries, 10)):
        best = {name: (rows[names == name] @ query).max() for name in dict.fromkeys(names)}
        expected = sorted(best.items(), key=lambda pair: -pair[1])[:10]
        assert [match.name for match in answer.matches] == [name for name, _ in expected]
        np.testing.assert_allclose([match.similarity for match in answer.matches], [score for _, score in expected], atol=1e-6)
    assert len(gallery.identify(queries[:1], 1000)[0].matches) == 41


def test_enrolled_photos_are_skipped_and_foreign_photos_refused(open_gallery):
    gallery = open_gallery()
    digests = [bytes([n]) * 32 for n in range(3)]
    assert gallery.enroll("a", faces_of(0), digests) == 3
    # Photos are recognized by their digest, because embeddings may differ in the last digit.
    assert gallery.enroll("a", faces_of(1), digests) == 0
    assert gallery.enroll("a", faces_of(0, 5), [*digests, b"x" * 32, b"y" * 32]) == 2
    assert gallery.enroll("b", faces_of(3)) == 3
    assert gallery.enroll("b", faces_of(3)) == 0
    assert gallery.owners([digests[0], b"z" * 32]) == {digests[0]: "a"}
    with pytest.raises(GluonFRError, match="of 'b' is enrolled as 'a'"):
        gallery.enroll_people({"c": (faces_of(5), None, None), "b": (faces_of(4), [b"q" * 32, *digests[:2]], None)})
    # A refused call adds nothing, not even the people before the mistake.
    assert gallery.people() == [Person("a", 5), Person("b", 3)]
    assert not gallery.owners([b"q" * 32])


def test_rename_merge_and_remove(open_gallery, where):
    gallery = open_gallery()
    for person in range(4):
        gallery.enroll(f"p{person}", faces_of(person))
    renamed = gallery.rename("p0", "Ann Lee")
    # Only a file can be erased; the result says so.
    assert renamed.photos == 3
    assert renamed.erased != is_address(where)
    assert bool(renamed.left) != renamed.erased
    assert gallery.merge("p1", "Ann Lee").photos == 3
    assert gallery.remove("p2").photos == 3
    assert gallery.people() == [Person("Ann Lee", 6), Person("p3", 3)]
    given = gallery.threshold(similarity=0.6)
    assert gallery.identify(faces_of(1), 1, given)[0].name == gallery.identify(faces_of(0), 1, given)[0].name == "Ann Lee"
    assert gallery.identify(faces_of(2), 1, given)[0].name is None
    assert gallery.enroll("p2", faces_of(2)) == 3
    for call in (
        lambda: gallery.remove("p0"),
        lambda: gallery.rename("missing", "x"),
        lambda: gallery.rename("p3", "Ann Lee"),
        lambda: gallery.merge("p3", "p3"),
        lambda: gallery.merge("p3", "missing"),
        lambda: gallery.rename("p3", " "),
    ):
        with pytest.raises(GluonFRError):
            call()
    assert gallery.count() == (3, 12)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_any_text_is_a_valid_name(open_gallery, name):
    gallery = open_gallery()
    gallery.enroll(name, faces_of(1), sources=[name] * 3)
    gallery.enroll("other", faces_of(2))
    answer = gallery.identify(faces_of(1)[0], threshold=gallery.threshold(similarity=0.5))[0]
    assert answer.name == name
    assert answer.matches[0].source == name
    gallery.rename(name, name[::-1] + "!" if len(name) < 200 else "short")
    gallery.merge("other", gallery.people()[0].name)
    assert gallery.count() == (1, 6)
    assert gallery.remove(gallery.people()[0].name).photos == 6
    assert gallery.count() == (0, 0)


def test_names_are_normalized_and_invalid_names_refused(open_gallery):
    gallery = open_gallery()
    gallery.enroll("Andre\u0301 ", faces_of(0))
    gallery.enroll("Andr\u00e9", faces_of(1))
    assert gallery.people() == [Person("Andr\u00e9", 6)]
    gallery.enroll("bytes\udcff", faces_of(2))
    assert gallery.people()[1].name == "bytes\\udcff"
    for name in ("", "  \n", "x" * 201, "a\0b", 5, None):
        with pytest.raises(GluonFRError, match="name of a person must"):
            gallery.enroll(name, faces_of(3))


def test_invalid_embeddings_are_refused(open_gallery):
    gallery = open_gallery()
    for embeddings in (np.zeros((1, SIZE)), np.full((1, SIZE), np.nan), np.ones((1, SIZE + 1)), np.empty((0, SIZE)), ["a"]):
        for call in (lambda rows: gallery.enroll("a", rows), gallery.identify):
            with pytest.raises(GluonFRError):
                call(embeddings)
    with pytest.raises(GluonFRError, match="one of each per embedding"):
        gallery.enroll("a", faces_of(0), [b"x" * 32])
    with pytest.raises(GluonFRError, match="32 bytes"):
        gallery.enroll("a", faces_of(0), ["x"] * 3)
    assert gallery.count() == (0, 0)


def test_empty_gallery_identifies_nobody(open_gallery):
    gallery = open_gallery()
    answer = gallery.identify(faces_of(0))[0]
    assert answer.name is None
    assert answer.matches == ()
    assert answer.similarity == -1
    assert "no face gets a name" in str(gallery.threshold())
    gallery.enroll("only", faces_of(0))
    # With one person and a card without thresholds, there is no threshold.
    assert gallery.identify(faces_of(0))[0].name is None
    assert gallery.identify(faces_of(0))[0].matches[0].name == "only"


def test_gallery_of_another_network_is_refused(open_gallery):
    open_gallery().enroll("a", faces_of(0))
    for other in (
        replace(CARD, sha256="bb" * 32),
        replace(CARD, embedding_size=8),
        replace(CARD, network="other", sha256=""),
        replace(CARD, template="dlib"),
    ):
        with pytest.raises(GluonFRError, match="has embeddings of some"):
            open_gallery(other)
    # The same network without a hash, and a card with another license.
    assert open_gallery(replace(CARD, sha256="")).count() == (1, 3)
    assert open_gallery(replace(CARD, license="none")).card == CARD
    with pytest.raises(GluonFRError, match="embedding_size is 0"):
        open_gallery(Card())


def test_exported_gallery_can_be_imported(open_gallery, tmp_path):
    gallery = open_gallery()
    with pytest.raises(GluonFRError, match="gallery is empty"):
        export_gallery(gallery, tmp_path / "out.npz")
    for number, name in enumerate(HOSTILE):
        gallery.enroll(name, faces_of(number), sources=[f"{n}.jpg" for n in range(3)])
    assert export_gallery(gallery, tmp_path / "out.npz") == (len(HOSTILE), 3 * len(HOSTILE))
    with Gallery(tmp_path / "other.db", CARD) as other:
        assert import_gallery(other, tmp_path / "out.npz") == 3 * len(HOSTILE)
        assert import_gallery(other, tmp_path / "out.npz") == 0
        assert other.people() == gallery.people()
        for (name, mine), (other_name, theirs) in zip(gallery.entries(), other.entries()):
            assert name == other_name
            assert mine.digest == theirs.digest
            assert mine.source == theirs.source
            np.testing.assert_array_equal(mine.embedding, theirs.embedding)
    with Gallery(tmp_path / "third.db", replace(CARD, sha256="cc" * 32)) as other:
        with pytest.raises(GluonFRError, match="out.npz is some"):
            import_gallery(other, tmp_path / "out.npz")
        (tmp_path / "bad.npz").write_bytes(b"PK no")
        with pytest.raises(GluonFRError, match="it needs people"):
            import_gallery(other, tmp_path / "bad.npz")


_OTHER = """
import sys
sys.path.insert(0, sys.argv[1])
from synthetic_people import CARD, faces_of
from gluonfr.apps.gallery import Gallery

with Gallery(sys.argv[2], CARD) as gallery:
    for line in sys.stdin:
        exec(line)
        print("done", flush=True)
"""


@pytest.mark.system
def test_open_gallery_sees_changes_of_other_processes(open_gallery, where):
    gallery = open_gallery()
    gallery.enroll("mine", faces_of(0))
    given = gallery.threshold(similarity=0.6)
    command = [sys.executable, "-c", _OTHER, os.path.dirname(synthetic_people.__file__), where]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        for do, who in (
            ("gallery.enroll('theirs', faces_of(1))", ["mine", "theirs", None]),
            ("gallery.rename('mine', 'ours'); gallery.enroll('third', faces_of(2))", ["ours", "theirs", "third"]),
            ("gallery.remove('theirs'); gallery.merge('third', 'ours')", ["ours", None, "ours"]),
        ):
            other.stdin.write(do + "\n")
            other.stdin.flush()
            assert other.stdout.readline() == "done\n"
            answers = gallery.identify(np.stack([faces_of(n)[0] for n in range(3)]), 1, given)
            assert [answer.name for answer in answers] == who
        other.stdin.close()


def test_threads_can_share_a_gallery(open_gallery):
    gallery = open_gallery()
    for person in range(30):
        gallery.enroll(f"p{person}", faces_of(person))
    given, wrong = gallery.threshold(similarity=0.6), []

    def ask():
        for person in range(30):
            answer = gallery.identify(faces_of(person)[0], 1, given)[0]
            if answer.name != f"p{person}":
                wrong.append(answer)

    def change():
        for person in range(30):
            gallery.enroll(f"q{person}", faces_of(100 + person))
            if person % 3 == 0:
                gallery.remove(f"q{person}")

    threads = [threading.Thread(target=function) for function in (ask, ask, change)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert gallery.count() == (50, 150)


def test_snapshot_is_not_affected_by_later_changes():
    matrix = Matrix(4)
    matrix.add(np.arange(1, 5), np.array([1, 1, 2, 3]), np.eye(4, dtype=np.float32))
    rows, people, _ = matrix.snapshot()
    before = rows.copy()
    matrix.keep(np.array([2, 4]), np.array([1, 3]))
    matrix.add(np.array([9]), np.array([7]), np.full((1, 4), 0.5, np.float32))
    np.testing.assert_array_equal(rows, before)
    assert people.tolist() == [1, 1, 2, 3]
    assert matrix.people.tolist() == [1, 3, 7]
    scores, numbers = search_people(np.eye(4, dtype=np.float32)[:1], *matrix.snapshot()[:2], 5, 3)
    assert numbers[0].tolist()[0] == 2
    assert len(numbers[0]) == 3


def test_single_photos_are_found_moved_and_removed(open_gallery):
    gallery = open_gallery()
    gallery.enroll("Ann", faces_of(0), sources=["Ann/1.jpg", "Ann/2.jpg", "Ann/3.jpg"])
    first = gallery.find_photo("Ann", "Ann/1.jpg")
    assert gallery.find_photo("Ann", first.hex()[:8]) == first
    for wrong in ("Ann/9.jpg", "", "zzzz"):
        with pytest.raises(GluonFRError, match="has no photo"):
            gallery.find_photo("Ann", wrong)
    assert gallery.move_photos("Ann", [first], "Bea").photos == 1
    assert gallery.people() == [Person("Ann", 2), Person("Bea", 1)]
    assert [entry.source for _, entry in gallery.entries("Bea")] == ["Bea/1.jpg"]
    for call in (
        lambda: gallery.move_photos("Ann", [first], "Bea"),
        lambda: gallery.remove_photos("Ann", [first]),
        lambda: gallery.remove_photos("Ann", []),
        lambda: gallery.move_photos("Bea", [first], "Bea"),
        lambda: gallery.remove_photos("Cleo", [first]),
    ):
        with pytest.raises(GluonFRError):
            call()
    assert gallery.remove_photos("Ann", [gallery.find_photo("Ann", "Ann/2.jpg")]).photos == 1
    # Without photos a person is not enrolled any more.
    gallery.remove_photos("Bea", [first])
    assert gallery.people() == [Person("Ann", 1)]
    given = gallery.threshold(similarity=0.6)
    assert gallery.identify(faces_of(0)[2], 1, given)[0].name == "Ann"
    assert gallery.enroll("Bea", faces_of(0)[0], [first]) == 1
