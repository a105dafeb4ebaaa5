import json
import os
import shutil

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn

from gluonfr.core import Card, GluonFRError
from gluonfr.deploy import load_model
from gluonfr.deploy.symbol_network import SymbolNetwork
from gluonfr.model_zoo import get_model
from gluonfr.weights.saved import save_network

ARGUMENTS = {"channels": [8, 8, 8, 8, 8], "embedding_size": 6}


@pytest.fixture
def net():
    made = get_model("lresnet10e_ir", **ARGUMENTS)
    made.initialize(mx.init.Xavier())
    made(nd.zeros((1, 3, 32, 32)))
    return made


def images(count=3, size=32):
    return nd.array(np.random.RandomState(0).rand(count, 3, size, size))


def plain_graph(folder, name="graph", bias=True):
    """Export a dense layer on 'data' without a card."""
    block = nn.HybridSequential()
    block.add(nn.Dense(4, in_units=3 * 8 * 8, use_bias=bias))
    block.initialize(mx.init.Normal(1))
    block.hybridize()
    block(images(1, 8))
    block.export(os.path.join(folder, name))
    return block


def test_folders_and_stored_models_are_loaded(net, tmp_path, caplog):
    caplog.set_level("INFO", "gluonfr")
    folder = tmp_path / "store" / "mine"
    os.makedirs(folder)
    save_network(net, str(folder), {"network": "lresnet10e_ir", "arguments": ARGUMENTS, "image_size": [32, 32]})
    wanted = net(images()).asnumpy()
    store = str(tmp_path / "store")
    for model in (str(folder), "mine", None):
        got, card = load_model(model, root=store)
        np.testing.assert_allclose(got(images()).asnumpy(), wanted, atol=1e-5)
        assert card.image_size == (32, 32)
        assert card.embedding_size == 6
    assert "using the only stored one, mine (license: not stated)" in caplog.text
    # dlib's network is stored without being asked for, but is no exception: no default may change unnoticed.
    shutil.copytree(folder, tmp_path / "store" / "dlib_resnet29")
    with pytest.raises(GluonFRError, match="dlib_resnet29, mine are stored"):
        load_model(None, root=store)
    shutil.rmtree(tmp_path / "store" / "dlib_resnet29")
    shutil.copytree(folder, tmp_path / "store" / "other")
    with pytest.raises(GluonFRError, match="mine, other are stored.*name one"):
        load_model(None, root=store)


def test_invalid_models_are_refused_by_name(tmp_path):
    store = str(tmp_path / "store")
    with pytest.raises(GluonFRError, match="network without weights"):
        load_model("mobilefacenet", root=store)
    with pytest.raises(GluonFRError, match="'nothing' is neither"):
        load_model("nothing", root=store)
    for name in ("x.onnx", "x-symbol.json", "x-0000.params", "x.pt"):
        path = tmp_path / name
        with pytest.raises(GluonFRError, match=f"{name} is missing"):
            load_model(str(path), root=store)
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n")
        with pytest.raises(GluonFRError, match="git-LFS pointer"):
            load_model(str(path), root=store)
        path.unlink()


def test_a_graph_receives_pixels_as_its_card_specifies(tmp_path):
    block = plain_graph(str(tmp_path))
    x = images(2, 8)
    pixels = x.asnumpy() * 255
    cases = [
        ({}, pixels / 255),
        ({"mean": 0, "std": 1}, pixels),
        ({"mean": 127.5, "std": 128}, (pixels - 127.5) / 128),
        (
            {"mean": [10, 20, 30], "std": [1, 2, 4]},
            (pixels - np.reshape([10, 20, 30], (3, 1, 1))) / np.reshape([1, 2, 4], (3, 1, 1)),
        ),
        ({"color": "BGR", "mean": [10, 20, 30]}, (pixels[:, ::-1] - np.reshape([10, 20, 30], (3, 1, 1))) / 255),
    ]
    for entries, wanted in cases:
        Card.from_dict({"image_size": [8, 8], **entries}).write(str(tmp_path / "graph.card.json"))
        for name in ("graph-symbol.json", "graph-0000.params"):
            net, card = load_model(str(tmp_path / name))
            expected = block(nd.array(np.ascontiguousarray(wanted))).asnumpy()
            np.testing.assert_allclose(net(x).asnumpy(), expected, rtol=1e-3, atol=1e-3)
            net.hybridize()
            np.testing.assert_allclose(net(x).asnumpy(), expected, rtol=1e-3, atol=1e-3)
            assert card.image_size == (8, 8)


def test_the_card_names_the_output_that_is_the_embedding(tmp_path):
    data = mx.sym.var("data")
    first = mx.sym.FullyConnected(data, num_hidden=3, no_bias=True, name="first")
    both = mx.sym.Group([first, mx.sym.FullyConnected(first, num_hidden=2, no_bias=True, name="second")])
    weights = {"arg:first_weight": nd.ones((3, 192)), "arg:second_weight": nd.ones((2, 3))}
    both.save(str(tmp_path / "two-symbol.json"))
    nd.save(str(tmp_path / "two-0000.params"), weights)
    path = str(tmp_path / "two-symbol.json")
    for output, length in (("first_output", 3), ("first", 3), ("second", 2)):
        assert SymbolNetwork(path, Card(image_size=(8, 8), output=output))(images(2, 8)).shape == (2, length)
    with pytest.raises(GluonFRError, match="first_output, second_output"):
        SymbolNetwork(path, Card(image_size=(8, 8)))
    with pytest.raises(GluonFRError, match="no output 'third'"):
        SymbolNetwork(path, Card(image_size=(8, 8), output="third"))
    with pytest.raises(GluonFRError, match="with images of 9x9: its layers do not fit together"):
        SymbolNetwork(path, Card(image_size=(9, 9), output="first"))
    del weights["arg:second_weight"]
    nd.save(str(tmp_path / "two-0000.params"), weights)
    with pytest.raises(GluonFRError, match="lacks data, second_weight"):
        SymbolNetwork(path, Card(image_size=(8, 8), output="second"))
    (tmp_path / "two-symbol.json").write_text("{}")
    with pytest.raises(GluonFRError, match="not a valid symbol of MXNet"):
        SymbolNetwork(path, Card(image_size=(8, 8), output="second"))


def test_invalid_cards_are_refused_by_entry(tmp_path):
    path = tmp_path / "card.json"
    bad = [
        ({"image_size": [112]}, "image_size"),
        ({"image_size": "112"}, "image_size"),
        ({"distance": "manhattan"}, "distance"),
        ({"color": "HSV"}, "color"),
        ({"std": 0}, "std"),
        ({"mean": [1, 2]}, "mean"),
        ({"embedding_size": 1.5}, "embedding_size"),
        ({"arguments": []}, "arguments"),
        ({"thresholds": [{"far": 0.1}]}, "thresholds"),
        ([], "names and values"),
    ]
    for values, word in bad:
        path.write_text(json.dumps(values))
        with pytest.raises(GluonFRError, match=f"card.json.*{word}"):
            Card.read(str(path))
    card = Card.from_dict({"network": "x", "image_size": [96, 112], "note": "kept"})
    card.write(str(path))
    assert Card.read(str(path)) == card
    assert card.image_size == (96, 112)
    assert card.extra == {"note": "kept"}
