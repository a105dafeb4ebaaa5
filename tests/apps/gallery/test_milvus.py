"""Galleries on a Milvus server: addresses, restarts, unfinished changes, and other writers."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
import synthetic_people
from synthetic_people import CARD, faces_of

from gluonfr.apps.gallery.enrollment_report import report_path
from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.cli import main
from gluonfr.core import GluonFRError

pytestmark = pytest.mark.system

pymilvus = pytest.importorskip("pymilvus")
PHOTOS = 5


@pytest.fixture
def address(milvus_server, request):
    name = "".join(letter if letter.isalnum() else "_" for letter in request.node.name)
    return f"{milvus_server.address}/{name}"


def test_invalid_addresses_are_refused_without_their_password():
    for wrong in ("milvus://", "milvus://host", "milvus://host/", "milvus://host/1a", "milvus://host/a-b", "milvus://host/a/b"):
        with pytest.raises(GluonFRError, match="write milvus://HOST:PORT/NAME"):
            Gallery(wrong, CARD)
    with pytest.raises(GluonFRError, match="write milvus") as told:
        Gallery("milvus://ann:secret@host:port/a", CARD)
    assert "secret" not in str(told.value)
    assert report_path("milvus://ann:secret@host:1/who") == "who.left_out.csv"


def test_missing_server_is_reported_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr("gluonfr.apps.gallery.stores.milvus_server.CONNECT", 1)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"milvus://ann:secret@127.0.0.1:{nobody.getsockname()[1]}/who"
        start = time.monotonic()
        assert main(["people", "--gallery", address]) == 2
    said = capsys.readouterr().err
    assert time.monotonic() - start < 10
    assert "no Milvus server answers within 1 s" in said
    assert "secret" not in said
    assert "Traceback" not in said


def test_unfinished_changes_are_invisible_and_removed(address, monkeypatch, capsys):
    with Gallery(address, CARD) as gallery:
        gallery.enroll("a", faces_of(0))
        tables = gallery._store._tables

        # Interrupted before the names are written, and before the photos are deleted.
        def cut_off(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(tables, "commit", cut_off)
            with pytest.raises(KeyboardInterrupt):
                gallery.enroll_people({name: (faces_of(n), None, None) for n, name in ((0 + 1, "a"), (2, "never"))})
            patch.undo()
            patch.setattr(tables, "delete_parts", cut_off)
            gallery.enroll("gone", faces_of(3))
            with pytest.raises(KeyboardInterrupt):
                gallery.remove("gone")
        assert gallery.count() == (1, 3)
        assert [person.name for person in gallery.people()] == ["a"]
        assert [name for name, _ in gallery.entries()] == ["a"] * 3
        assert gallery.threshold(similarity=0.9).people == 1
        found = gallery.identify(np.concatenate([faces_of(n) for n in range(4)]), 5)
        assert {match.name for answer in found for match in answer.matches} == {"a"}
        assert tables.count_photos("part > 0") == 3 + 3 + 3 + 3
    # A removal is finished at once; a change that may still be running is left alone.
    with Gallery(address) as gallery:
        assert gallery._store._tables.count_photos("part > 0") == 3 + 6
        # The same photos may be enrolled again meanwhile.
        assert gallery.enroll("again", faces_of(2)) == 3
    monkeypatch.setattr("gluonfr.apps.gallery.stores.milvus_tables._ABANDONED_AFTER", -1)
    with Gallery(address) as gallery:
        assert gallery._store._tables.count_photos("part > 0") == 6
        assert gallery.count() == (2, 6)
    assert main(["people", "--gallery", address, "--remove", "again"]) == 0
    assert "leave its disks and its log" in capsys.readouterr().out


@pytest.mark.full
def test_people_beyond_the_row_limit_are_found(address, monkeypatch):
    monkeypatch.setattr("gluonfr.apps.gallery.stores.milvus_store.MOST_ROWS", 16)
    monkeypatch.setattr("gluonfr.apps.gallery.stores.milvus_store.ROWS", 20)
    rng = np.random.default_rng(0)
    query = np.eye(16)[0]
    with Gallery(address, CARD) as gallery:
        people = {f"p{n}": (query * (9 - n) / 3 + 0.1 * rng.normal(size=(60, 16)), None, None) for n in range(8)}
        gallery.enroll_people(people)
        matches = gallery.identify(query, 6)[0].matches
        best = {
            name: max((rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ query) for name, (rows, _, _) in people.items()
        }
        expected = sorted(best.items(), key=lambda pair: -pair[1])[:6]
        assert [match.name for match in matches] == [name for name, _ in expected]
        np.testing.assert_allclose([match.similarity for match in matches], [score for _, score in expected], atol=1e-6)
        # Photos that are fetched in several portions come in their order.
        rows = people["p3"][0]
        entries = [entry.embedding for _, entry in gallery.entries("p3")]
        np.testing.assert_allclose(entries, rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-6)
        assert len(list(gallery.entries())) == 480


@pytest.mark.full
def test_sample_is_reproducible_until_the_gallery_changes(address):
    with Gallery(address, CARD) as gallery:
        gallery.enroll_people({f"p{n}": (faces_of(n), None, None) for n in range(200)})
        names, rows = gallery._store.sample(100)
        again, same = gallery._store.sample(100)
        assert names == again
        assert len(names) == 100
        assert (rows == same).all()
        # Drawn from all of them, and each embedding with its own name.
        assert len({int(name[1:]) // 50 for name in names}) == 4
        for name, row in zip(names, rows):
            assert np.abs(faces_of(int(name[1:])) - row).sum(axis=1).min() < 1e-5
        assert len(gallery._store.sample(1000)[0]) == 600


_PREPARE = """
import os, sys
sys.path.insert(0, sys.argv[1])
from synthetic_people import CARD, faces_of
from gluonfr.apps.gallery import Gallery

