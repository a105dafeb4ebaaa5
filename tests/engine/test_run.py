"""Whole runs: real records in, a network, metrics and pictures out."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from gluonfr.core import GluonFRError, TrainingStopped, UsageError
from gluonfr.core.mxnet_internals import parameters_by_path
from gluonfr.data import FRValDataset, write_pairs
from gluonfr.data.images import encode
from gluonfr.deploy import embed, embed_pairs
from gluonfr.engine import Run, TrainOptions, train, validate
from gluonfr.engine.checkpoints.format import read_arrays
from gluonfr.engine.checkpoints.snapshot import take_snapshot
from gluonfr.engine.run_folder import check_same_options
from gluonfr.viz import read_log
from gluonfr.weights.saved import load_network


@pytest.mark.parametrize("average", [0, 0.9])
def test_a_run_learns_and_writes_its_outputs(small_options, average):
    result = train(**dict(small_options, epochs=12, val_every=4, cpus=2, average=average, clip_norm=5, warmup=1))
    out = result.folder
    rows = read_log(os.path.join(out, "log.jsonl"))
    losses = [row["loss"] for row in rows if "loss" in row]
    assert losses[-1] < 0.5 * losses[0]
    assert result.steps == 36
    assert result.images == 12 * 42
    accuracies = [row["val_data/accuracy"] for row in rows if "val_data/accuracy" in row]
    assert len(accuracies) == 3
    assert result.validation["val_data"].accuracy == accuracies[-1] > 0.8
    aucs = [row["val_data/auc"] for row in rows if "val_data/auc" in row]
    best = [row["step"] for row in rows if "val_data/auc" in row].index(result.best["step"])
    assert result.best["auc"] == aucs[best]
    assert result.best["accuracy"] == {"val_data": accuracies[best]}
    # Of networks with equal results the first one is the best.
    assert result.best["partial_auc"] >= result.validation["val_data"].roc.partial_auc(0.1)
    for picture in result.pictures:
        assert cv2.imread(picture).shape[0] > 200
    assert sorted(map(os.path.basename, result.pictures)) == ["curves.png", "roc.png", "scores_val_data.png"]
    with open(os.path.join(out, "results.json")) as file:
        assert json.load(file)["val_data"]["accuracy"] == accuracies[-1]
    # The saved network is the one that was validated: averaged weights, the devices' statistics together, no classifier.
    net, card = load_network(os.path.join(out, "last"))
    assert card.network == "lresnet10e_ir"
    assert card.image_size == (32, 32)
    for threshold in card.thresholds:
        at = next(at for at in result.validation["val_data"].tar_at_far if at.target == threshold["far"])
        assert at.resolvable
        assert threshold["measured_on"] == "val_data"
        # A pair that just passes: two unit vectors at this squared distance; no more impostors do than the rate allows.
        roc = result.validation["val_data"].roc
        passes = roc.thresholds[:-1] < 2 - 2 * threshold["similarity"]
        assert np.diff(roc.false_accepts)[passes].sum() == int(threshold["far"] * roc.impostors)
    assert card.thresholds
    pairs = FRValDataset("blobs/val_data", root=small_options["root"])
    again = validate(net, pairs, progress=False)
    assert again.accuracy == accuracies[-1]
    assert again.auc == result.validation["val_data"].auc


def test_validation_is_the_flip_sum_of_the_networks_own_outputs(small_options):
    net, _ = load_network(os.path.join(train(**dict(small_options, epochs=1)).folder, "last"))
    pairs = FRValDataset("more", root=small_options["root"])
    distances = []
    for i in range(len(pairs)):
        unit = []
        for image in pairs[i][0]:
            x = image.asnumpy().transpose(2, 0, 1)[None].astype("float32") / 255
            e = sum(net(nd.array(np.ascontiguousarray(pixels))).asnumpy()[0] for pixels in (x, x[..., ::-1]))
            unit.append(e / np.linalg.norm(e))
        distances.append(np.sum((unit[0] - unit[1]) ** 2))
    for batch_size, contexts in ((7, [mx.cpu()]), (16, [mx.cpu(0), mx.cpu(1)])):
        result = validate(net if len(contexts) == 1 else _on(net, contexts), pairs, contexts, batch_size, progress=False)
        np.testing.assert_allclose(result.roc.thresholds[:-1], np.unique(np.float32(distances)), rtol=1e-3, atol=1e-5)


def _on(net, contexts):
    net.collect_params().reset_ctx(contexts)
    return net


def command(options, *more):
    arguments = [sys.executable, "-m", "gluonfr", "train", "--log-every", "1", "--threads", "1"]
    names = ("dataset", "root", "out", "network", "loss", "batch_size", "lr")
    for name in names:
        arguments += ["--" + name.replace("_", "-"), str(options[name])]
    for name in ("network_args", "loss_args"):
        text = ",".join(f"{key}={value!r}" for key, value in options[name].items())
        arguments += ["--" + name.replace("_", "-"), text]
    return arguments + ["--cpus", "2", "--steps", "8", "--average", "0.9", "--checkpoint-every", "1", *more]


def start(arguments):
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def parameters(out):
    return {name: array.asnumpy() for name, array in nd.load(os.path.join(out, "last", "network.params")).items()}


def losses(out):
    return {row["step"]: row["loss"] for row in read_log(os.path.join(out, "log.jsonl")) if "loss" in row}


@pytest.mark.system
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_or_stopped_run_resumes_bit_exact(small_options, tmp_path, how):
    whole, broken = (dict(small_options, out=str(tmp_path / name)) for name in ("whole", "broken"))
    assert start(command(whole)).wait(120) == 0
    process = start(command(broken))
    deadline = time.time() + 100
    wanted = os.path.join(broken["out"], "checkpoints", "step_00000003")
    while not os.path.isdir(wanted) and time.time() < deadline:
        time.sleep(0.002)
    process.send_signal(how)
    _, words = process.communicate(timeout=60)
    if process.returncode == 130:
        assert "run the same command again to resume" in words
    resumed = start(command(broken))
    assert resumed.wait(120) == 0, resumed.communicate()[1]
    assert losses(whole["out"]) == losses(broken["out"])
    a, b = parameters(whole["out"]), parameters(broken["out"])
    assert a.keys() == b.keys()
    assert all((a[name] == b[name]).all() for name in a)


def test_a_loss_that_is_not_finite_stops_the_run_with_advice(small_options):
    with pytest.raises(GluonFRError, match="the loss became nan before step .* lower lr="):
        train(**dict(small_options, lr=1e20, epochs=20, loss="softmax", loss_args={}))
    assert not os.path.exists(os.path.join(small_options["out"], "last"))


def test_resuming_with_other_options_or_from_damage_is_refused_and_changes_nothing(small_options):
    train(**dict(small_options, epochs=2, val=[]))
    again = dict(small_options, epochs=2, val=[], resume=True)
    assert train(**again).steps == 0
    with open(os.path.join(small_options["out"], "options.json")) as file:
        before = file.read()
    other = dict(small_options["network_args"], embedding_size=24)
    changes = [
        {"network_args": other},
        {"lr": 0.01},
        {"epochs": 3},
        {"seed": 1},
        {"average": 0.5},
        {"loss": "arc"},
    ]
    for change in changes:
        with pytest.raises(GluonFRError, match=f"step_00000006 was written with {next(iter(change))}=.* instead of "):
            train(**{**again, **change})
    with open(os.path.join(small_options["out"], "options.json")) as file:
        assert file.read() == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(folder / "parameters.npz", 100),
        lambda folder: os.remove(folder / "optimizer.npz"),
        lambda folder: (folder / "meta.json").write_text("{"),
        lambda folder: flip_a_bit(folder / "meta.json"),
        lambda folder: os.remove(folder / "meta.crc32"),
        lambda folder: flip_a_bit(folder / "statistics0.npz"),
    ],
)
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_used(small_options, damage, caplog):
    whole = train(**dict(small_options, epochs=2, val=[]))
    wanted = parameters(whole.folder)
    checkpoints = Path(small_options["out"]) / "checkpoints"
    assert sorted(os.listdir(checkpoints)) == ["step_00000003", "step_00000006"]
    damage(checkpoints / "step_00000006")
    with caplog.at_level(logging.WARNING):
        again = train(**dict(small_options, epochs=2, val=[], resume=True))
    assert again.steps == 3
    assert "step_00000006 is damaged" in caplog.text
    assert all((parameters(again.folder)[name] == array).all() for name, array in wanted.items())
    for checkpoint in checkpoints.iterdir():
        damage(checkpoint)
    with pytest.raises(GluonFRError, match="all checkpoints are damaged"):
        train(**dict(small_options, epochs=2, val=[]))


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_run_on_other_devices_resumes_and_warns_that_it_is_not_exact(small_options, caplog):
    train(**dict(small_options, steps=3, epochs=2, val=[]))
    folder = os.path.join(small_options["out"], "checkpoints", "step_00000003")
    before = read_arrays(folder, "parameters")
    with caplog.at_level(logging.WARNING):
        run = Run(TrainOptions(**dict(small_options, steps=3, epochs=2, val=[], cpus=2)))
        with run.opened():
            after, _ = take_snapshot(run.step)
    assert "written on 1 devices of 1 processes, this run has 2 of 1" in caplog.text
    assert all((after["parameters"][name] == array).all() for name, array in before.items())


def test_a_folder_in_use_is_refused_and_so_is_another_run_in_it(small_options):
    run = Run(TrainOptions(**dict(small_options, epochs=1, val=[])))
    with run.opened(), pytest.raises(UsageError, match=f"is in use by a live training run .process {os.getpid()}.; wait"):
        train(**dict(small_options, epochs=1, val=[]))
    # No checkpoint yet: nothing is lost by starting again, but not as another run.
    with pytest.raises(UsageError, match="lr=0.1 instead of 0.2"):
        train(**dict(small_options, epochs=1, val=[], lr=0.2))
    with pytest.raises(UsageError, match="holds no checkpoint to resume from"):
        train(**dict(small_options, epochs=1, val=[], resume=True))
    assert train(**dict(small_options, epochs=1, val=[])).steps == 3


def test_a_run_without_a_new_option_resumes_with_its_default(small_options):
    chosen = TrainOptions(**small_options)
    before = chosen.fixed_on_resume()
    # Also one whose default, a tuple, is a list in JSON.
    for name in ("sample_correction", "drops"):
        del before[name]
    check_same_options("step_1", {"options": before}, chosen)
    before["lr"] = 7
    with pytest.raises(GluonFRError, match="step_1 was written with lr=7 instead of 0.1"):
        check_same_options("step_1", {"options": before}, chosen)
    corrected = TrainOptions(**dict(small_options, sample_rate=0.5, sample_correction=True))
    with pytest.raises(GluonFRError, match="written with sample_correction=False instead of True"):
        check_same_options("step_1", {"options": dict(corrected.fixed_on_resume(), sample_correction=False)}, corrected)
    with pytest.raises(GluonFRError, match="sample_correction=True must be False when no classes are sampled"):
        TrainOptions(**dict(small_options, sample_correction=True))


@pytest.mark.parametrize("correct", [False, True])
def test_the_correction_of_a_sample_is_used_on_request(small_options, correct, caplog):
    caplog.set_level("INFO")
    options = dict(small_options, people=2, images_per_person=7, sample_rate=0.5, sample_correction=correct, steps=2)
    run = Run(TrainOptions(**options))
    assert [(shard.sampled, shard.corrected) for shard in run.head.shards] == [(3, correct)]
    assert run.train().steps == 2
    more = [array.asnumpy() for array in run.head._samples[0].more]
    # Four classes are not of the batch, and one of them stands for all.
    assert [sorted(row) for row in more] == ([pytest.approx([0, 0, np.log(4)])] if correct else [])
    assert ("1 other classes represent 4" in caplog.text) == correct
    assert ("3 of them in a step, corrected" in caplog.text) == correct


@pytest.mark.parametrize("val", [[], ["val_data"]])
def test_an_averaged_run_that_ended_before_its_first_checkpoint_starts_again(small_options, val):
    options = dict(small_options, steps=1, average=0.9, val=val)
    with Run(TrainOptions(**options)).opened():
        pass
    assert train(**options).steps == 1


def test_a_run_starts_from_the_weights_of_another(small_options, tmp_path):
    first = train(**dict(small_options, epochs=4))
    start = os.path.join(first.folder, "last")
    again = dict(small_options, out=str(tmp_path / "again"), steps=1, lr=1e-12, wd=0, pretrained=start, cpus=2)
    result = train(**again)
    before, _ = load_network(start)
    after, _ = load_network(os.path.join(result.folder, "last"))
    for (name, a), b in zip(parameters_by_path(before).items(), parameters_by_path(after).values()):
        if a.grad_req != "null":
            np.testing.assert_allclose(a.data().asnumpy(), b.data().asnumpy(), rtol=1e-4, atol=1e-6, err_msg=name)
    with pytest.raises(GluonFRError, match="nowhere"):
        train(**dict(again, out=str(tmp_path / "other"), pretrained=str(tmp_path / "nowhere")))


def pairs_of(path, count, size, same):
    rng = np.random.RandomState(0)
    images = [encode(rng.randint(0, 256, (size, size, 3)).astype(np.uint8)) for _ in range(2 * count)]
    write_pairs(str(path), images, [same(i) for i in range(count)])


def test_pairs_of_one_kind_do_not_stop_the_run_and_too_few_pairs_are_refused_at_once(small_options, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(small_options["root"], root)
    options = dict(small_options, root=str(root), epochs=1, val=["one", "val_data"])
    pairs_of(root / "one.bin", 12, 32, lambda i: True)
    result = train(**options)
    assert np.isnan(result.validation["one"].auc)
    assert os.path.exists(os.path.join(result.folder, "results.json"))
    assert len(result.pictures) == 4
    pairs_of(root / "few.bin", 9, 32, lambda i: i % 2 == 0)
    with pytest.raises(GluonFRError, match="few.bin: 9 pairs are too few"):
        train(**dict(options, val=["few"], out=str(tmp_path / "other")))


def test_pairs_of_another_size_are_resized_for_the_network(small_options, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(small_options["root"], root)
    pairs_of(root / "large.bin", 10, 64, lambda i: i % 2 == 0)
    result = train(**dict(small_options, root=str(root), epochs=1, val=["large"]))
    net, _ = load_network(os.path.join(result.folder, "last"))
    large = FRValDataset("large", root=str(root))
    again = validate(net, large, image_size=(32, 32), progress=False)
    assert again.accuracy == result.validation["large"].accuracy
    small = [cv2.resize(large.image(k), (32, 32), interpolation=cv2.INTER_AREA) for k in range(20)]
    wanted = embed(net, small)
    np.testing.assert_allclose(np.stack(embed_pairs(net, large, image_size=(32, 32)), 1).reshape(20, -1), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gpus": [99]}, "GPU 99 does not exist"),
        ({"dataset": "more"}, "verification set|training set"),
        ({"dataset": "nothing"}, "blobs"),
        ({"val": ["nothing"]}, "more"),
        ({"batch_size": 3, "cpus": 2}, "batch of 3 images cannot be split over 2 devices"),
        ({"network": "mobilefacenet", "network_args": {}}, "cannot process the images of 32x32"),
        ({"network": "resnet"}, "unknown network"),
        ({"loss": "triplett"}, "unknown loss"),
        ({"loss_args": {"margin": 1}}, "no argument 'margin'"),
        ({"schedule": "cos"}, "schedule=.* must be one of"),
        ({"lr": -1}, "lr=-1 must be positive"),
        ({"average": 1}, "average=1 must be"),
        ({"augment": "much"}, "unknown augmentation"),
        ({"augment_args": {"low_res": 1}}, "has no argument 'low_res'"),
        ({"augment_args": {"gray": "all"}}, "gray='all' of an augmentation must be a probability"),
        ({"warmup": 30}, "warm-up"),
        ({"optimizer": "admw"}, "optimizer='admw'"),
        ({"schedule": "step", "drops": [0]}, "cannot drop at step 0"),
        ({"loss_args": {"m": "x"}}, "m must be a number in"),
        ({"network_args": {"classes": 5}}, "must not contain classes"),
        ({"epochs": float("inf")}, "epochs=inf must be"),
    ],
)
def test_invalid_options_are_reported_in_one_sentence_and_nothing_is_written(small_options, changes, words):
    with pytest.raises(GluonFRError, match=words) as caught:
        train(**{**small_options, "epochs": 1, **changes})
    assert "\n" not in str(caught.value)
    assert not os.path.exists(small_options["out"])


def test_a_last_batch_too_small_for_the_devices_is_left_out(small_options):
    # 42 = 2 * 20 + 2: two devices would get one image each.
    result = train(**dict(small_options, batch_size=20, cpus=2, epochs=1, val=[]))
    assert result.images == 40


def test_a_validation_that_overflows_names_the_layer_and_keeps_the_checkpoint(small_options, monkeypatch):
    options = dict(small_options, steps=2)
    run = Run(TrainOptions(**options))
    layer = next(name for name in run.net.collect_params() if name.endswith("running_var"))
    step, layers = run.step, run.net.collect_params()

    class BrokenStatistics:
        """The validation of a network with a running variance of infinity and a running mean of NaN."""

        def __enter__(self):
            layers[layer.replace("var", "mean")].set_data(layers[layer].data() * float("nan"))

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(run.validator, "as_saved", BrokenStatistics)
    with pytest.raises(TrainingStopped, match=r"the validation after step 2 failed: layer .* \(BatchNorm\)"):
        run.train()
    assert step.step_number == 2
    assert os.listdir(os.path.join(options["out"], "checkpoints")) == ["step_00000002"]
