"""Scripts in gluon-face's manner, which know nothing of `step`: accuracy rises, centers and radius move, seven values."""

import runpy
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

from gluonfr.data import synthetic

HERE = Path(__file__).parent


def run(script, *arguments):
    """Run a script in this process; return its variables."""
    mx.random.seed(5)
    np.random.seed(5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script, *map(str, arguments)])
        return runpy.run_path(str(HERE / script))


@pytest.mark.parametrize("name", ["arcloss", "cosloss", "centerloss", "ringloss", "lgmloss"])
def test_digits(name):
    found = run(f"digits_{name}.py")
    # Chance is 0.1; 30 batches of 64 reach 0.6 to 0.9.
    assert found["after"] > max(0.35, found["before"] + 0.15)
    if name == "centerloss":
        first, second = found["centers"]
        assert np.abs(second - found["start"]).max() > 0.1
        np.testing.assert_array_equal(first, second)
    if name == "ringloss":
        first, second = found["radius"]
        assert first == second > 0
    if name == "lgmloss":
        assert found["moved"] > 0.1


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    synthetic.make_dataset(
        str(folder / "people"), identities=4, images_per_identity=12, val_identities=20, val_pairs=40, progress=False
    )
    return folder


@pytest.mark.system
@pytest.mark.parametrize(("name", "start"), [("arcloss", None), ("ringloss", 10), ("distributed_loop", 20)])
def test_faces(name, start, root):
    found = run(f"faces_{name}.py", root)
    accuracies = found["accuracies"]
    # Chance is 1 of 4.
    assert np.mean(accuracies[-8:]) > max(0.45, np.mean(accuracies[:4]) + 0.15)
    if start:
        radii = found["radius"]
        assert all(radius == radii[0] for radius in radii)
        assert abs(radii[0] - start) > 1e-3
    tpr, fpr, accuracy, val, val_std, far, accuracy_std = found["seven"]
    assert len(tpr) == len(fpr) > 100
    assert 0.3 < accuracy <= 1
    for value in (val, val_std, far, accuracy_std):
        assert 0 <= value <= 1
