"""InsightFace checkpoints: the real y1, symbols built as InsightFace builds them, and wrong files."""

import json
import os
import shutil

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from gluonfr.core import Card, GluonFRError, generator
from gluonfr.data import FRValDataset
from gluonfr.model_zoo import get_model
from gluonfr.nn import prelu_form
from gluonfr.weights.insightface import load_insightface

UNITS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2)}


def norm(data, name, fixed=False):
    return mx.sym.BatchNorm(data, fix_gamma=fixed, eps=2e-5, momentum=0.9, name=name)


def convolution(data, wide, kernel, stride, name, bias=False):
    side, padding = (kernel, kernel), (kernel // 2,) * 2
    return mx.sym.Convolution(
        data, num_filter=wide, kernel=side, stride=(stride,) * 2, pad=padding, no_bias=not bias, name=name
    )


def unit(data, wide, stride, same, name, se):
    """Unit of version 3: BN, conv, BN, PReLU, conv with the stride, BN."""
    body = norm(data, name + "_bn1")
    body = convolution(body, wide, 3, 1, name + "_conv1")
    body = mx.sym.LeakyReLU(norm(body, name + "_bn2"), act_type="prelu", name=name + "_relu1")
    body = norm(convolution(body, wide, 3, stride, name + "_conv2"), name + "_bn3")
    if se:
        gate = mx.sym.Pooling(body, global_pool=True, kernel=(7, 7), pool_type="avg", name=name + "_se_pool1")
        gate = convolution(gate, wide // 16, 1, 1, name + "_se_conv1", bias=True)
        gate = mx.sym.LeakyReLU(gate, act_type="prelu", name=name + "_se_relu1")
        gate = mx.sym.Activation(convolution(gate, wide, 1, 1, name + "_se_conv2", bias=True), act_type="sigmoid")
        body = mx.sym.broadcast_mul(body, gate)
    shortcut = data if same else norm(convolution(data, wide, 1, stride, name + "_conv1sc"), name + "_sc")
    return body + shortcut


def fresnet(depth, se=False, size=512, preamble=True, classifier=False):
    data = mx.sym.identity(mx.sym.Variable("data"), name="id")
    if preamble is True:
        data = (data - 127.5) * 0.0078125
    elif preamble == "norm":
        data = norm(data, "bn_data", fixed=True)
    elif preamble == "zero based":
        data = data * 0.0078125
    body = mx.sym.LeakyReLU(norm(convolution(data, 64, 3, 1, "conv0"), "bn0"), act_type="prelu", name="relu0")
    for i, (wide, count) in enumerate(zip((64, 128, 256, 512), UNITS[depth]), 1):
        for j in range(count):
            body = unit(body, wide, 1 if j else 2, j > 0, f"stage{i}_unit{j + 1}", se)
    body = mx.sym.Dropout(norm(body, "bn1"), p=0.4)
    out = norm(mx.sym.FullyConnected(body, num_hidden=size, name="pre_fc1"), "fc1", fixed=True)
    if classifier:
        weight = mx.sym.L2Normalization(mx.sym.Variable("fc7_weight", shape=(9, size)), mode="instance")
        cosine = mx.sym.FullyConnected(
            mx.sym.L2Normalization(out, mode="instance", name="fc1n") * 64, weight, no_bias=True, num_hidden=9, name="fc7"
        )
        loss = mx.sym.SoftmaxOutput(cosine, mx.sym.Variable("softmax_label"), name="softmax")
        out = mx.sym.Group([mx.sym.BlockGrad(out), loss])
    return out


def arrays_of(symbol, seed):
    """Values with which every layer has an effect; fixed scales are stored as another number than 1."""
    random = generator(seed)
    labels = {"softmax_label": (1,)} if "softmax_label" in symbol.list_arguments() else {}
    shapes, _, states = symbol.infer_shape(data=(1, 3, 112, 112), **labels)
    arrays = {}
    for kind, names, shapes_of_kind in (
        ("arg", symbol.list_arguments(), shapes),
        ("aux", symbol.list_auxiliary_states(), states),
    ):
        for name, shape in zip(names, shapes_of_kind):
            if name in ("data", "softmax_label"):
                continue
            if len(shape) > 1:
                value = random.standard_normal(shape) * np.sqrt(1.5 / np.prod(shape[1:]))
            elif name == "bn_data_moving_var":
                value = np.full(shape, 128.0**2)
            elif name == "bn_data_moving_mean":
                value = np.full(shape, 127.5)
            elif name == "bn_data_beta":
                value = np.zeros(shape)
            elif name.endswith("moving_var"):
                value = random.uniform(0.5, 2, shape)
            elif name.endswith(("moving_mean", "beta", "bias")):
                value = random.uniform(-0.1, 0.1, shape)
            else:
                value = random.uniform(0.5, 1.2, shape)
            arrays[f"{kind}:{name}"] = nd.array(value)
    return arrays


def checkpoint(folder, symbol, seed=1, name="model-0000"):
    arrays = arrays_of(symbol, seed)
    symbol.save(str(folder / "model-symbol.json"))
    nd.save(str(folder / f"{name}.params"), arrays)
    return arrays


def images(seed=5, count=3):
    """Pixels 0..255 that differ in more than noise."""
    return np.round(np.kron(generator(seed).random((count, 3, 8, 8)), np.ones((14, 14))) * 255).astype(np.float32)


def run(symbol, arrays, pixels):
    block = mx.gluon.SymbolBlock(symbol, mx.sym.var("data"))
    for name, parameter in block.collect_params().items():
        kind = "aux:" if "moving" in name else "arg:"
        parameter.initialize(mx.init.Zero())
        parameter.set_data(arrays[kind + name])
    return block(nd.array(pixels)).asnumpy()


def compare(net, wanted, pixels):
    got = net(nd.array(pixels / 255)).asnumpy()
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    assert wanted.std(axis=0).mean() > 0.02 * np.abs(wanted).max() > 0


@pytest.mark.system
def test_y1_equals_its_symbol_on_real_faces(faces):
    prefix = os.path.join(faces, "weights", "mobilefacenet-y1")
    net, card = load_insightface(prefix + "-symbol.json")
    assert (card.network, card.embedding_size, card.extra["name"]) == ("mobilefacenet", 128, "mobilefacenet-y1")
    assert "non-commercial" in card.license
    assert card.extra["published"]["LFW"] == 0.995
    dataset = FRValDataset("lfw_dev", root=faces)
    pixels = np.stack([dataset.image(i) for i in range(0, 160, 10)]).transpose(0, 3, 1, 2).astype(np.float32)
    symbol = mx.sym.load(prefix + "-symbol.json").get_internals()["fc1_output"]
    wanted = run(symbol, nd.load(prefix + "-0000.params"), pixels)
    np.testing.assert_allclose(net(nd.array(pixels / 255)).asnumpy(), wanted, atol=1e-4)
    assert wanted.std(axis=0).mean() > 0.1


@pytest.fixture
def few_networks(monkeypatch):
    """Compare with some networks only: tracing all of them takes seconds."""
    names = ["lresnet10e_ir", "lresnet18e_ir", "lresnet50e_ir", "lseresnet10e_ir", "lseresnet18e_ir", "mobilefacenet"]
    monkeypatch.setattr("gluonfr.weights.insightface.list_models", lambda: names)


def test_the_network_is_recognized_among_all(tmp_path, small):
    folder, symbol, arrays = small
    net, card = load_insightface(str(folder / "model"))
    assert card.network == "lresnet10e_ir"
    compare(net, run(symbol, arrays, images()), images())


@pytest.mark.usefixtures("few_networks")
@pytest.mark.parametrize(
    ("depth", "se", "size", "preamble", "name"),
    [
        (18, False, 32, True, "lresnet18e_ir"),
        (10, True, 32, True, "lseresnet10e_ir"),
        (10, False, 32, "norm", "lresnet10e_ir"),
    ],
)
def test_resnets_are_recognized_and_give_equal_embeddings(tmp_path, depth, se, size, preamble, name):
    symbol = fresnet(depth, se, size, preamble)
    arrays = checkpoint(tmp_path, symbol)
    net, card = load_insightface(str(tmp_path / "model"))
    assert (card.network, card.arguments, card.image_size) == (name, {"embedding_size": size}, (112, 112))
    pixels = images()
    compare(net, run(symbol, arrays, pixels), pixels)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    symbol = fresnet(10, size=32)
    return folder, symbol, checkpoint(folder, symbol)


def test_last_epoch_of_a_training_is_loaded_without_its_classifier(tmp_path, small):
    _, plain, _ = small
    training = fresnet(10, size=32, classifier=True)
    checkpoint(tmp_path, training, seed=3, name="model-0002")
    last = checkpoint(tmp_path, training, seed=4, name="model-0012")
    pixels = images()
    net, _ = load_insightface(str(tmp_path / "model-symbol.json"), "lresnet10e_ir")
    compare(net, run(plain, last, pixels), pixels)
    net, card = load_insightface(str(tmp_path / "model"), "lresnet10e_ir", epoch=2)
    assert card.extra["converted_from"] == "model-0002.params"
    assert np.abs(net(nd.array(pixels / 255)).asnumpy() - run(plain, last, pixels)).max() > 1e-3


def test_symbols_of_older_versions_are_read(tmp_path, small):
    folder, symbol, arrays = small
    pixels = images()
    wanted = run(symbol, arrays, pixels)
    graph = json.loads((folder / "model-symbol.json").read_text())
    legacy_names = {"_minus_scalar": "_MinusScalar", "_mul_scalar": "_MulScalar", "elemwise_add": "_Plus", "_copy": "identity"}
    for dialect in ("attr", "param"):
        nodes = []
        for node in graph["nodes"]:
            node = dict(node)
            settings = node.pop("attrs", None)
            if settings is not None:
                node[dialect] = settings
            if dialect == "param":
                node["op"] = legacy_names.get(node["op"], node["op"])
                # Running statistics were not inputs then.
                node["inputs"] = [entry[:2] for entry in node["inputs"]][: 3 if node["op"] == "BatchNorm" else None]
            nodes.append(node)
        (tmp_path / "model-symbol.json").write_text(json.dumps({**graph, "nodes": nodes}))
        shutil.copy(folder / "model-0000.params", tmp_path / "model-0007.params")
        net, _ = load_insightface(tmp_path / "model-0007.params", "lresnet10e_ir")
        compare(net, wanted, pixels)


@pytest.mark.usefixtures("few_networks")
def test_first_different_layer_of_another_network_is_named(tmp_path, small):
    folder, symbol, _ = small
    with pytest.raises(
        GluonFRError, match=r"does not fit mobilefacenet: layer 1 of the file is conv0, Convolution, channels 64.*, where"
    ):
        load_insightface(folder / "model-symbol.json", "mobilefacenet")
    odd = mx.sym.load(str(folder / "model-symbol.json"))
    text = odd.tojson().replace('"num_filter": "256"', '"num_filter": "192"')
    checkpoint(tmp_path, mx.sym.load_json(text))
    with pytest.raises(
        GluonFRError, match=r"the most similar is lresnet10e_ir, but layer 2\d of the file is stage3_unit1_conv1, .*192"
    ):
        load_insightface(tmp_path / "model")


def test_an_input_that_is_not_centered_is_refused(tmp_path):
    checkpoint(tmp_path, fresnet(10, size=16, preamble="zero based"))
    with pytest.raises(GluonFRError, match="not symmetric about 127.5"):
        load_insightface(tmp_path / "model", "lresnet10e_ir")


def test_wrong_arrays_are_refused(tmp_path, small):
    folder, _, good = small
    shutil.copy(folder / "model-symbol.json", tmp_path)
    cases = {
        "'bn0_beta', the beta of layer bn0, is missing": {key: array for key, array in good.items() if key != "arg:bn0_beta"},
        "arrays that its symbol lacks, such as 'other_weight'": {**good, "arg:other_weight": nd.ones(3)},
        "weight of layer conv0 has the shape 64x3x5x5, where .* has 64x3x3x3": {
            **good,
            "arg:conv0_weight": nd.ones((64, 3, 5, 5)),
        },
        "NaN or infinity": {**good, "arg:bn0_beta": nd.full(64, np.nan)},
        "has the type int32": {**good, "arg:bn0_beta": nd.ones(64, dtype="int32")},
        "variance of layer bn0 is negative": {**good, "aux:bn0_moving_var": nd.full(64, -1)},
        "begin with arg: or aux:": {**good, "weight": nd.ones(2)},
    }
    for words, arrays in cases.items():
        nd.save(str(tmp_path / "model-0000.params"), arrays)
        with pytest.raises(GluonFRError, match=words):
            load_insightface(tmp_path / "model", "lresnet10e_ir")


def test_wrong_files_are_refused(tmp_path, small):
    folder, _, _ = small
    prefix = tmp_path / "model"
    with pytest.raises(GluonFRError, match="model-0000.params is missing"):
        load_insightface(prefix)
    whole = (folder / "model-0000.params").read_bytes()
    (tmp_path / "model-0000.params").write_bytes(whole)
    with pytest.raises(GluonFRError, match="model-symbol.json is missing"):
        load_insightface(prefix)
    data = {"op": "null", "name": "data", "inputs": []}
    graphs = (
        [],
        {"nodes": [], "heads": [[0, 0, 0]]},
        {"nodes": [{**data, "inputs": [[0, 0]]}], "heads": [[0, 0]]},
        {"nodes": [data]},
        {"nodes": [data], "heads": [[0, 0, 0]]},
        {"nodes": 3, "heads": [[0, 0]]},
        {"nodes": [{"op": "Convolution", "name": "fc1", "inputs": []}], "heads": [[0, 0]]},
        {"nodes": [data, {"op": "Convolution", "name": "fc1", "inputs": [[0, 0]], "attrs": {"kernel": 3}}], "heads": [[1, 0]]},
    )
    for text in ("{", *map(json.dumps, graphs)):
        (tmp_path / "model-symbol.json").write_text(text)
        with pytest.raises(GluonFRError, match="model-symbol.json"):
            load_insightface(prefix)
    shutil.copy(folder / "model-symbol.json", tmp_path)
    for content, words in (
        (whole[:-1], "damaged"),
        (whole[: len(whole) // 2], "damaged"),
        (whole + b"x", "1 bytes follow its end"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-LFS"),
        (b"", "empty"),
        (b"PK" + b"\0" * 50, "not an MXNet .params file"),
    ):
        (tmp_path / "model-0000.params").write_bytes(content)
        with pytest.raises(GluonFRError, match=words):
            load_insightface(prefix)


@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_card_beside_the_symbol_describes_the_input_of_the_graph(tmp_path, color):
    name, prefix = "lresnet10e_ir", str(tmp_path / "x")
    net = get_model(name, embedding_size=6)
    net.initialize(mx.init.Xavier())
    x = mx.nd.random.uniform(shape=(2, 3, 112, 112))
    wanted = net(x).asnumpy()
    # The graph of a zoo network expects [0, 1]; with another card it is another function of the pixels.
    with prelu_form("operator"):
        symbol = net(mx.sym.var("data"))
    symbol.save(prefix + "-symbol.json")
    auxiliary = set(symbol.list_auxiliary_states())
    arrays = {f"{'aux' if k in auxiliary else 'arg'}:{k}": v.data() for k, v in net.collect_params().items()}
    mx.nd.save(prefix + "-0000.params", arrays)
    Card(color=color, license="mine", thresholds=[{"far": 0.1, "similarity": 0.5}]).write(prefix + ".card.json")
    got, card = load_insightface(prefix + "-symbol.json", name)
    turned = x if color == "RGB" else mx.nd.flip(x, axis=1)
    np.testing.assert_allclose(got(turned).asnumpy(), wanted, rtol=1e-3, atol=1e-4)
    assert (card.license, card.color, card.std, card.network) == ("mine", "RGB", 255.0, name)
    assert card.thresholds
    Card(mean=10, color=color).write(prefix + ".card.json")
    with pytest.raises(GluonFRError, match="not symmetric"):
        load_insightface(prefix + "-symbol.json", name)
