"""ONNX models of any origin in place of a network: scaling, outputs, batches, and invalid files."""

import json

import numpy as np
import onnx
import pytest
from mxnet import nd
from onnx import TensorProto, helper, numpy_helper
from random_networks import embedding, images, randomized

from gluonfr.core import Card, GluonFRError
from gluonfr.deploy import embed
from gluonfr.deploy.export import export_onnx
from gluonfr.deploy.onnx_network import OnnxNetwork, load_onnx
from gluonfr.model_zoo import get_model

SIZE = (4, 6)


def foreign(path, shape=("N", 3, *SIZE), kind=TensorProto.FLOAT, outputs=("fc1",), reshape=None, extra_input=False, channel=1):
    """Write a model that returns every second number of its input, which reveals wrong colors, scales or rows."""
    inputs = [helper.make_tensor_value_info("input.1", kind, shape)]
    inputs += [helper.make_tensor_value_info("scale", kind, ("N", 1))] * extra_input
    nodes = [helper.make_node("Flatten", ["input.1"], ["flat"], axis=1)]
    constants = [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in zip("bcd", ([0], [72], [2]))]
    constants.append(numpy_helper.from_array(np.array([1], np.int64), "axis"))
    nodes.append(helper.make_node("Slice", ["flat", "b", "c", "axis", "d"], ["half"]))
    if reshape:
        constants.append(numpy_helper.from_array(np.array(reshape, np.int64), "shape"))
        nodes.append(helper.make_node("Reshape", ["half", "shape"], ["shaped"]))
    source = "shaped" if reshape else "half"
    # The first output is the embedding, others are its double.
    nodes.append(helper.make_node("Identity", [source], [outputs[0]]))
    nodes += [helper.make_node("Add", [source, source], [name]) for name in outputs[1:]]
    out = [helper.make_tensor_value_info(name, kind, None) for name in outputs]
    model = helper.make_model(
        helper.make_graph(nodes, "foreign", inputs, out, constants), opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )
    onnx.save(model, str(path))
    return str(path)


def by_hand(x, color="RGB", mean=0.0, std=255.0):
    x = x[:, ::-1] if color == "BGR" else x
    x = (x * 255 - np.reshape(mean, (-1, 1, 1))) / np.reshape(std, (-1, 1, 1))
    return x.reshape(len(x), 72)[:, ::2]


def card(**kwargs):
    return Card(**{"image_size": SIZE, **kwargs})


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"mean": 127.5, "std": 128.0},
        {"color": "BGR", "mean": 127.5, "std": 127.5},
        {"color": "BGR", "mean": [10.0, 20.0, 30.0], "std": [1.0, 2.0, 4.0]},
    ],
)
def test_images_are_scaled_as_the_card_specifies(tmp_path, settings):
    net = OnnxNetwork(foreign(tmp_path / "x.onnx"), card(**settings))
    x = images(3, SIZE)
    np.testing.assert_allclose(net.run(x), by_hand(x, **settings), rtol=1e-5, atol=1e-4)
    out = net(nd.array(x))
    assert isinstance(out, nd.NDArray)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out.asnumpy(), net.run(x))
    assert net.embedding_size == net.card.embedding_size == 36


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 4, 5, 7])
def test_models_of_a_fixed_batch_accept_any_number_of_images(tmp_path, batch, count):
    net = OnnxNetwork(foreign(tmp_path / "x.onnx", (batch, 3, *SIZE)), card())
    x = images(count, SIZE)
    assert net.run(x).shape == (count, 36)
    np.testing.assert_allclose(net.run(x), by_hand(x), rtol=1e-5, atol=1e-5)


def test_a_declared_open_batch_that_is_fixed_inside_is_detected(tmp_path):
    # Declared (N, 3, H, W), but a Reshape contains the 1 with which it was traced.
    net = OnnxNetwork(foreign(tmp_path / "x.onnx", reshape=(1, 36)), card())
    x = images(3, SIZE)
    np.testing.assert_allclose(net.run(x), by_hand(x), rtol=1e-5, atol=1e-5)


def test_models_of_open_size_and_half_precision_run(tmp_path):
    x = images(2, SIZE)
    net = OnnxNetwork(foreign(tmp_path / "x.onnx", ("N", 3, "h", "w"), TensorProto.FLOAT16), card(), threads=1)
    got = net.run(x)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, by_hand(x), atol=1e-3)
    with pytest.raises(GluonFRError, match="threads"):
        OnnxNetwork(str(tmp_path / "x.onnx"), card(), threads=0)