gallery = Gallery(sys.argv[2], CARD)
"""
_CHANGE_FOREVER = (
    _PREPARE
    + """
def say(text):
    print(text, flush=True)

mark, photos = sys.argv[3], int(sys.argv[4])
say("ready -")
for number in range(1 << 20):
    name = f"{mark}-{number:04}"
    say("enrolling " + name)
    gallery.enroll(name, faces_of(number, photos), [os.urandom(32) for _ in range(photos)])
    say("enrolled " + name)
    if number % 3 == 2:
        name = f"{mark}-{number - 1:04}"
        say("removing " + name)
        gallery.remove(name)
        say("removed " + name)
"""
)


def changing(address, mark):
    command = [sys.executable, "-c", _CHANGE_FOREVER, os.path.dirname(synthetic_people.__file__), address, mark, str(PHOTOS)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def whole(address, lines, before):
    """Checks the people against what was said to be done; returns who is there, and how many were enrolled."""
    # What a killed process asked for last may be on its way.
    time.sleep(1)
    done = {}
    for what, name in (line.split(" ") for line in lines):
        done.setdefault(what, set()).add(name)
    enrolling, enrolled, removing, removed = (
        done.get(what, set()) for what in ("enrolling", "enrolled", "removing", "removed")
    )
    with Gallery(address, CARD) as gallery:
        people = gallery.people()
        names = {person.name for person in people}
        assert (before | enrolled) - removing <= names <= (before | enrolling) - removed
        assert {person.photos for person in people} <= {PHOTOS}
        # What is counted can also be fetched.
        fetched = [name for name, _ in gallery.entries()]
        assert len(fetched) == PHOTOS * len(names)
        assert set(fetched) == names
    return names, len(enrolled)


@pytest.mark.parametrize("when", ["write_photos", "commit"])
def test_concurrent_enrollment_of_the_same_photos_is_consistent(address, monkeypatch, when):
    with Gallery(address, CARD) as here, Gallery(address, CARD) as there:
        step, digests = getattr(there._store._tables, when), [bytes([n]) * 32 for n in range(6)]

        def later(given):
            # The other process searched for owners before this, and its photos are written after this.
            monkeypatch.setattr(there._store._tables, when, step)
            here.enroll_people({"a": (faces_of(0), digests[:3], None), "b": (faces_of(1), digests[3:], None)})
            step(given)

        monkeypatch.setattr(there._store._tables, when, later)
        there.enroll_people({"a": (faces_of(0), digests[:3], None), "c": (faces_of(1)[:1], digests[3:4], None)})
        # The last writer has the photo, and counts match the photos.
        expected = {"a": 3, "b": 2, "c": 1} if when == "write_photos" else {"a": 3, "b": 3}
        with Gallery(address) as again:
            assert {person.name: person.photos for person in again.people()} == expected
            assert Counter(name for name, _ in again.entries()) == expected


@pytest.mark.full
def test_kills_lose_no_acknowledged_change_on_a_server(address):
    there, total, choose = set(), 0, random.Random(0)
    for mark in range(8):
        child = changing(address, f"m{mark}")
        first = child.stdout.readline()
        time.sleep(choose.uniform(0.5, 2.5))
        child.send_signal(signal.SIGKILL)
        # What `communicate` reads lacks what `readline` took in beyond the line.
        lines = (first + child.stdout.read()).splitlines()
        child.wait()
        there, enrolled = whole(address, lines, there)
        total += enrolled
    assert total > 8


@pytest.mark.full
def test_reader_sees_complete_people_during_writes(address):
    Gallery(address, CARD).close()
    child, seen = changing(address, "w"), set()
    try:
        child.stdout.readline()
        with Gallery(address) as reader:
            end = time.monotonic() + 8
            while time.monotonic() < end:
                people, photos = reader.count()
                assert photos == PHOTOS * people
                # All photos of a person who is found can be found.
                answer = reader.identify(faces_of(0, PHOTOS), 1, reader.threshold(similarity=0.99))
                assert {match.name for match in answer} in ({None}, {"w-0000"})
                seen.add(people)
    finally:
        child.kill()
        child.communicate()
    assert len(seen) > 3


@pytest.mark.full
def test_processes_that_enroll_one_name_create_one_person(address):
    Gallery(address, CARD).close()
    code = _PREPARE + (
        "for number in range(10):\n    gallery.enroll(f'p{number}', faces_of(number), [os.urandom(32) for _ in range(3)])\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, os.path.dirname(synthetic_people.__file__), address]) for _ in range(2)
    ]
    assert [child.wait() for child in children] == [0, 0]
    with Gallery(address) as gallery:
        people = {person.name: person.photos for person in gallery.people()}
        assert people == {f"p{n}": 6 for n in range(10)}


@pytest.mark.full
def test_restarting_server_is_waited_for(new_milvus_server):
    server = new_milvus_server()
    address, there = server.address + "/killed", set()
    with Gallery(address, CARD) as open_all_the_time:
        for turn in range(2):
            child = changing(address, f"k{turn}")
            lines = [child.stdout.readline() for _ in range(12)]
            server.kill()
            time.sleep(2)
            server.start(wait=False)
            # Both continue by themselves.
            lines += [child.stdout.readline() for _ in range(12)]
            child.kill()
            lines += child.stdout.read().splitlines()
            said = child.communicate()[1]
            assert "does not answer; waiting for it" in said
            assert "Traceback" not in said
            assert len(open_all_the_time.people()) >= 3
            there, enrolled = whole(address, [line.strip() for line in lines], there)
            assert enrolled >= 4
