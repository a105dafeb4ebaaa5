"""The embedded engine: its file under kills, readers, damage and a full disk."""

import os
import random
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest
from conftest import CARD, faces_of

from gluonfr.core import GluonFRError
from gluonfr.gallery import Gallery

PHOTOS = 5


def leftovers(path, name, entries):
    """What of a person can still be read in the bytes of the gallery's files."""
    folder, file = os.path.split(path)
    found = []
    for each in sorted(os.listdir(folder)):
        if each.startswith(file):
            with open(os.path.join(folder, each), "rb") as opened:
                content = opened.read()
            pieces = {name.encode(): "name"}
            for entry in entries:
                vector = np.asarray(entry.embedding).tobytes()
                pieces.update({vector[start : start + 16]: "embedding" for start in range(0, len(vector) - 15, 16)})
                pieces[entry.digest] = "digest"
                if entry.source:
                    pieces[entry.source.encode()] = "source"
            found += [(each, what) for piece, what in pieces.items() if piece in content]
    return found


def child_of(work):
    """Run `work(say)` in a forked process; returns its number and the pipe on which it says what is done."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    try:
        os.close(reading)
        work(lambda text: os.write(writing, text.encode() + b"\n"))
    finally:
        os._exit(1)


def change_for_ever(path, mark):
    """Enrol people and remove every third of them, saying before and after."""

    def work(say):
        gallery = Gallery(path, CARD)
        for number in range(1 << 20):
            name = f"{mark}-{number:04}-name"
            say("enrolling " + name)
            gallery.enroll(name, faces_of(number, PHOTOS), [os.urandom(32) for _ in range(PHOTOS)], [name + "/x.jpg"] * PHOTOS)
            say("enrolled " + name)
            if number % 3 == 2:
                name = f"{mark}-{number - 1:04}-name"
                say("removing " + name)
                if gallery.remove(name).erased:
                    say("removed " + name)

    return work


def kill_at_any_moment(path, rounds, seed):
    """SIGKILL a process that changes a gallery, `rounds` times; checks the file after each. Returns how much was done."""
    generator, total = random.Random(seed), Counter()
    expected = set()
    for mark in range(rounds):
        child, pipe = child_of(change_for_ever(path, f"{seed}.{mark}"))
        # It must have begun, or nothing would be tested.
        assert select.select([pipe], [], [], 60)[0]
        time.sleep(generator.uniform(0, 0.2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(pipe, "rb") as said:
            lines = said.read().decode().splitlines()
        words = [line.split(" ") for line in lines]
        done = {
            what: {name for each, name in words if each == what} for what in ("enrolling", "enrolled", "removing", "removed")
        }
        total.update({what: len(names) for what, names in done.items()})
        certain = (expected | done["enrolled"]) - done["removing"]
        possible = (expected | done["enrolling"]) - done["removed"]
        for gone in done["removed"]:
            assert not leftovers(path, gone, [])
        with Gallery(path, CARD) as gallery:
            people = gallery.people()
            names = {person.name for person in people}
            assert certain <= names <= possible, "something acknowledged is lost, or something unheard of is there"
            assert {person.photos for person in people} <= {PHOTOS}, "somebody is half there"
            expected = names
            # Opening it has made up for what the killed process could not erase.
            for gone in done["removing"] - names:
                assert not leftovers(path, gone, [])
        with sqlite3.connect(path) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        raw.close()
    return total


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(path):
    total = kill_at_any_moment(path, 12, 0)
    assert total["enrolled"] > 50 and total["removed"] > 5


@pytest.mark.full
def test_nothing_acknowledged_is_lost_in_a_hundred_kills(path):
    total = kill_at_any_moment(path, 100, 1)
    assert total["enrolled"] > 500 and total["removed"] > 100


def test_a_process_killed_while_it_makes_the_file_leaves_none_or_a_whole_one(path):
    def make(say):
        say("now")
        Gallery(path, CARD).close()

    for wait in np.linspace(0, 0.02, 8):
        child, pipe = child_of(make)
        select.select([pipe], [], [], 60)
        time.sleep(wait)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(pipe)
        with Gallery(path, CARD) as gallery:
            assert gallery.count() == (0, 0)
        os.unlink(path)


def test_a_reader_beside_a_writer_sees_whole_people(path):
    with Gallery(path, CARD) as gallery:
        gallery.enroll("first", faces_of(1, PHOTOS))
    child, pipe = child_of(change_for_ever(path, "w"))
    seen = set()
    try:
        with Gallery(path, create=False) as reader:
            end = time.monotonic() + 2
            while time.monotonic() < end:
                people, photos = reader.count()
                assert photos == PHOTOS * people
                assert {person.photos for person in reader.people()} == {PHOTOS}
                seen.add(people)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(pipe)
    assert len(seen) > 5


def test_two_processes_write_in_turns(path):
    def enroll(mark):
        def work(say):
            with Gallery(path, CARD) as gallery:
                for number in range(40):
                    gallery.enroll(f"{mark}{number}", faces_of(number), [os.urandom(32) for _ in range(3)])
                say("done")

        return work

    children = [child_of(enroll(mark)) for mark in "ab"]
    for child, pipe in children:
        os.waitpid(child, 0)
        with os.fdopen(pipe) as said:
            assert said.read() == "done\n"
    with Gallery(path, CARD) as gallery:
        assert gallery.count() == (80, 240)


def test_nothing_is_left_of_who_is_removed(path):
    """Many people come and go, so that pages of the file are split, joined and used again."""
    choose = random.Random(0)
    with Gallery(path, CARD) as gallery:
        alive, checked = [], 0
        for number in range(240):
            name = f"{choose.getrandbits(64):016x}"
            count = choose.randint(1, 9)
            digests = [choose.getrandbits(256).to_bytes(32, "big") for _ in range(count)]
            embeddings = np.random.default_rng(number).normal(size=(count, 16))
            gallery.enroll(name, embeddings, digests, [f"<{number}>/{n}.jpg" for n in range(count)])
            alive.append(name)
            if number % 3 == 2:
                gone = alive.pop(choose.randrange(len(alive)))
                entries = [entry for _, entry in gallery.entries(gone)]
                # Scores of strangers are kept in the file too; they name nobody.
                gallery.threshold() if number % 30 == 2 else None
                assert leftovers(path, gone, entries)
                assert gallery.remove(gone).erased
                assert not leftovers(path, gone, entries)
                checked += 1
        old = alive[0]
        gallery.rename(old, "new name")
        assert not leftovers(path, old, [])
        gallery.merge(alive[1], "new name")
        assert not leftovers(path, alive[1], []) and leftovers(path, "new name", [])
    assert checked == 80


def test_a_reader_that_keeps_the_old_bytes_is_told_of_and_made_up_for(path):
    with Gallery(path, CARD) as gallery:
        gallery.enroll("gone for good", faces_of(0))
        gallery.enroll("stays", faces_of(1))
        entries = [entry for _, entry in gallery.entries("gone for good")]
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM photos").fetchone()
        removed = gallery.remove("gone for good")
        assert removed.photos == 3 and not removed.erased and gallery.count() == (1, 3)
        assert leftovers(path, "gone for good", entries)
        reader.close()
        # The next change does it.
        gallery.enroll("another", faces_of(2))
        assert not leftovers(path, "gone for good", entries)


def test_what_is_no_gallery_is_refused(path, tmp_path):
    with pytest.raises(GluonFRError, match="is missing"):
        Gallery(path, CARD, create=False)
    with pytest.raises(GluonFRError, match="is missing"):
        Gallery(path)
    with pytest.raises(GluonFRError, match="is a folder"):
        Gallery(tmp_path, CARD)
    (tmp_path / "text").write_text("this is no gallery at all")
    with pytest.raises(GluonFRError, match="no gallery"):
        Gallery(tmp_path / "text", CARD)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(GluonFRError, match="but no gallery"):
        Gallery(tmp_path / "other.db", CARD)
    with pytest.raises(GluonFRError, match="cannot be written there"):
        Gallery(tmp_path / "text" / "g.db", CARD)
    with Gallery(path, CARD) as gallery:
        gallery.enroll("a", faces_of(0))
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 2")
    raw.close()
    with pytest.raises(GluonFRError, match="has format 2 and this gluonfr knows 1"):
        Gallery(path, CARD)


def test_damage_is_one_sentence(path, tmp_path):
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
        try:
            with Gallery(damaged, CARD) as gallery:
                gallery.identify(faces_of(3))
                gallery.people()
        except GluonFRError as error:
            assert str(error).count("\n") == 0 and "damaged.db" in str(error)
            refused += 1
    assert refused > 5
    with open(damaged, "wb") as file:
        file.write(whole[: len(whole) // 2])
    with pytest.raises(GluonFRError, match="damaged"):
        Gallery(damaged, CARD)


def test_a_locked_file_is_said_to_be(path, monkeypatch):
    monkeypatch.setattr("gluonfr.gallery.sqlite.WAIT", 0.1)
    with Gallery(path, CARD) as gallery:
        gallery.enroll("a", faces_of(0))
        gallery.threshold()
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        gallery._engine._file.execute("PRAGMA busy_timeout=100")
        with pytest.raises(GluonFRError, match="another process is writing"):
            gallery.enroll("b", faces_of(1))
        # Reading goes on.
        assert gallery.identify(faces_of(0))[0].matches[0].name == "a"
        other.execute("ROLLBACK")
        other.close()
        gallery.enroll("b", faces_of(1))
        assert gallery.count() == (2, 6)


def test_a_full_disk_loses_nothing(path):
    with Gallery(path, CARD) as gallery:
        gallery.enroll("a", faces_of(0))
        file = gallery._engine._file
        file.execute(f"PRAGMA max_page_count={file.execute('PRAGMA page_count').fetchone()[0]}")
        with pytest.raises(GluonFRError, match="the disk is full"):
            gallery.enroll("b", faces_of(1, 2000))
        assert gallery.count() == (1, 3) and [person.name for person in gallery.people()] == ["a"]
        file.execute("PRAGMA max_page_count=1000000")
        gallery.enroll("b", faces_of(1, 2000))
        assert gallery.count() == (2, 2003)


def test_a_disk_that_takes_no_more_loses_nothing(path):
    """The limit on the size of files makes real writes fail."""
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
    assert "the disk" in error and "nothing of this change was kept" in error
    with Gallery(path, CARD) as gallery:
        assert [person.name for person in gallery.people()] == ["a", *done]


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody who may not write")
def test_a_file_that_may_only_be_read_can_be_asked(tmp_path):
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
        assert name == "p3" and "may only be read" in error
    shutil.rmtree(folder)


def test_the_command_says_the_same(path, tmp_path):
    """In a process of its own: removing while somebody reads."""
    with Gallery(path, CARD) as gallery:
        gallery.enroll("a", faces_of(0))
        gallery.enroll("b", faces_of(1))
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM photos").fetchone()
    command = [sys.executable, "-m", "gluonfr", "people", "--gallery", path]
    done = subprocess.run([*command, "--remove", "a"], capture_output=True, text=True)
    assert done.returncode == 0 and "Another process is reading" in done.stdout, done.stderr
    assert leftovers(path, "a/", []) == []
    reader.close()
    done = subprocess.run(command, capture_output=True, text=True)
    assert "1 people, 3 photos" in done.stdout
