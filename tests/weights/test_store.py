"""The model store: networks by name, with their cards."""

import os

import numpy as np
import pytest
from mxnet import nd

from gluonfr.core import Card, GluonFRError, WeightsError
from gluonfr.model_zoo import get_model, list_models
from gluonfr.weights.saved import load_network, save_network
from gluonfr.weights.store import add_model, find_stored_model, list_stored_models, remove_model

SMALL = {"units": (1, 1), "channels": (8, 8, 16), "embedding_size": 6}


@pytest.fixture
def trained(tmp_path):
    net = get_model("lresnet10e_ir", **SMALL)
    net.initialize()
    net(nd.zeros((1, 3, 112, 112)))
    folder = tmp_path / "run"
    folder.mkdir()
    save_network(net, str(folder), {"network": "lresnet10e_ir", "arguments": SMALL, "trained_on": "people"})
    return net, folder


def test_models_are_added_found_listed_and_removed(tmp_path, trained):
    net, run = trained
    root = tmp_path / "models"
    assert list_stored_models(root) == {}
    folder = add_model("mine-1.0", run, root)
    assert sorted(os.listdir(folder)) == ["card.json", "network.params"]
    assert find_stored_model("mine-1.0", root) == folder
    card = list_stored_models(root)["mine-1.0"]
    assert (card.network, card.trained_on, len(card.sha256)) == ("lresnet10e_ir", "people", 64)
    x = nd.random.uniform(shape=(1, 3, 112, 112))
    again = get_model("lresnet10e_ir", pretrained="mine-1.0", root=root, **SMALL)
    np.testing.assert_array_equal(again(x).asnumpy(), net(x).asnumpy())
    with pytest.raises(GluonFRError, match="exists already"):
        add_model("mine-1.0", run, root)
    with pytest.raises(GluonFRError, match="did you mean 'mine-1.0'"):
        find_stored_model("mine-1", root)
    remove_model("mine-1.0", root)
    assert os.listdir(root) == []
    with pytest.raises(GluonFRError, match="none is stored"):
        remove_model("mine-1.0", root)


def test_names_outside_of_the_store_are_refused(tmp_path, trained):
    (tmp_path / "models").mkdir()
    for name in ("../run", "a/b", "", ".hidden", "/tmp", 3, "a\n"):
        with pytest.raises(GluonFRError, match="the name of a stored model must"):
            remove_model(name, tmp_path / "models")
    assert (trained[1] / "card.json").exists()


def test_parameters_of_gluon_need_the_name_of_the_network(tmp_path):
    net = get_model("mobilefacenet", embedding_size=32)
    net.initialize()
    x = nd.random.uniform(shape=(1, 3, 112, 112))
    wanted = net(x).asnumpy()
    net.save_parameters(str(tmp_path / "net.params"))
    with pytest.raises(GluonFRError, match="does not record its network"):
        add_model("mine", tmp_path / "net.params", tmp_path / "models")
    assert not (tmp_path / "models" / "mine").exists()
    folder = add_model("mine", tmp_path / "net.params", tmp_path / "models", network="mobilefacenet")
    again, card = load_network(folder)
    assert card.embedding_size == 32
    np.testing.assert_allclose(again(x).asnumpy(), wanted, rtol=1e-4, atol=1e-6)


def test_y1_is_stored_with_the_known_facts(tmp_path, faces):
    prefix = os.path.join(faces, "weights", "mobilefacenet-y1")
    add_model("y1", prefix + "-symbol.json", tmp_path, network="mobilefacenet")
    card = list_stored_models(tmp_path)["y1"]
    assert "non-commercial" in card.license
    assert card.embedding_size == 128
    assert card.extra["published"] == {"LFW": 0.995}


def test_stored_models_are_listed_with_their_facts(tmp_path, trained, monkeypatch):
    monkeypatch.setattr("gluonfr.weights.model_table.find_packaged_weights", lambda: None)
    root = str(tmp_path / "models")
    assert str(list_models(pretrained=True, root=root)) == "no model is stored"
    net, run = trained
    folder = add_model("mine", run, root)
    card = Card.read(folder + "/card.json")
    card.extra["published"] = {"LFW": 0.9912}
    card.write(folder + "/card.json")
    models = list_models(pretrained=True, root=root)
    assert models == ["mine"]
    weights = [p for name, p in net.collect_params().items() if "running" not in name]
    found = models.details["mine"]
    assert found.parameters == sum(int(np.prod(p.shape)) for p in weights)
    assert (found.network, found.lfw, found.license) == (card.network, 0.9912, card.license)
    header, row = str(models).splitlines()
    assert header.split() == ["name", "network", "parameters", "multiply-adds", "LFW", "license"]
    assert row.startswith("mine  ")
    assert "0.9912" in row
    with pytest.raises(WeightsError, match=r"a stored model \('mine' \(lresnet10e_ir\)\)"):
        get_model("mobilefacenet", pretrained=True, root=root)


def test_next_removal_finishes_one_that_was_killed(tmp_path):
    (tmp_path / ".small.0.tmp" / "small").mkdir(parents=True)
    with pytest.raises(WeightsError, match="no stored model"):
        remove_model("small", str(tmp_path))
    assert list(tmp_path.iterdir()) == []
