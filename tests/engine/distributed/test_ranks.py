"""Training in several processes is training on as many devices of one."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import rank_program

from gluonfr.core import GluonFRError
from gluonfr.engine import Run, TrainOptions
from gluonfr.engine.checkpoints.format import read_arrays
from gluonfr.engine.checkpoints.snapshot import take_snapshot
from gluonfr.engine.distributed.horovod_group import load_horovod
from gluonfr.engine.distributed.launcher import launch
from gluonfr.ops.build import cache_folder
from gluonfr.viz import read_log

pytestmark = pytest.mark.system


def needs(sync):
    if sync == "horovod":
        try:
            load_horovod()
        except GluonFRError as error:
            pytest.skip(str(error))


def train(options, out, *more, environment=None):
    network = ",".join(f"{key}={value!r}" for key, value in dict(options["network_args"], dropout=0).items())
    arguments = ["--dataset", "blobs", "--val", "val_data", "--root", options["root"], "--out", out, "--lr", "0.05"]
    arguments += ["--network", options["network"], "--network-args", network, "--loss", "cos", "--loss-args", "s=12,m=0.1"]
    arguments += ["--augment", "flip", "--average", "0", "--clip-norm", "0", "--warmup", "0", "--final-lr", "0"]
    arguments += ["--batch-size", "12", "--steps", "7", "--log-every", "1", "--threads", "1", *more]
    done = subprocess.run(
        [sys.executable, "-m", "gluonfr", "train", *arguments],
        stdout=-1,
        stderr=-1,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, done.stderr
    return read_log(os.path.join(out, "log.jsonl")), last(out)


def last(out):
    folder = os.path.join(out, "checkpoints", "step_00000007")
    with open(os.path.join(folder, "meta.json")) as file:
        names = json.load(file)["files"]
    classes = sorted((int(name.split("_")[0][7:]), name[:-4]) for name in names if name.endswith("weight.npy"))
    rows = [read_arrays(folder, name) for _, name in classes]
    return {**read_arrays(folder, "parameters"), **({"classes": np.concatenate(rows)} if rows else {})}


CASES = [
    ("horovod", 2, ["--clip-norm", "5"]),
    ("horovod", 2, ["--classifier", "sharded", "--average", "0.9"]),
    ("ps", 2, ["--average", "0.9"]),
    # 42 images are two batches of 21: what is left over would come first in the ranks' next epoch, but not in one process's.
    pytest.param("horovod", 3, ["--classifier", "sharded", "--batch-size", "21"], marks=pytest.mark.full),
    pytest.param("horovod", 2, ["--loss", "CurricularFace"], marks=pytest.mark.full),
    pytest.param("horovod", 2, ["--loss", "CenterLoss", "--loss-args", ""], marks=pytest.mark.full),
]


@pytest.mark.parametrize(("sync", "ranks", "more"), CASES)
def test_ranks_train_as_the_devices_of_one_process_do(small_options, tmp_path, sync, ranks, more):
    needs(sync)
    log, arrays = train(small_options, str(tmp_path / "one"), "--cpus", str(ranks), *more)
    others, theirs = train(small_options, str(tmp_path / "several"), "--workers", str(ranks), "--sync", sync, *more)
    losses, again = ([row["loss"] for row in rows if "loss" in row] for rows in (log, others))
    # With 12 of 42 the last batch of an epoch is a smaller one, and shared evenly.
    assert len(losses) == len(again) == 7
    np.testing.assert_allclose(again, losses, rtol=1e-4)
    figures = [[row[key] for row in rows for key in row if key.startswith("val_data/")] for rows in (log, others)]
    assert figures[0]
    np.testing.assert_allclose(*figures, atol=1e-3)
    assert arrays.keys() == theirs.keys()
    for name in arrays:
        np.testing.assert_allclose(theirs[name], arrays[name], rtol=1e-3, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("more", [["--distill", "l2"], ["--distill", "logits", "--label-weight", "0"]])
def test_ranks_learn_from_a_teacher_as_the_devices_of_one_process_do(small_options, tmp_path, more):
    teacher = str(tmp_path / "teacher")
    # The student has embeddings of another size, which a trained layer maps to those of the teacher.
    train(small_options, teacher)
    student = dict(small_options, network_args=dict(small_options["network_args"], embedding_size=12))
    results, caches = [], []
    for name, processes in (("one", ["--cpus", "2"]), ("several", ["--workers", "2", "--sync", "ps"])):
        # Both compute the embeddings of the teacher; the operators are compiled already.
        cache = tmp_path / f"{name}_cache"
        (cache / "gluonfr").mkdir(parents=True)
        (cache / "gluonfr" / "ops").symlink_to(cache_folder())
        options = ["--teacher", os.path.join(teacher, "last"), "--distill-weight", "10", *processes, *more]
        results.append(train(student, str(tmp_path / name), *options, environment={"XDG_CACHE_HOME": str(cache)}))
        caches.append([np.load(path) for path in (cache / "gluonfr" / "embeddings").iterdir()])
    (rows,), (theirs,) = caches
    assert rows.shape == (42, 16)
    np.testing.assert_allclose(theirs, rows, rtol=1e-4, atol=1e-5)
    losses, again = ([row["loss"] for row in log if "loss" in row] for log, _ in results)
    assert len(losses) == 7
    np.testing.assert_allclose(again, losses, rtol=1e-4)
    for name, array in results[0][1].items():
        np.testing.assert_allclose(results[1][1][name], array, rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_run_resumes_with_other_ranks_and_its_classes_divided_again(small_options, tmp_path):
    needs("horovod")
    out = str(tmp_path / "run")
    train(small_options, out, "--classifier", "sharded", "--workers", "2")
    folder = os.path.join(out, "checkpoints", "step_00000007")
    network_args = dict(small_options["network_args"], dropout=0)
    options = dict(
        small_options, network_args=network_args, out=out, lr=0.05, batch_size=12, steps=7, cpus=3, classifier="sharded"
    )
    run = Run(TrainOptions(**options))
    with run.opened():
        arrays, _ = take_snapshot(run.step)
    for what in ("weight", "weight.state0"):
        # Six classes: 3 and 3 in the checkpoint, 2, 2 and 2 here.
        stored = np.concatenate([read_arrays(folder, f"classes{first}_{what}") for first in (0, 3)])
        here = np.concatenate([arrays[f"classes{first}_{what}"] for first in (0, 2, 4)])
        assert stored.shape == (6, 16)
        assert (stored == here).all()
        assert np.abs(stored).max() > 0
    for name, array in read_arrays(folder, "optimizer").items():
        assert (arrays["optimizer"][name] == array).all()


@pytest.mark.parametrize("sync", ["horovod", "ps"])
def test_a_validation_that_fails_on_one_rank_stops_all_after_a_checkpoint(small_options, tmp_path, sync, capfd):
    needs(sync)
    options = dict(small_options, out=str(tmp_path / "run"), batch_size=12, steps=3)
    (tmp_path / "options.json").write_text(json.dumps(options))
    command = [sys.executable, rank_program.__file__, "validation", str(tmp_path)]
    outcome = launch(command, 2, sync, logs=str(tmp_path / "ranks"), hang_timeout=60)
    assert outcome.status == 2
    assert "the validation after step 3 failed: one rank cannot embed its images" in capfd.readouterr().err + outcome.message
    assert os.listdir(tmp_path / "run" / "checkpoints") == ["step_00000003"]
