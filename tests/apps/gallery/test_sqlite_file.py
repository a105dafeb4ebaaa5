"""Gallery files that are foreign, damaged, locked, read-only, or on a full disk."""

import os
import shutil
import signal
import sqlite3

import pytest
from synthetic_people import CARD, child_of, faces_of

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.core import GluonFRError


def test_files_that_are_not_galleries_are_refused(path, tmp_path):
    with pytest.raises(GluonFRError, match="is missing"):
        Gallery(path, CARD, create=False)
    with pytest.raises(GluonFRError, match="is missing"):
        Gallery(path)
    with pytest.raises(GluonFRError, match="is a folder"):
        Gallery(tmp_path, CARD)
    (tmp_path / "text").write_text("this is no gallery at all")
    with pytest.raises(GluonFRError, match="not a gallery"):
        Gallery(tmp_path / "text", CARD)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(GluonFRError, match="but not a gallery"):
        Gallery(tmp_path / "other.db", CARD)
    with pytest.raises(GluonFRError, match="cannot be written"):
        Gallery(tmp_path / "text" / "g.db", CARD)
    with Gallery(path, CARD) as gallery:
        gallery.enroll("a", faces_of(0))
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 2")
    raw.close()
    with pytest.raises(GluonFRError, match="has format 2, but this version of gluonfr reads format 1"):
        Gallery(path, CARD)


def error_of(path):
    """Return the message with which a gallery cannot be read; empty if it can."""
    try:
        with Gallery(path, CARD) as gallery:
            gallery.identify(faces_of(3))
            gallery.people()
            gallery.threshold()
    except GluonFRError as error:
        return str(error)
    return ""


