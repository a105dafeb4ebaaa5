"""Weights of every kind in a given network: all are set, or none and the first layer that differs is named."""

import json
import os

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from gluonfr.core import GluonFRError, WeightsError, generator
from gluonfr.model_zoo import get_model
from gluonfr.weights.load import load_pretrained, load_weights
from gluonfr.weights.saved import load_network, save_network

SMALL = {"units": (1, 1), "channels": (8, 8, 16), "embedding_size": 6}


def network(seed=1, name="lresnet10e_ir", **kwargs):
    net = get_model(name, **{**(SMALL if name == "lresnet10e_ir" else {}), **kwargs})
    net.initialize()
    net(nd.zeros((1, 3, 112, 112)))
    random = generator(seed)
    for parameter in net.collect_params().values():
        parameter.set_data(nd.array(random.uniform(0.3, 0.8, parameter.shape) / np.sqrt(np.prod(parameter.shape[1:]))))
    return net


def images():
    return nd.array(generator(3).random((2, 3, 112, 112)))


def embedding(net):
    out = net(images())
    return (out[0] if isinstance(out, (list, tuple)) else out).asnumpy()


def saved(net, folder, **card):
    os.makedirs(folder)
    save_network(net, str(folder), {"network": "lresnet10e_ir", "arguments": SMALL, **card})
    return folder


def test_folder_file_and_stored_name_give_equal_embeddings(tmp_path):
    net = network()
    folder = saved(net, tmp_path / "small")
    for source, root in ((folder, "none"), (folder / "network.params", "none"), ("small", tmp_path)):
        other = get_model("lresnet10e_ir", pretrained=str(source), root=str(root), **SMALL)
        np.testing.assert_array_equal(embedding(other), embedding(net))


def test_classifier_is_not_set(tmp_path):
    net = network(classes=5)
    net.save_parameters(str(tmp_path / "net.params"))
    other = get_model("lresnet10e_ir", classes=3, **SMALL)
    load_weights(other, tmp_path / "net.params")
    with pytest.raises((RuntimeError, mx.gluon.parameter.DeferredInitializationError)):
        other.output.weight.data()
    other.output.initialize()
    np.testing.assert_array_equal(embedding(other), embedding(net))
    ready = network(seed=2, classes=3)
    before = ready.output.weight.data().asnumpy()
    load_weights(ready, tmp_path / "net.params")
    np.testing.assert_array_equal(ready.output.weight.data().asnumpy(), before)
    np.testing.assert_array_equal(embedding(ready), embedding(net))


def test_parameters_are_set_on_all_contexts_of_a_hybridized_network(tmp_path):
    net = network()
    net.save_parameters(str(tmp_path / "net.params"))
    other = network(seed=2)
    other.hybridize(static_alloc=True)
    embedding(other)
    load_weights(other, tmp_path / "net.params")
    np.testing.assert_allclose(embedding(other), embedding(net), rtol=1e-5)
    contexts = [mx.cpu(0), mx.cpu(1)]
    load_weights(other, tmp_path / "net.params", ctx=contexts)
    assert all(parameter.list_ctx() == contexts for parameter in other.collect_params().values())
    for ctx in contexts:
        np.testing.assert_allclose(other(images().as_in_context(ctx)).asnumpy(), embedding(net), rtol=1e-5)


def test_insightface_weights_in_a_network_with_classifier(faces):
    path = os.path.join(faces, "weights", "mobilefacenet-y1-0000.params")
    net = get_model("mobilefacenet", pretrained=path, classes=4)
    net.output.initialize()
    assert net(images())[1].shape == (2, 4)
    np.testing.assert_array_equal(embedding(net), embedding(get_model("mobilefacenet", pretrained=path)))


def test_weights_of_another_network_change_nothing(tmp_path):
    net = network()
    folder = saved(network(seed=2), tmp_path / "small")
    gluon = {}
    for name, array in nd.load(str(folder / "network.params")).items():
        gluon[name] = array
    lacking = {name: array for name, array in gluon.items() if name != "features.4.body.3.alpha"}
    nd.save(str(tmp_path / "lacks.params"), lacking)
    nd.save(str(tmp_path / "extra.params"), {**gluon, "features.99.weight": nd.ones(2)})
    nd.save(str(tmp_path / "shape.params"), {**gluon, "features.0.weight": nd.ones((8, 3, 5, 5))})
    before = embedding(net)
    cases = {
        "lacks.params": r"does not fit LResNet: it has no 'features\.4\.body\.3\.alpha' of shape \(16,\)",
        "extra.params": r"LResNet, which has no parameter 'features\.99\.weight'",
        "shape.params": r"'features\.0\.weight' has the shape \(8, 3, 5, 5\) instead of \(8, 3, 3, 3\)",
    }
    for name, words in cases.items():
        with pytest.raises(GluonFRError, match=words):
            load_weights(net, tmp_path / name)
    np.testing.assert_array_equal(embedding(net), before)
    # The same shapes with another stride, which only the card records.
    other = saved(network(stem_stride=2), tmp_path / "stride", arguments={**SMALL, "stem_stride": 2})
    with pytest.raises(GluonFRError, match="layer 1 of the file is .*stride 2x2.*, where LResNet has"):
        load_weights(net, other)
    np.testing.assert_array_equal(embedding(net), before)


def test_sources_of_other_kinds_are_refused(tmp_path):
    net = get_model("lresnet10e_ir", **SMALL)
    (tmp_path / "x.txt").write_text("x")
    for source, words in (
        ("nothing", "'nothing' is neither a stored model under .* nor a file"),
        (tmp_path / "x.txt", "is not a known kind of weights"),
        (tmp_path / "x.params", "missing"),
        (tmp_path / "x.pt", "missing"),
        (tmp_path, "card.json is missing"),
        (3, "got 3"),
    ):
        with pytest.raises(GluonFRError, match=words):
            load_weights(net, source, root=tmp_path)
    folder = saved(network(), tmp_path / "small")
    data = bytearray((folder / "network.params").read_bytes())
    data[-400] ^= 1
    (folder / "network.params").write_bytes(bytes(data))
    with pytest.raises(GluonFRError, match="SHA-256"):
        load_weights(net, folder)


def test_a_card_cannot_make_the_reader_write_elsewhere(tmp_path):
    folder = saved(network(), tmp_path / "model")
    victim = tmp_path / "elsewhere" / "dlib_resnet29"
    victim.mkdir(parents=True)
    (victim / "notes.txt").write_text("precious")
    card = json.loads((folder / "card.json").read_text())
    for name, arguments in (
        ("dlib_resnet29", {"pretrained": True, "root": str(tmp_path / "elsewhere")}),
        ("lresnet10e_ir", {**SMALL, "root": str(tmp_path / "elsewhere")}),
        ("gluon:resnet18_v1", {"pretrained": True, "root": str(tmp_path / "elsewhere")}),
    ):
        (folder / "card.json").write_text(json.dumps({**card, "network": name, "arguments": arguments}))
        for load in (load_network, load_pretrained, lambda source: load_weights(network(), source)):
            with pytest.raises(WeightsError, match="card.*has no argument '(pretrained|root)'"):
                load(folder)
    assert os.listdir(victim) == ["notes.txt"]
    assert os.listdir(tmp_path / "elsewhere") == ["dlib_resnet29"]
