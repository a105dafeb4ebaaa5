"""Removed people, and old names, are erased from the files of a gallery."""

import random
import sqlite3

import numpy as np
import pytest
from synthetic_people import CARD, faces_of, leftovers

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.cli import main


@pytest.fixture
def no_waiting(monkeypatch):
    """Do not wait for readers of the file."""
    monkeypatch.setattr("gluonfr.apps.gallery.stores.sqlite_connection._WAIT_FOR_READERS", 0.0)


def test_removed_people_are_erased_from_the_file(path):
    """Many people are enrolled and removed, so that pages of the file are split, joined and reused."""
    choose = random.Random(0)
    with Gallery(path, CARD) as gallery:
        alive, checked = [], 0
        for number in range(120):
            name = f"{choose.getrandbits(64):016x}"
            count = choose.randint(1, 9)
            digests = [choose.getrandbits(256).to_bytes(32, "big") for _ in range(count)]
            embeddings = np.random.default_rng(number).normal(size=(count, 16))
            gallery.enroll(name, embeddings, digests, [f"<{number}>/{n}.jpg" for n in range(count)])
            alive.append(name)
            if number % 3 == 2:
                gone = alive.pop(choose.randrange(len(alive)))
                entries = [entry for _, entry in gallery.entries(gone)]
                # Impostor scores are stored in the file too, without names.
                gallery.threshold() if number % 30 == 2 else None
                assert leftovers(path, gone, entries)
                assert gallery.remove(gone).erased
                assert not leftovers(path, gone, entries)
                checked += 1
        old = alive[0]
        gallery.rename(old, "new name")
        assert not leftovers(path, old, [])
        gallery.merge(alive[1], "new name")
        assert not leftovers(path, alive[1], [])
        assert leftovers(path, "new name", [])
    assert checked == 40


def test_source_paths_get_the_new_name(path):
    with Gallery(path, CARD) as gallery:
        gallery.enroll("Ann Lée", faces_of(0), sources=["Ann Le\u0301e/1.jpg", "Ann Lée/2.jpg", "Annika/3.jpg"])
        gallery.enroll("Bob", faces_of(1), sources=["Bob/1.jpg", "/home/Bob/2.jpg", ""])
        # Names as a user may type them.
        assert gallery.rename(" Ann Le\u0301e ", "Eve").erased
        assert not leftovers(path, "Ann Lée", [])
        assert not leftovers(path, "Ann Le\u0301e", [])
        assert [entry.source for _, entry in gallery.entries("Eve ")] == ["Eve/1.jpg", "Eve/2.jpg", "Annika/3.jpg"]
        merged = gallery.merge("Bob\n", " Eve")
        assert not merged.erased
        assert "still contain the old name" in merged.left
        assert [entry.source for _, entry in gallery.entries("Eve")][3:] == ["Eve/1.jpg", "/home/Bob/2.jpg", ""]
        assert gallery.remove("Eve\t").erased
        assert not leftovers(path, "Bob", [])


def test_bytes_left_for_a_reader_are_reported_and_erased_later(path, no_waiting):
    with Gallery(path, CARD) as gallery:
        gallery.enroll("gone for good", faces_of(0))
        gallery.enroll("stays", faces_of(1))
        entries = [entry for _, entry in gallery.entries("gone for good")]
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM photos").fetchone()
        removed = gallery.remove("gone for good")
        assert removed.photos == 3
        assert not removed.erased
        assert gallery.count() == (1, 3)
        assert leftovers(path, "gone for good", entries)
        reader.close()
        # The next change erases them.
        gallery.enroll("another", faces_of(2))
        assert not leftovers(path, "gone for good", entries)


def test_people_command_reports_bytes_that_are_left(path, capsys, no_waiting):
    with Gallery(path, CARD) as gallery:
        gallery.enroll("a", faces_of(0))
        gallery.enroll("b", faces_of(1))
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM photos").fetchone()
    assert main(["people", "--gallery", path, "--remove", "a"]) == 0
    assert "Another process is reading" in capsys.readouterr().out
    reader.close()
    assert main(["people", "--gallery", path]) == 0
    assert "1 person, 3 photos" in capsys.readouterr().out