def test_damaged_files_are_reported_in_one_sentence(path, tmp_path):
    with Gallery(path, CARD) as gallery:
        for person in range(40):
            gallery.enroll(f"p{person}", faces_of(person))
    with open(path, "rb") as file:
        whole = file.read()
    damaged = str(tmp_path / "damaged.db")
    refused = 0
    for place in range(0, len(whole), 4096):
        with open(damaged, "wb") as file:
            file.write(whole[:place] + os.urandom(2048) + whole[place + 2048 :])
        refused += bool(message := error_of(damaged))
        assert not message or ("damaged.db" in message and "\n" not in message)
    assert refused > 5
    with open(damaged, "wb") as file:
        file.write(whole[: len(whole) // 2])
    with pytest.raises(GluonFRError, match="damaged"):
        Gallery(damaged, CARD)


def test_locked_file_can_be_read_but_not_changed(path, monkeypatch):
    monkeypatch.setattr("gluonfr.apps.gallery.stores.sqlite_connection.WAIT", 0.1)
    with Gallery(path, CARD) as gallery:
        gallery.enroll("a", faces_of(0))
        gallery.threshold()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        gallery._store._file.set_wait(0.1)
        with pytest.raises(GluonFRError, match="another process is writing"):
            gallery.enroll("b", faces_of(1))
        # It can still be read.
        assert gallery.identify(faces_of(0))[0].matches[0].name == "a"
        other.execute("ROLLBACK")
        other.close()
        gallery.enroll("b", faces_of(1))
        assert gallery.count() == (2, 6)


def test_full_disk_keeps_earlier_changes(path):
    with Gallery(path, CARD) as gallery:
        gallery.enroll("a", faces_of(0))
        file = gallery._store._file
        file.execute(f"PRAGMA max_page_count={file.execute('PRAGMA page_count').fetchone()[0]}")
        with pytest.raises(GluonFRError, match="the disk is full"):
            gallery.enroll("b", faces_of(1, 2000))
        assert gallery.count() == (1, 3)
        assert [person.name for person in gallery.people()] == ["a"]
        file.execute("PRAGMA max_page_count=1000000")
        gallery.enroll("b", faces_of(1, 2000))
        assert gallery.count() == (2, 2003)


def test_failing_disk_keeps_earlier_changes(path):
    """A limit on the size of files makes real writes fail."""
    import resource

    def work(say):
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        gallery = Gallery(path, CARD)
        gallery.enroll("a", faces_of(0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            for number in range(100):
                gallery.enroll(f"b{number}", faces_of(number, 50), [os.urandom(32) for _ in range(50)])
                say(f"b{number}")
        except GluonFRError as error:
            say(str(error))

    child, pipe = child_of(work)
    os.waitpid(child, 0)
    with os.fdopen(pipe) as said:
        *done, error = said.read().splitlines()
    assert "the disk" in error
    assert "This change was not saved" in error
    with Gallery(path, CARD) as gallery:
        assert [person.name for person in gallery.people()] == ["a", *done]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without write permission")
def test_read_only_file_can_be_searched(tmp_path):
    folder = tmp_path / "fixed"
    folder.mkdir()
    path = str(folder / "g.db")
    with Gallery(path, CARD) as gallery:
        for person in range(5):
            gallery.enroll(f"p{person}", faces_of(person))
    os.chmod(path, 0o444)

    def work(say):
        os.setuid(65534)
        with Gallery(path, create=False) as gallery:
            say(gallery.identify(faces_of(3))[0].matches[0].name)
            try:
                gallery.enroll("x", faces_of(9))
            except GluonFRError as error:
                say(str(error))

    for parent in [tmp_path, *list(tmp_path.parents)[:3]]:
        os.chmod(parent, 0o755)
    for mode in (0o777, 0o555):
        os.chmod(folder, mode)
        child, pipe = child_of(work)
        os.waitpid(child, 0)
        with os.fdopen(pipe) as said:
            name, error = said.read().splitlines()
        assert name == "p3"
        assert "it is read-only" in error
    shutil.rmtree(folder)


def test_moved_file_refuses_changes(path):
    with Gallery(path, CARD) as gallery:
        gallery.enroll("a", faces_of(0))
        os.rename(path, path + ".moved")
        for another in (False, True):
            if another:
                Gallery(path, CARD).close()
            for change in (lambda: gallery.enroll("b", faces_of(1)), lambda: gallery.remove("a")):
                with pytest.raises(GluonFRError, match="was moved, deleted or replaced"):
                    change()
        # The open gallery can still be searched.
        assert gallery.identify(faces_of(0)[:1])[0].matches[0].name == "a"


def test_path_may_contain_any_byte(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"g\xff?%20.db")
    with Gallery(os.fsdecode(path), CARD) as gallery:
        gallery.enroll("a", faces_of(0))
    assert os.path.exists(path)
    with Gallery(os.fsdecode(path)) as gallery:
        assert gallery.count() == (1, 3)


def test_merge_recomputes_impostor_scores(path, monkeypatch):
    with Gallery(path, CARD) as gallery:
        gallery.enroll_people({f"p{person}": (faces_of(person), None, None) for person in range(60)})
        calls, impostor_scores = [], gallery._store.impostor_scores
        monkeypatch.setattr(gallery._store, "impostor_scores", lambda: calls.append(1) or impostor_scores())
        gallery.threshold(0.1)
        gallery.merge("p0", "p1")
        gallery.threshold(0.1)
        assert len(calls) == 2
        for rate in (0, 1e-10, 1, float("nan")):
            with pytest.raises(GluonFRError, match="fpir must be"):
                gallery.threshold(rate)


def changed_gallery(path, *statements):
    """Write a gallery of three people and change it with another program."""
    with Gallery(path, CARD) as gallery:
        for person in range(3):
            gallery.enroll(f"p{person}", faces_of(person))
    raw = sqlite3.connect(path)
    for statement in statements:
        raw.execute(statement)
    raw.commit()
    raw.close()


@pytest.mark.parametrize(
    "statements",
    [
        (
            "ALTER TABLE people RENAME TO p0",
            "CREATE VIEW people AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x AS id, 'n' AS name "
            "FROM c WHERE x < 0",
        ),
        ("CREATE TRIGGER t AFTER INSERT ON photos BEGIN DELETE FROM people; END",),
        ("CREATE TABLE more (x)",),
        ("DROP INDEX photos_of_person",),
        ("CREATE INDEX more ON photos(source)",),
        ("ALTER TABLE people ADD COLUMN more",),
    ],
    ids=["view", "trigger", "table", "dropped index", "index", "column"],
)
def test_files_with_another_schema_are_refused(path, statements):
    changed_gallery(path, *statements)
    with pytest.raises(GluonFRError, match="does not have the tables of a gallery"):
        Gallery(path, create=False)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE photos SET embedding = 5 WHERE id = 1",
        "UPDATE photos SET embedding = CAST(embedding AS TEXT)",
        "UPDATE photos SET embedding = zeroblob(64)",
        "UPDATE photos SET person = 'abc'",
        "UPDATE photos SET person = -1",
        "DELETE FROM people WHERE id = 1",
        "UPDATE people SET name = x'00ff' WHERE id = 1",
        "DELETE FROM state WHERE key = 'generation'",
        "UPDATE state SET value = 'x' WHERE key = 'generation'",
        "UPDATE state SET value = 5 WHERE key = 'card'",
        "UPDATE state SET value = '[[[[' WHERE key = 'card'",
        "UPDATE state SET value = '{\"embedding_size\": 1000000000000}' WHERE key = 'card'",
    ],
)
def test_values_of_other_types_are_reported_as_damage(path, statement):
    changed_gallery(path, statement)
    assert "damaged" in error_of(path)


@pytest.mark.parametrize("note", ['[[2, 2], ["a"], ["x"]]', "[[2]]", "5", "[" * 100_000, "null"])
def test_damaged_impostor_scores_are_computed_again(path, note):
    with Gallery(path, CARD) as gallery:
        gallery.enroll_people({f"p{person}": (faces_of(person), None, None) for person in range(60)})
        expected = gallery.threshold(0.1)
    raw = sqlite3.connect(path)
    raw.execute("UPDATE state SET value = ? WHERE key = 'note strangers'", (note,))
    raw.commit()
    raw.close()
    with Gallery(path) as gallery:
        assert gallery.threshold(0.1) == expected


@pytest.mark.parametrize("name", ["sqlite_stat1", "sqlite_stat4", "sqlite_sequence"])
def test_triggers_under_the_name_of_an_internal_table_are_refused(name, tmp_path):
    path = tmp_path / "g.db"
    with Gallery(path, CARD) as gallery:
        gallery.enroll("Ann", faces_of(0))
    connection = sqlite3.connect(path)
    connection.execute("pragma writable_schema = on")
    trigger = "CREATE TRIGGER t AFTER INSERT ON photos BEGIN DELETE FROM photos; END"
    connection.execute("insert into sqlite_master values ('table', ?, 'photos', 0, ?)", (name, trigger))
    connection.commit()
    connection.close()
    with pytest.raises(GluonFRError, match=r"g\.db"):
        Gallery(path)


def test_statistics_of_sqlite_are_accepted(tmp_path):
    path = tmp_path / "g.db"
    with Gallery(path, CARD) as gallery:
        gallery.enroll("Ann", faces_of(0))
    connection = sqlite3.connect(path)
    connection.execute("analyze")
    connection.close()
    with Gallery(path) as gallery:
        assert [person.name for person in gallery.people()] == ["Ann"]
