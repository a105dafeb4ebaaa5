"""The embedded engine under kills, beside readers and other writers."""

import os
import random
import select
import signal
import sqlite3
import time
from collections import Counter

import numpy as np
import pytest
from synthetic_people import CARD, child_of, faces_of, leftovers

from gluonfr.apps.gallery.gallery import Gallery

pytestmark = pytest.mark.system

PHOTOS = 5


def change_forever(path, mark):
    """Enroll people and remove every third of them, saying before and after."""

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


def kill_at_random_moments(path, rounds, seed):
    """SIGKILL a process that changes a gallery, `rounds` times; checks the file after each. Returns how much was done."""
    generator, total = random.Random(seed), Counter()
    expected = set()
    for mark in range(rounds):
        child, pipe = child_of(change_forever(path, f"{seed}.{mark}"))
        # It must have begun, or nothing would be tested.
        assert select.select([pipe], [], [], 60)[0]
        time.sleep(generator.uniform(0, 0.2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(pipe, "rb") as said:
            lines = said.read().decode().splitlines()
        words = [line.split(" ") for line in lines]
        done = {
            what: {name for word, name in words if word == what} for what in ("enrolling", "enrolled", "removing", "removed")
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


def test_kills_lose_no_acknowledged_change(path):
    total = kill_at_random_moments(path, 12, 0)
    assert total["enrolled"] > 50
    assert total["removed"] > 5


@pytest.mark.full
def test_a_hundred_kills_lose_no_acknowledged_change(path):
    total = kill_at_random_moments(path, 100, 1)
    assert total["enrolled"] > 500
    assert total["removed"] > 100


def test_kill_during_creation_leaves_no_partial_file(path):
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


def test_reader_sees_complete_people_during_writes(path):
    with Gallery(path, CARD) as gallery:
        gallery.enroll("first", faces_of(1, PHOTOS))
    child, pipe = child_of(change_forever(path, "w"))
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


def test_two_processes_can_write(path):
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
