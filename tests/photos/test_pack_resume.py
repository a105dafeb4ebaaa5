"""Packing that is killed at any moment can be resumed, and ends with the bytes of an uninterrupted run."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest
from rules import read_by_the_rules

from gluonfr.core import GluonFRError
from gluonfr.photos.folder_lock import lock_folder
from gluonfr.photos.packing import journal, pack
from gluonfr.photos.packing.crops import Cropper, CropResult


def image(seed, kind, size=112):
    pixels = cv2.resize(np.random.RandomState(seed).randint(0, 256, (5, 5, 3), np.uint8), (size, size))
    return cv2.imencode(kind, pixels)[1].tobytes()


def people(folder, count, per_person, kind=".jpg", size=112):
    for person in range(count):
        place = Path(folder, f"person {person}")
        place.mkdir(parents=True)
        for i in range(per_person):
            (place / f"{i}{kind}").write_bytes(image(1000 * person + i, kind, size))
    # Something to leave out, and something to report.
    (place / "bad.jpg").write_bytes(b"no image")
    (place / "copy.jpg").write_bytes((place / f"0{kind}").read_bytes())
    return Path(folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


@contextlib.contextmanager
def killed_at(step, torn):
    """Let this process be killed by SIGKILL when it is about to touch the disk for the `step`-th time."""
    count = [0]

    def counted(function, before=None):
        def run(*arguments, **options):
            if count[0] == step:
                if before and torn:
                    before(*arguments)
                os.kill(os.getpid(), signal.SIGKILL)
            count[0] += 1
            return function(*arguments, **options)

        return run

    def half_a_line(self, row):
        self._lines.write(b'{"name": "person 0/0.j')
        self._lines.flush()

    for place, name in ((os, "replace"), (os, "unlink"), (os, "fsync"), (os, "rmdir"), (os, "makedirs"), (os, "ftruncate")):
        setattr(place, name, counted(getattr(place, name)))
    journal.Journal._write = counted(journal.Journal._write, half_a_line)
    yield count


def run_killed(step, torn, *arguments, **options):
    """Pack in a forked process that is killed at this step; returns whether it lived to the end."""
    child = os.fork()
    if not child:
        status = 1
        try:
            with killed_at(step, torn):
                pack(*arguments, **options)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert status == 0 or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL)
    return status == 0


def check_unfinished(out, allowed):
    """A train.rec that is there is one of the whole ones, and its companions are its own."""
    if (out / "train.rec").exists():
        assert (out / "train.rec").read_bytes() in [contents["train.rec"] for contents in allowed]
        (found,) = [contents for contents in allowed if contents["train.rec"] == (out / "train.rec").read_bytes()]
        for name in ("train.idx", "property", "identities.csv"):
            assert (out / name).read_bytes() == found[name]
        read_by_the_rules(out)


def finish(*arguments, **options):
    # A run that was killed after the rename of the last file has finished the set.
    out = Path(arguments[1])
    if (out / "train.rec").exists() and not journal.Journal.exists(str(out / ".pack")) and not options.get("overwrite"):
        with pytest.raises(GluonFRError, match="finished set"):
            pack(*arguments, **options)
    else:
        pack(*arguments, **options)


@pytest.mark.system
@pytest.mark.parametrize("torn", [False, True])
def test_run_killed_at_any_step_can_be_resumed(tmp_path, torn):
    photos = people(tmp_path / "photos", 2, 3)
    pack(photos, tmp_path / "reference", aligned=True, workers=0)
    reference = contents(tmp_path / "reference")
    for step in range(1000):
        out = tmp_path / f"out{step}"
        lived = run_killed(step, torn, photos, out, aligned=True, workers=0)
        if out.exists():
            check_unfinished(out, [reference])
        finish(photos, out, aligned=True, workers=0)
        assert contents(out) == reference, step
        if lived:
            break
    assert lived
    assert step > 35


@pytest.mark.system
def test_set_replaced_by_a_killed_run_is_never_a_mixture(tmp_path):
    photos, old = people(tmp_path / "photos", 2, 3), people(tmp_path / "old", 3, 2)
    pack(photos, tmp_path / "reference", aligned=True, workers=0)
    pack(old, tmp_path / "old_reference", aligned=True, workers=0)
    reference, old_reference = contents(tmp_path / "reference"), contents(tmp_path / "old_reference")
    for step in range(1000):
        out = tmp_path / f"out{step}"
        pack(old, out, aligned=True, workers=0)
        lived = run_killed(step, False, photos, out, aligned=True, workers=0, overwrite=True)
        check_unfinished(out, [reference, old_reference])
        finish(photos, out, aligned=True, workers=0, overwrite=True)
        assert contents(out) == reference, step
        if lived:
            break
    assert lived
    assert step > 35


def test_finished_photos_are_not_processed_again(tmp_path, monkeypatch):
    photos = people(tmp_path / "photos", 3, 4)
    done, most = [], [5]

    class InterruptedRunError(Exception):
        pass

    def guarded(self, path, make):
        if len(done) == most[0]:
            raise InterruptedRunError
        done.append(path)
        return original(self, path, make)

    original = Cropper._crop_file
    monkeypatch.setattr(Cropper, "_crop_file", guarded)
    with pytest.raises(InterruptedRunError):
        pack(photos, tmp_path / "out", aligned=True, workers=0)
    first, done[:], most[0] = list(done), [], 100
    packed = pack(photos, tmp_path / "out", aligned=True, workers=0)
    assert packed.done_before == 5
    assert len(done) == 14 - 5
    assert not set(first) & set(done)
    monkeypatch.undo()
    pack(photos, tmp_path / "reference", aligned=True, workers=0)
    assert contents(tmp_path / "out") == contents(tmp_path / "reference")


@pytest.fixture
def half_done(tmp_path, monkeypatch):
    """photos, and an `out` of which all photos are done and nothing is assembled."""
    photos = people(tmp_path / "photos", 2, 3)

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["gluonfr.photos.packing.pack"], "_assemble", stop)
    with pytest.raises(KeyboardInterrupt):
        pack(photos, tmp_path / "out", aligned=True, workers=0)
    monkeypatch.undo()
    return photos, tmp_path / "out"


def test_changed_photos_are_processed_again(half_done, tmp_path):
    photos, out = half_done
    changed = photos / "person 0" / "1.jpg"
    changed.write_bytes(image(77, ".jpg"))
    os.utime(changed, ns=(1, 1))
    (photos / "person 0" / "2.jpg").unlink()
    (photos / "person 1" / "new.jpg").write_bytes(image(78, ".jpg"))
    packed = pack(photos, out, aligned=True, workers=0)
    assert packed.done_before == 6
    pack(photos, tmp_path / "reference", aligned=True, workers=0)
    assert contents(out) == contents(tmp_path / "reference")


@pytest.mark.parametrize(
    "damage", ["crops cut", "crops gone", "crop changed", "line changed", "line cut", "first line", "empty"]
)
def test_damaged_journal_only_costs_work(half_done, tmp_path, damage):
    photos, out = half_done
    crops, lines = out / ".pack" / "crops", out / ".pack" / "journal"
    content, text = crops.read_bytes(), lines.read_bytes()
    rows = text.splitlines(keepends=True)
    if damage == "crops cut":
        crops.write_bytes(content[: len(content) // 2])
    elif damage == "crops gone":
        crops.unlink()
    elif damage == "crop changed":
        crops.write_bytes(content[:-50] + bytes(50))
    elif damage == "line changed":
        lines.write_bytes(b"".join(rows[:3] + [b"\0" * 80 + b"\n"] + rows[4:]))
    elif damage == "line cut":
        lines.write_bytes(text[:-7])
    elif damage == "first line":
        lines.write_bytes(b"\xff" + text)
    else:
        lines.write_bytes(b"")
    packed = pack(photos, out, aligned=True, workers=0)
    assert packed.done_before < 8
    pack(photos, tmp_path / "reference", aligned=True, workers=0)
    assert contents(out) == contents(tmp_path / "reference")


def test_everything_after_the_last_valid_line_is_removed(half_done):
    _, out = half_done
    lines = out / ".pack" / "journal"
    rows = lines.read_bytes().splitlines(keepends=True)
    lines.write_bytes(b"".join([*rows[:3], b"\0\n", *rows[4:]]))
    settings = json.loads(rows[0])["settings"]
    opened = journal.Journal(str(out / ".pack"), settings)
    opened.close()
    assert len(opened) == 2
    assert lines.read_bytes() == b"".join(rows[:3])
    kept = sum(json.loads(row).get("length", 0) for row in rows[1:3])
    assert (out / ".pack" / "crops").stat().st_size == kept > 0


@pytest.mark.parametrize(
    "row",
    [
        {"digest": "x"},
        {"name": [], "file": None, "digest": "x", "reason": "", "detail": ""},
        {"name": "a", "file": None, "digest": "x"},
        {"name": "a", "file": None, "digest": "x", "at": -5, "length": 3, "crc": 0, "ambiguous": False},
        {"name": "a", "file": None, "digest": "x", "at": 0, "length": 1 << 62, "crc": 0, "ambiguous": False},
        {"name": "a", "file": [1], "digest": "x", "reason": "no face", "detail": ""},
        {"name": "a", "file": None, "digest": "x", "at": 0, "length": 3, "crc": 0},
    ],
)
def test_the_journal_ends_at_its_first_invalid_line(tmp_path, row):
    opened = journal.Journal(str(tmp_path / "work"), {"quality": 95})
    opened.add("Ann/1.jpg", None, CropResult(b"crop", digest="ab"))
    opened.close()
    with open(tmp_path / "work" / "journal", "a", encoding="ascii") as file:
        file.write(json.dumps(row) + "\n")
    again = journal.Journal(str(tmp_path / "work"), {"quality": 95})
    assert len(again) == 1
    assert again.result("Ann/1.jpg").payload == b"crop"
    again.remove()


def test_other_options_are_rejected_or_start_again(half_done, tmp_path):
    photos, out = half_done
    with pytest.raises(GluonFRError, match=r"quality 95 before, 90 now.*overwrite=True"):
        pack(photos, out, aligned=True, workers=0, quality=90)
    packed = pack(photos, out, aligned=True, workers=0, image_size=(96, 96), overwrite=True)
    assert packed.done_before == 0
    assert cv2.imdecode(np.frombuffer(read_by_the_rules(out)[0][0], np.uint8), 1).shape == (
        96,
        96,
        3,
    )


def test_second_run_in_the_same_folder_is_rejected(half_done):
    photos, out = half_done
    with lock_folder(out), pytest.raises(GluonFRError, match="another process"):
        pack(photos, out, aligned=True, workers=0)
    assert pack(photos, out, aligned=True, workers=0).done_before == 8


def kill_at_random(tmp_path, photos, reference, seed):
    """Start the command again and again, killed at random, until it ends well; returns how many kills hit the work."""
    rng, out, hits = random.Random(seed), tmp_path / f"out{seed}", 0
    command = [sys.executable, "-m", "gluonfr", "pack", photos, out, "--aligned", "--workers", "2"]
    for attempt in range(20):
        process = subprocess.Popen([str(argument) for argument in command], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        if attempt < 3:
            before = size_of(out)
            while process.poll() is None and size_of(out) == before:
                time.sleep(0.001)
            time.sleep(rng.random() ** 2 * 0.6)
            children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
            process.send_signal(signal.SIGKILL)
            # Nobody is left behind to write or to hold memory.
            assert not psutil.wait_procs(children, timeout=20)[1]
            hits += process.wait() == -signal.SIGKILL
        errors = process.communicate()[1].decode()
        check_unfinished(out, [reference])
        if process.returncode != -signal.SIGKILL:
            assert process.returncode == 1 or "finished set" in errors, errors
            assert contents(out) == reference
            return hits
    raise AssertionError("it never ended")


def size_of(out):
    path = out / ".pack" / "journal"
    return path.stat().st_size if path.exists() else 0


@pytest.mark.system
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.full) for seed in range(1, 11))])
def test_command_killed_at_random_moments_can_be_resumed(tmp_path, seed):
    # PNG of another size, so that a photo takes a few milliseconds.
    photos = people(tmp_path / "photos", 10, 30, ".png", 448)
    pack(photos, tmp_path / "reference", aligned=True, workers=0)
    hits = kill_at_random(tmp_path, photos, contents(tmp_path / "reference"), seed)
    assert hits >= 1
