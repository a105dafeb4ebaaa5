"""Detectors in the model store, by name."""

import mxnet as mx
import numpy as np
import pytest

from gluonfr.cli import main
from gluonfr.core import GluonFRError
from gluonfr.detection import get_detector
from gluonfr.detection.retinaface_network import RetinaFaceNetwork
from gluonfr.detection.saved import DetectorCard, find_detector, load_detector, save_detector
from gluonfr.detection.store import add_detector, list_stored_detectors, remove_detector


@pytest.fixture
def saved(tmp_path):
    net = RetinaFaceNetwork(channels=4)
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 3, 64, 64)))
    folder = tmp_path / "run" / "best"
    folder.mkdir(parents=True)
    save_detector(net, str(folder), DetectorCard(channels=4, threshold=0.3, trained_on="mine"))
    return folder


def test_a_stored_detector_is_found_by_its_name_and_removed(saved, tmp_path):
    store = str(tmp_path / "store")
    folder = add_detector("mine", saved, store)
    assert find_detector("mine", store) == folder
    assert find_detector("other", store) is None
    card = list_stored_detectors(store)["mine"]
    assert (card.threshold, card.trained_on) == (0.3, "mine")
    ours, theirs = (load_detector(one)[0](mx.nd.ones((1, 3, 64, 64))) for one in (saved, folder))
    assert all(np.array_equal(a.asnumpy(), b.asnumpy()) for a, b in zip(ours, theirs))
    with pytest.raises(GluonFRError, match="exists already"):
        add_detector("mine", saved, store)
    with pytest.raises(GluonFRError, match="holds no detector"):
        add_detector("other", tmp_path, store)
    with pytest.raises(GluonFRError, match="name of a stored model"):
        add_detector("../mine", saved, store)
    remove_detector("mine", store)
    assert list_stored_detectors(store) == {}
    with pytest.raises(GluonFRError, match="no stored detector 'mine'"):
        remove_detector("mine", store)


def test_next_removal_finishes_one_that_was_killed(tmp_path):
    (tmp_path / ".mine.0.tmp" / "mine").mkdir(parents=True)
    with pytest.raises(GluonFRError, match="no stored detector 'mine'"):
        remove_detector("mine", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_the_command_stores_lists_and_removes_detectors(saved, tmp_path, capsys):
    store = ["--models", str(tmp_path / "store")]
    assert main(["models", "--add", str(saved), "--name", "mine", *store]) == 0
    assert main(["models", *store]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("mine "))
    assert line.split() == ["mine", "mobilenet0.25", "0.30", "mine"]
    assert main(["models", "--remove", "mine", *store]) == 0
    assert not (tmp_path / "store" / "mine").exists()


def test_commands_use_a_stored_detector(saved, tmp_path, monkeypatch):
    import gluonfr.detection.registry

    add_detector("mine", saved, str(tmp_path / "store"))
    monkeypatch.setattr(gluonfr.detection.registry, "find_detector", lambda name: find_detector(name, str(tmp_path / "store")))
    assert get_detector("mine")._threshold == 0.3