def test_the_card_selects_the_output(tmp_path):
    path = foreign(tmp_path / "x.onnx", outputs=("fc1", "other"))
    x = images(2, SIZE)
    with pytest.raises(GluonFRError, match=r"fc1 \(2, 36\), other \(2, 36\)\) 2 can be the embedding.*name the embedding"):
        OnnxNetwork(path, card())
    np.testing.assert_allclose(OnnxNetwork(path, card(output="other")).run(x), 2 * by_hand(x), rtol=1e-5, atol=1e-5)
    with pytest.raises(GluonFRError, match="no output 'fc2' but fc1, other"):
        OnnxNetwork(path, card(output="fc2"))
    with pytest.raises(GluonFRError, match="length 36, but its card specifies 512"):
        OnnxNetwork(path, card(output="fc1", embedding_size=512))
    with pytest.raises(GluonFRError, match="0 can be the embedding"):
        OnnxNetwork(foreign(tmp_path / "y.onnx", reshape=(-1, 6, 6)), card())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": ("N", *SIZE, 3)}, "channels last"),
        ({"shape": ("N", 1, *SIZE)}, r"\(N, 3, H, W\); give a network for color"),
        ({"shape": ("N", 72)}, "not a batch of images"),
        ({"kind": TensorProto.INT64}, "is int64 .*not a batch of images"),
        ({"shape": ("N", 3, 8, 8)}, "its card specifies 4x6; correct image_size"),
        ({"extra_input": True}, r"this has 2 \(input.1, scale\)"),
        ({"reshape": (5, 7)}, "does not run on images of 4x6"),
    ],
)
def test_models_that_do_not_embed_images_are_refused(tmp_path, options, words):
    with pytest.raises(GluonFRError, match=words) as caught:
        OnnxNetwork(foreign(tmp_path / "x.onnx", **options), card())
    assert "\n" not in str(caught.value)
    assert "x.onnx" in str(caught.value)


def test_files_without_a_model_are_refused(tmp_path):
    foreign(tmp_path / "x.onnx")
    whole = (tmp_path / "x.onnx").read_bytes()
    contents = {
        "not an ONNX model": b"once upon a time " * 50,
        "damaged": whole[: len(whole) * 2 // 3],
        "is empty": b"",
        "git-LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    }
    for words, content in contents.items():
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(GluonFRError, match=words) as caught:
            OnnxNetwork(str(tmp_path / "bad.onnx"), card())
        assert "\n" not in str(caught.value)
    with pytest.raises(GluonFRError, match="missing"):
        load_onnx(str(tmp_path / "none.onnx"))
    with pytest.raises(GluonFRError, match="is a folder"):
        load_onnx(str(tmp_path))


def test_images_of_another_size_than_the_card_are_refused(tmp_path):
    net = OnnxNetwork(foreign(tmp_path / "x.onnx"), card())
    for shape in ((2, 3, 6, 4), (3, 4, 6), (2, 4, 6, 3)):
        with pytest.raises(GluonFRError, match=r"expects images \(N, 3, 4, 6\)"):
            net.run(np.zeros(shape, np.float32))


def test_scaling_is_never_guessed(tmp_path):
    path = foreign(tmp_path / "x.onnx")
    with pytest.raises(GluonFRError, match="write .*x.card.json with color, mean and std") as caught:
        load_onnx(path)
    # The example in the message is a valid card.
    example = json.loads(str(caught.value).split("such as ")[1][:-1])
    beside = tmp_path / "x.card.json"
    beside.write_text(json.dumps({"mean": 127.5}))
    with pytest.raises(GluonFRError, match="lacks color, std"):
        load_onnx(path)
    beside.write_text(json.dumps({**example, "image_size": list(SIZE)}))
    net, found = load_onnx(path)
    x = images(2, SIZE)
    np.testing.assert_allclose(net.run(x), by_hand(x, mean=127.5, std=127.5), rtol=1e-5, atol=1e-5)
    assert found.embedding_size == 36
    # Without a size in the card, the model's own is used.
    del example["image_size"]
    beside.write_text(json.dumps(example))
    assert load_onnx(path)[1].image_size == SIZE
    foreign(tmp_path / "x.onnx", ("N", 3, "h", "w"))
    with pytest.raises(GluonFRError, match="lacks image_size"):
        load_onnx(path)
    beside.write_text(json.dumps({**example, "image_size": list(SIZE), "sha256": "0" * 64}))
    with pytest.raises(GluonFRError, match="damaged"):
        load_onnx(path)
    given, _ = load_onnx(path, card(color="BGR"))
    np.testing.assert_allclose(given.run(x), by_hand(x, "BGR"), rtol=1e-5, atol=1e-5)


def test_exported_models_need_no_card_beside_them(tmp_path):
    net = randomized(get_model("mobilefacenet", embedding_size=16, width=0.25))
    path = str(tmp_path / "own.onnx")
    export_onnx(net, path, card=Card(network="mobilefacenet", license="mine"))
    (tmp_path / "own.card.json").unlink()
    loaded, found = load_onnx(path)
    assert (found.license, found.network, found.embedding_size) == ("mine", "mobilefacenet", 16)
    x = images(5)
    np.testing.assert_allclose(loaded.run(x), embedding(net, x), atol=1e-4)
    crops = list((x.transpose(0, 2, 3, 1) * 255).astype(np.uint8))
    np.testing.assert_allclose(embed(loaded, crops, batch_size=2), embed(net, crops), atol=1e-5)


def test_a_missing_onnxruntime_is_reported_with_the_command_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr("gluonfr.deploy.onnx_network.has_onnxruntime", lambda: False)
    with pytest.raises(GluonFRError, match=r'pip install "gluonfr\[onnx\]"'):
        OnnxNetwork(foreign(tmp_path / "x.onnx"), card())
