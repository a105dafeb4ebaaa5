"""Exported files are atomic, equal to the original, and readable by MXNet's own interfaces."""

import json
import os
from collections import namedtuple

import mxnet as mx
import numpy as np
import onnx
import pytest
from mxnet import nd
from random_networks import embedding, images, randomized

from gluonfr.core import Card, GluonFRError
from gluonfr.deploy import load_model
from gluonfr.deploy.export import difference, export_network, export_onnx, export_symbol
from gluonfr.deploy.onnx_network import load_onnx
from gluonfr.deploy.quantize import open_calibration
from gluonfr.model_zoo import get_model

CARD = Card(network="mobilefacenet", license="mine", thresholds=[{"far": 0.01, "similarity": 0.3, "measured_on": "lfw"}])


@pytest.fixture(scope="module")
def net():
    return randomized(get_model("mobilefacenet", embedding_size=16, width=0.25, classes=5))


@pytest.fixture(scope="module")
def crops():
    rng = np.random.RandomState(0)
    return list(rng.randint(0, 256, (20, 112, 112, 3)).astype(np.uint8))


@pytest.mark.parametrize(("out", "files"), [("x.onnx", {"x.onnx"}), ("x", {"x-symbol.json", "x-0000.params"})])
def test_exported_files_are_loaded_with_their_card(tmp_path, net, out, files):
    found = export_network(net, CARD, str(tmp_path / "new" / out))
    assert 0 <= found.difference < 1e-4
    assert found.cosine > 1 - 1e-6
    assert set(os.listdir(tmp_path / "new")) == files | {"x.card.json"}
    loaded, card = load_model(str(tmp_path / "new" / sorted(files)[-1]))
    x = images(3)
    np.testing.assert_allclose(embedding(loaded, x), embedding(net, x), atol=1e-4)
    written = json.loads((tmp_path / "new" / "x.card.json").read_text())
    assert (written["output"], written["embedding_size"], written["mean"], written["std"]) == ("embedding", 16, 0.0, 255.0)
    assert card.thresholds == CARD.thresholds
    assert card.license == "mine"


def test_the_card_describes_the_input_of_the_exported_network(tmp_path, net):
    card = export_onnx(
        net, str(tmp_path / "x.onnx"), card=Card(color="BGR", mean=127.5, std=128.0, output="fc1", sha256="a" * 64)
    )
    assert (card.color, card.mean, card.std, card.output, card.sha256) == ("RGB", 0.0, 255.0, "embedding", "")


def test_both_formats_of_one_name_share_their_card(tmp_path, net):
    export_network(net, CARD, str(tmp_path / "x.onnx"))
    export_network(net, CARD, str(tmp_path / "x"))
    for name in ("x.onnx", "x-symbol.json"):
        assert load_model(str(tmp_path / name))[1].embedding_size == 16


@pytest.mark.parametrize("batch", [1, 6])
def test_module_and_executor_run_the_symbol(tmp_path, net, batch):
    prefix = str(tmp_path / "x")
    export_symbol(net, prefix, card=CARD)
    x = images(batch)
    wanted = embedding(net, x)
    symbol, arguments, auxiliary = mx.model.load_checkpoint(prefix, 0)
    assert symbol.list_outputs() == ["embedding_output"]
    assert set(symbol.list_arguments()) == {"data", *arguments}
    assert set(symbol.list_auxiliary_states()) == set(auxiliary)
    assert '"prelu"' in symbol.tojson()
    executor = symbol.bind(mx.cpu(), {**arguments, "data": nd.array(x)}, aux_states=auxiliary, grad_req="null")
    np.testing.assert_allclose(executor.forward()[0].asnumpy(), wanted, atol=1e-4)
    module = mx.mod.Module(symbol, label_names=None)
    module.bind([("data", x.shape)], for_training=False)
    module.set_params(arguments, auxiliary)
    module.forward(namedtuple("Batch", "data")([nd.array(x)]), is_train=False)
    # A copy: MXNet's asnumpy of an output in oneDNN's layout fails.
    np.testing.assert_allclose(module.get_outputs()[0].copy().asnumpy(), wanted, atol=1e-4)


def test_a_differing_file_is_not_left(tmp_path, net, monkeypatch):
    before = tmp_path / "x.card.json"
    before.write_text("old")
    for factor, words in ((1.0003, "by 0.0003"), (np.nan, "by nan")):
        monkeypatch.setattr(
            "gluonfr.deploy.export._run", lambda format, path, x, size, factor=factor: 10 * factor * embedding(net, x)
        )
        monkeypatch.setattr("gluonfr.deploy.export._embeddings", lambda net, x: 10 * embedding(net, x))
        for out in ("x.onnx", "x"):
            with pytest.raises(GluonFRError, match=f"differs from the original {words}"):
                export_network(net, CARD, str(tmp_path / out))
    assert os.listdir(tmp_path) == ["x.card.json"]
    assert before.read_text() == "old"


