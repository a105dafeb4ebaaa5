"""Runs killed at any moment go on as if they had not been. `make test-faults` kills a hundred, `make test` a dozen."""

import contextlib
import os
import random
import resource
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from gluonfr.core import GluonFRError
from gluonfr.data import RecordWriter
from gluonfr.engine.checkpoints.format import read_arrays
from gluonfr.engine.checkpoints.manager import CheckpointManager
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.distributed.horovod_group import load_horovod
from gluonfr.viz import read_log

pytestmark = pytest.mark.system

KILLS = int(os.environ.get("GLUONFR_KILLS", 3))
# More than a run gets to before it is killed so often.
STEPS = 16 + 5 * KILLS
MODES = {
    "one context": ["--cpus", "1", "--average", "0.9"],
    "two contexts": ["--cpus", "2", "--clip-norm", "5"],
    "sampled": ["--cpus", "2", "--dataset", "many", "--sample-rate", "0.5", "--optimizer", "adam", "--lr", "0.01"],
    "two ranks": ["--workers", "2", "--dataset", "many", "--sample-rate", "0.5", "--sample-correction", "--average", "0.9"],
    "in a checkpoint": ["--cpus", "2", "--classifier", "sharded", "--accumulate", "2"],
}


def command(options, out, more):
    network = ",".join(f"{key}={value!r}" for key, value in options["network_args"].items())
    arguments = ["--dataset", "blobs", "--root", options["root"], "--out", out, "--network", options["network"]]
    arguments += ["--network-args", network, "--loss", "cos", "--loss-args", "s=12,m=0.1", "--batch-size", "14"]
    arguments += [
        "--steps",
        str(STEPS),
        "--log-every",
        "1",
        "--threads",
        "1",
        "--checkpoint-steps",
        "2",
        "--augment",
        "standard",
    ]
    return [sys.executable, "-m", "gluonfr", "train", *arguments, *more]


@pytest.fixture(scope="module")
def many(small_root):
    """Adds the set `many` to the root: more people than a batch has images."""
    with RecordWriter(os.path.join(small_root, "many"), image_size=(32, 32)) as writer:
        for identity in range(60):
            writer.add(np.random.RandomState(identity).randint(0, 256, (32, 32, 3)).astype(np.uint8), identity)


def losses(out):
    path = os.path.join(out, "log.jsonl")
    return {row["step"]: row["loss"] for row in read_log(path) if "loss" in row} if os.path.exists(path) else {}


def everything(out):
    path, _ = CheckpointManager(os.path.join(out, "checkpoints"), Group()).latest()
    arrays = {}
    for file in sorted(os.listdir(path)):
        name, kind = os.path.splitext(file)
        if kind in (".npy", ".npz"):
            content = read_arrays(path, name)
            arrays.update({f"{name}/{key}": array for key, array in (content if kind == ".npz" else {"": content}).items()})
    return arrays


def writing(out):
    """Checkpoints under way: a killed run leaves one, which the next one clears."""
    found = set()
    for name in os.listdir(os.path.join(out, "checkpoints")) if os.path.isdir(os.path.join(out, "checkpoints")) else ():
        if name.endswith(".writing"):
            with contextlib.suppress(FileNotFoundError):
                found.add((name, os.stat(os.path.join(out, "checkpoints", name)).st_ino))
    return found


def kill_one_of(process, rng):
    """Kill the run, or any one process of several, which is the end of all of them."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    rng.choice([process for process in family if process.name() != "sh"]).kill()
    process.communicate(timeout=60)
    assert not psutil.wait_procs(family, timeout=20)[1], "processes are left"


@pytest.mark.parametrize("mode", sorted(MODES))
def test_a_run_killed_at_random_moments_repeats_the_unbroken_one_bit_by_bit(small_options, many, tmp_path, mode):
    if mode == "two ranks":
        try:
            load_horovod()
        except GluonFRError as error:
            pytest.skip(str(error))
    whole, broken = str(tmp_path / "whole"), str(tmp_path / "broken")
    assert subprocess.run(command(small_options, whole, MODES[mode]), stderr=subprocess.DEVNULL).returncode == 0
    rng, killed, mid = random.Random(mode), 0, 0
    while killed < KILLS:
        process = subprocess.Popen(command(small_options, broken, MODES[mode]), stderr=subprocess.PIPE, text=True)
        before, old, deadline = len(losses(broken)), writing(broken), time.time() + 120
        # Not before it got anywhere, or a killed run would never end.
        while len(losses(broken)) < before + rng.randint(0, 2) and process.poll() is None:
            assert time.time() < deadline
            time.sleep(0.001)
        if mode == "in a checkpoint":
            while not writing(broken) - old and process.poll() is None and time.time() < deadline:
                pass
            mid += bool(writing(broken) - old)
        else:
            time.sleep(rng.uniform(0, 0.3))
        if process.poll() is not None:
            assert process.returncode == 0, process.communicate()[1]
            break
        kill_one_of(process, rng)
        killed += 1
    last = subprocess.run(command(small_options, broken, MODES[mode]), stderr=subprocess.PIPE, text=True)
    assert last.returncode == 0, last.stderr
    print(f"{mode}: {killed} kills, {mid} of them seen in a checkpoint")
    assert killed == KILLS
    assert mode != "in a checkpoint" or mid > KILLS // 2
    assert losses(whole) == losses(broken)
    assert len(losses(whole)) == STEPS
    a, b = everything(whole), everything(broken)
    assert a.keys() == b.keys()
    assert len(a) > 10
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    assert not [name for name in os.listdir(os.path.join(broken, "checkpoints")) if not name.startswith("step_")]


def test_a_full_disk_ends_the_run_with_one_sentence_and_keeps_the_previous_checkpoint(small_options, tmp_path):
    whole, broken = str(tmp_path / "whole"), str(tmp_path / "broken")
    assert subprocess.run(command(small_options, whole, ["--keep-checkpoints", "1"]), stderr=subprocess.DEVNULL).returncode == 0
    started = subprocess.Popen(command(small_options, broken, ["--keep-checkpoints", "1"]), stderr=subprocess.PIPE, text=True)
    while not os.path.isdir(os.path.join(broken, "checkpoints", "step_00000002")):
        assert started.poll() is None
        time.sleep(0.001)
    # From here on no file of this process can grow beyond some bytes, as on a disk without room.
    resource.prlimit(started.pid, resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
    words = started.communicate()[1].splitlines()[-1]
    assert started.returncode == 2
    assert "cannot be written (File too large); free some space and run the same command again" in words
    left = os.listdir(os.path.join(broken, "checkpoints"))
    assert len(left) == 1
    assert left[0].startswith("step_")
    assert (
        subprocess.run(command(small_options, broken, ["--keep-checkpoints", "1"]), stderr=subprocess.DEVNULL).returncode == 0
    )
    assert losses(whole) == losses(broken)
    a, b = everything(whole), everything(broken)
    assert a.keys() == b.keys()
    assert all((a[name] == b[name]).all() for name in a)
