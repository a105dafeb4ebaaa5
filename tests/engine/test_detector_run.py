"""Training of detectors with the loop of the recognizer: files, resuming, devices, ranks, refusals."""

import json
import os
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest

from gluonfr.apps.runs.listing import columns, row
from gluonfr.apps.runs.records import read_run
from gluonfr.core import DataError, TrainingInterrupted, TrainingStopped, UsageError
from gluonfr.core.mxnet_internals import parameters_by_path
from gluonfr.data.detection import pack_detection, read_detection_folder
from gluonfr.data.synthetic.scenes import make_scenes
from gluonfr.detection import get_detector
from gluonfr.detection.matching import CLASS, FACE, TARGET_SIZE
from gluonfr.detection.multibox_loss import MultiBoxLoss
from gluonfr.detection.retinaface_network import BACKBONES
from gluonfr.detection.saved import load_detector
from gluonfr.engine import DetectorOptions, DetectorRun, TrainingObserver, TrainOptions, train_detector
from gluonfr.engine.detector import options as detector_options
from gluonfr.engine.detector.head import DetectorHead
from gluonfr.engine.detector.validation import DetectorValidator
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.finetuning.blocks import freeze_statistics
from gluonfr.engine.tracking.derived_options import derive_options
from gluonfr.viz import read_log


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Eight rendered scenes of 64 pixels as photos (`photos`) and as records (`packed`)."""
    folder = tmp_path_factory.mktemp("scenes")
    make_scenes(str(folder / "photos"), 8, size=64, progress=False)
    photos = read_detection_folder(folder / "photos")
    pack_detection(photos.faces, photos.photos, folder / "packed")
    return folder


def settings(root, out, **changes):
    """Keyword arguments of a run of some seconds."""
    fast = {"size": 64, "batch_size": 4, "steps": 4, "threads": 1, "log_every": 1, "progress": False}
    return {"data": str(root / "packed"), "val": str(root / "photos"), "out": str(out), **fast, **changes}


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    """Result of a run of two epochs that is validated after each."""
    out = tmp_path_factory.mktemp("runs") / "first"
    return train_detector(**settings(root, out, val_every=1, average=0.5))


def weights(folder):
    return {name: array.asnumpy() for name, array in mx.nd.load(os.path.join(folder, "last", "detector.params")).items()}


def losses(folder):
    return {row["step"]: row["loss"] for row in read_log(os.path.join(folder, "log.jsonl")) if "loss" in row}


def test_a_run_writes_a_detector_its_card_and_its_curves(trained, root):
    out = trained.folder
    assert (trained.steps, trained.images) == (4, 16)
    assert set(trained.validation) == {"all"}
    assert sorted(map(os.path.basename, trained.pictures)) == ["curves.png", "precision_recall.png"]
    rows = read_log(os.path.join(out, "log.jsonl"))
    aps = [row["all/ap"] for row in rows if "all/ap" in row]
    assert len(aps) == 2
    assert trained.best["ap"] == max(aps) == trained.best["ap_of"]["all"]
    with open(os.path.join(out, "results.json")) as file:
        assert json.load(file)["all"]["ap"] == aps[-1] == trained.validation["all"].ap
    _, card = load_detector(os.path.join(out, "last"))
    assert card.trained_on == "packed"
    assert card.evaluation["all"]["faces"] == trained.validation["all"].faces > 0
    assert 0.05 <= card.threshold <= 0.99
    # The saved detector is the one that was validated.
    detector = get_detector(os.path.join(out, "last"), min_size=10, threshold=0.02)
    val = read_detection_folder(root / "photos")
    validator = DetectorValidator(load_detector(os.path.join(out, "last"))[0], card, val, [mx.cpu()], progress=False)
    assert validator.validate(1)[0]["all"].ap == pytest.approx(aps[-1], abs=1e-9)
    assert len(detector.detect(val.read(0)).scores)


def test_a_run_is_listed_with_what_it_trains(trained):
    run = read_run(trained.folder)
    assert (run.state, run.step, run.network, run.loss, run.dataset) == ("finished", 4, "mobilenet0.25", "multibox", "packed")
    assert run.best["all AP"] == trained.best["ap"]
    names = columns([run])
    assert names[-2:] == ["all AP best", "all AP last"]
    assert row(run, names)["all AP last"] == trained.validation["all"].ap


class StopAt(TrainingObserver):
    def __init__(self, step):
        self.step = step

    def logged(self, step, values):
        if step == self.step:
            raise TrainingInterrupted("enough.")


def test_a_stopped_run_resumes_bit_exact(trained, root, tmp_path):
    options = settings(root, tmp_path / "broken", val_every=1, average=0.5, checkpoint_steps=2)
    with pytest.raises(TrainingInterrupted):
        train_detector(DetectorOptions(**options), observers=[StopAt(3)])
    assert read_run(options["out"]).state == "stopped"
    result = train_detector(**options, resume=True)
    assert result.steps == 2
    assert losses(options["out"]) == losses(trained.folder)
    expected = weights(trained.folder)
    assert all(np.array_equal(array, expected[name]) for name, array in weights(options["out"]).items())
    assert result.best == trained.best


def test_another_run_in_the_folder_is_refused_and_changes_nothing(trained, root):
    def times():
        names = set(os.listdir(trained.folder)) - {".lock"}
        return {name: os.stat(os.path.join(trained.folder, name)).st_mtime_ns for name in names}

    before = times()
    with pytest.raises(UsageError, match=r"rotate=0.0 instead of 0\.5"):
        train_detector(**settings(root, trained.folder, val_every=1, average=0.5, rotate=0.5))
    assert times() == before


def test_options_come_from_another_run(trained):
    options = derive_options(trained.folder, DetectorOptions, lr=0.003)
    assert (options.lr, options.size, options.average, options.parent) == (0.003, 64, 0.5, trained.folder)
    assert options.out == f"{trained.folder}-2"
    with pytest.raises(DataError, match="another version or kind of training"):
        derive_options(trained.folder, TrainOptions)


def test_training_continues_from_a_saved_detector(trained, root, tmp_path):
    best = os.path.join(trained.folder, "best")
    run = DetectorRun(DetectorOptions(**settings(root, tmp_path / "second", pretrained=best, steps=1)))
    start = parameters_by_path(load_detector(best)[0])
    for name, parameter in parameters_by_path(run.net).items():
        assert np.array_equal(parameter.data().asnumpy(), start[name].data().asnumpy())
    result = run.train()
    # Validated before the first step.
    assert result.best["start_ap"] == pytest.approx(trained.best["ap"], abs=1e-9)
    assert run.card.trained_on == "packed, packed"


def test_a_loss_that_is_not_finite_stops_the_run_with_advice(root, tmp_path):
    with pytest.raises(TrainingStopped, match="use a lower lr="):
        train_detector(**settings(root, tmp_path / "run", lr=1e30, clip_norm=0, warmup=0, val=""))
    assert read_run(str(tmp_path / "run")).state == "failed"


def first_change(root, out, cpus):
    """Return the weights before a step, and their change, with fixed statistics."""
    run = DetectorRun(DetectorOptions(**settings(root, out, cpus=cpus, val="", warmup=0, average=0)))
    # On each device, BatchNorm has the statistics of its own images.
    freeze_statistics(run.net)
    images, targets = next(run.loader.epoch(0))
    trained = [parameter for parameter in run.net.collect_params().values() if parameter.grad_req != "null"]
    before = np.concatenate([parameter.list_data()[0].asnumpy().ravel() for parameter in trained])
    run.step(images, targets)
    after = np.concatenate([parameter.list_data()[cpus - 1].asnumpy().ravel() for parameter in trained])
    return before, after - before


def test_two_devices_take_the_step_of_one(root, tmp_path):
    (before, change), (other, changed) = (first_change(root, tmp_path / str(cpus), cpus) for cpus in (1, 2))
    assert np.array_equal(before, other)
    assert np.abs(change).max() > 0
    # Sums of float32 in another order.
    assert np.abs(changed - change).max() < 1e-3 * np.abs(change).max()


class Ranks(Group):
    """The first of two ranks, whose other one answers with a value."""

    size = 2

    def __init__(self, other):
        self.other = other

    def gather_values(self, value):
        return json.loads(json.dumps([value, self.other]))


def test_losses_are_per_face_of_the_images_of_all_ranks():
    targets = mx.nd.zeros((2, 6, TARGET_SIZE))
    targets[0, :4, CLASS] = FACE
    head = DetectorHead(MultiBoxLoss(), Ranks([8, 4]))
    positives, counts = head.gather_labels(targets)
    # 4 anchors on faces in 2 images here, 8 in 4 there.
    assert (positives, counts) == (2.0, [2, 4])
    outputs = [mx.nd.zeros((2, channels, 1, 3)) for channels in (4, 8, 20)]
    found = []
    for value in (1.0, positives):
        head.begin(value, 0)
        found.append(head([outputs], [targets])[0].asnumpy())
    np.testing.assert_allclose(found[1], found[0] / 2, rtol=1e-6)


def test_ranks_share_the_photos_of_a_validation(trained, root):
    net, card = load_detector(os.path.join(trained.folder, "last"))
    val = read_detection_folder(root / "photos")
    rows = []
    for rank in range(2):
        group = Ranks([])
        group.rank = rank
        part = DetectorValidator(net, card, val, [mx.cpu()], group=group, progress=False)
        detector = part._current_detector(0)
        group.gather_values = lambda value: rows.append(value) or [value]
        part._match_all(detector, val)
    assert [[number for number, *_ in part] for part in rows] == [[0, 2, 4, 6], [1, 3, 5, 7]]
    part._group.gather_values = lambda value: json.loads(json.dumps(rows))
    matches = part._match_all(detector, val)
    alone = DetectorValidator(net, card, val, [mx.cpu()], progress=False)
    expected = alone._match_all(alone._current_detector(0), val)
    for found, one in zip(matches, expected):
        assert np.array_equal(found.scores, one.scores)
        assert np.array_equal(found.faces, one.faces)
        assert np.array_equal(found.first, one.first)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": ""}, "give either data="),
        ({"scenes": 10}, "give either data="),
        ({"data": "", "scenes": 10}, "val=.* must be left out with scenes="),
        ({"size": 100}, "size=100 must be a multiple of 32"),
        ({"rotate": 1.5}, "rotate=1.5 must be a fraction"),
        ({"backbone": "vgg"}, "backbone='vgg' must be one of mobilenet0.25, resnet50"),
        ({"lr": -1.0}, "lr=-1.0 must be positive"),
        ({"batch_size": 9}, "batch_size=9 is more than the 8 photos"),
        ({"batch_size": 2, "cpus": 3}, "batch_size=2 cannot be divided over 3 devices"),
        ({"warmup": 5.0}, "shorter warmup="),
        ({"pretrained": "missing"}, "pretrained='missing' is neither"),
        ({"resume": True}, "no checkpoint to resume from"),
    ],
)
def test_invalid_options_are_refused_and_nothing_is_written(root, tmp_path, changes, words):
    with pytest.raises(UsageError, match=words):
        train_detector(**settings(root, tmp_path / "run", **changes))
    assert not (tmp_path / "run" / "options.json").exists()


def test_data_that_cannot_be_used_is_named(root, tmp_path):
    with pytest.raises(DataError, match="pack the annotated photos first, with `gluonfr pack-detection .*photos OUT`"):
        train_detector(**settings(root, tmp_path / "run", data=str(root / "photos")))
    with pytest.raises(DataError, match="missing"):
        train_detector(**settings(root, tmp_path / "run", data=str(root / "nowhere")))
    with pytest.raises(DataError, match="has no annotations"):
        train_detector(**settings(root, tmp_path / "run", val=str(root / "packed")))
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "label.txt").write_text("")
    with pytest.raises(DataError, match="no photos|no annotated|empty"):
        train_detector(**settings(root, tmp_path / "run", val=str(tmp_path / "empty")))
    assert not (tmp_path / "run").exists()


def test_the_backbones_of_the_options_are_those_of_the_network():
    assert detector_options.BACKBONES == BACKBONES


def command(options, *more):
    names = ("data", "val", "out", "size", "batch_size", "steps", "threads", "log_every")
    words = [word for name in names for word in (f"--{name.replace('_', '-')}", str(options[name]))]
    return [sys.executable, "-m", "gluonfr", "train-detector", *words, *more]


@pytest.mark.system
def test_two_ranks_train_the_network_of_two_devices(root, tmp_path):
    pytest.importorskip("horovod", reason="Horovod is not installed")
    found = []
    for name, how in (("ranks", ["--workers", "2"]), ("devices", ["--cpus", "2"])):
        options = settings(root, tmp_path / name, steps=3)
        done = subprocess.run(command(options, *how), capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr
        found.append((losses(options["out"]), weights(options["out"])))
    (ranks, ours), (devices, expected) = found
    # Each rank has the batch of a device. Sums in another order change which background anchors are the hardest.
    assert list(ranks) == list(devices)
    np.testing.assert_allclose(list(ranks.values()), list(devices.values()), rtol=1e-3)
    for name, array in ours.items():
        assert np.abs(array - expected[name]).max() <= 1e-3 * max(1.0, np.abs(expected[name]).max()), name


@pytest.mark.system
def test_the_demo_renders_trains_and_says_what_its_numbers_show(tmp_path):
    more = ["--demo", "--scenes", "8", "--batch-size", "4", "--steps", "2", "--size", "64", "--log-every", "1"]
    words = [sys.executable, "-m", "gluonfr", "train-detector", *more, "--out", str(tmp_path / "demo")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert "all (" in done.stdout
    assert "do not predict results on photos" in done.stdout
    assert done.stdout.rstrip().endswith(f"--detector {tmp_path / 'demo' / 'best'}")