def test_differences_are_absolute_up_to_one_and_relative_above():
    assert difference(np.array([[0.1, 0.2]]), np.array([[0.1, 0.3]])) == pytest.approx(0.1)
    assert difference(np.array([[10.0, 20.0]]), np.array([[10.0, 40.0]])) == pytest.approx(0.5)


def test_files_are_not_compared_without_onnxruntime(tmp_path, net, monkeypatch):
    monkeypatch.setattr("gluonfr.deploy.export.has_onnxruntime", lambda: False)
    assert export_network(net, CARD, str(tmp_path / "x.onnx")) is None
    assert (tmp_path / "x.onnx").exists()


def test_float16_halves_the_file_and_preserves_embeddings(tmp_path, net):
    whole, half = str(tmp_path / "x.onnx"), str(tmp_path / "h.onnx")
    net = randomized(get_model("mobilefacenet", width=0.5))
    export_network(net, CARD, whole)
    assert 1e-6 < export_network(net, CARD, half, dtype="float16").difference < 0.02
    assert os.path.getsize(half) < 0.62 * os.path.getsize(whole)
    loaded, card = load_onnx(half)
    assert card.extra["dtype"] == "float16"
    x = images(4)
    a, b = loaded.run(x), embedding(net, x)
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosines.min() > 0.9999
    with pytest.raises(GluonFRError, match="too large for float16"):
        export_network(enlarge(net), CARD, str(tmp_path / "y.onnx"), dtype="float16")
    assert not (tmp_path / "y.onnx").exists()


def enlarge(net):
    for name, parameter in net.collect_params().items():
        if name.endswith("weight"):
            parameter.set_data(parameter.data() * 1e7)
    return net


def test_int8_halves_the_file_and_preserves_embeddings(tmp_path, crops):
    whole, small = str(tmp_path / "x.onnx"), str(tmp_path / "q.onnx")
    net = randomized(get_model("mobilefacenet", width=0.5))
    export_onnx(net, whole, card=CARD)
    assert export_network(net, CARD, small, dtype="int8", calibration=crops).difference < 0.5
    assert os.path.getsize(small) < 0.5 * os.path.getsize(whole)
    loaded, card = load_onnx(small)
    assert (card.extra["dtype"], card.license) == ("int8", "mine")
    operators = {node.op_type for node in onnx.load(small).graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators
    x = np.stack(crops[:6]).transpose(0, 3, 1, 2).astype(np.float32) / 255
    a, b = loaded.run(x), embedding(net, x)
    cosines = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    # 0.95 and more on CPUs with 8-bit dot products; without them, ONNX Runtime adds up in 16 bits, which may saturate.
    assert cosines.min() > 0.8
    for given, words in ((None, "give calibration"), (crops[:15], "15 faces are too few")):
        with pytest.raises(GluonFRError, match=words):
            export_network(net, CARD, str(tmp_path / "y.onnx"), dtype="int8", calibration=given)
    assert not (tmp_path / "y.onnx").exists()


@pytest.mark.parametrize(
    ("out", "options", "words"),
    [
        ("x", {"format": "onnx"}, "ends in .onnx"),
        ("x.onnx", {"format": "symbol"}, "ends in .onnx"),
        ("x.onnx", {"format": "pt"}, "format must be one of onnx, symbol"),
        ("x.onnx", {"dtype": "float64"}, "dtype must be one of float32, float16, int8"),
        ("x", {"dtype": "float16"}, "the format symbol stores float32"),
        ("folder.onnx", {}, "is a folder"),
        ("file/x.onnx", {}, "cannot be written"),
        ("file/x", {}, "cannot be written"),
    ],
)
def test_invalid_arguments_and_paths_are_refused(tmp_path, net, out, options, words):
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(GluonFRError, match=words):
        export_network(net, CARD, str(tmp_path / out), **options)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.onnx"]
    assert not os.listdir(tmp_path / "folder.onnx")


def test_calibration_faces_come_from_both_kinds_of_sets(faces):
    for name, root in (
        ("celeb", faces),
        (os.path.join(faces, "celeb"), "none"),
        (os.path.join(faces, "small_lfw.bin"), "none"),
    ):
        drawn = open_calibration(name, root)
        assert len(drawn) == (20 if name.endswith(".bin") else 256)
        assert drawn[0].shape == (112, 112, 3)
        assert drawn[0].dtype == np.uint8


@pytest.mark.parametrize("sizes", [(), [(32, 24)] * 20, [(32, 32)] * 19 + [(32, 24)]])
def test_calibration_faces_must_have_the_size_of_the_network(tmp_path, net, sizes):
    faces = [np.zeros((*size, 3), np.uint8) for size in sizes]
    with pytest.raises(GluonFRError, match="calibration: faces must be"):
        export_network(net, CARD, str(tmp_path / "x.onnx"), dtype="int8", calibration=faces)
    assert not os.listdir(tmp_path)
