"""ONNX models that ask for absurd sizes, memory or time are refused with a sentence."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from gluonfr.core import Card, GluonFRError, WeightsError
from gluonfr.deploy import onnx_trial
from gluonfr.deploy.card_values import check_image_size, mean_and_std
from gluonfr.deploy.onnx_network import load_onnx
from gluonfr.deploy.onnx_trial import try_onnx


def model(path, nodes, constants=(), shape=("N", 3, 8, 8), card=None):
    inputs = [helper.make_tensor_value_info("data", TensorProto.FLOAT, list(shape))]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(constants))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if card is not None:
        helper.set_model_props(made, {"gluonfr.card": card if isinstance(card, str) else json.dumps(card)})
    onnx.save(made, str(path))
    return str(path)


def constant(value, name):
    return numpy_helper.from_array(np.array(value), name)


FLATTEN = [helper.make_node("Flatten", ["data"], ["embedding"])]


def endless_loop(path):
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["go2"]), helper.make_node("Identity", ["x"], ["x2"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go2", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x2", TensorProto.FLOAT, None),
        ],
    )
    nodes = [
        helper.make_node("Flatten", ["data"], ["flat"]),
        helper.make_node("Loop", ["count", "true", "flat"], ["embedding"], body=body),
    ]
    return model(path, nodes, [constant(1 << 62, "count"), constant(True, "true")], card={"image_size": [8, 8]})


def expanded(path, *lengths):
    """Write a model that expands the mean of an image to these lengths and reduces it again."""
    nodes = [
        helper.make_node("ReduceMean", ["data"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "axes"], ["column"]),
        helper.make_node("Expand", ["column", "lengths"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["embedding"], axes=[0], keepdims=0),
    ]
    constants = [constant([1, 2], "axes"), constant([1, *lengths], "lengths")]
    return model(path, nodes, constants, card={"image_size": [8, 8]})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": (1 << 40, 3, 8, 8), "card": {"image_size": [8, 8]}}, "a batch of 1099511627776 images .* too large"),
        ({"shape": ("N", 3, "H", "W"), "card": {"image_size": [100_000, 100_000]}}, "at most 4096x4096"),
        ({"shape": ("N", 3, "H", "W"), "card": {"image_size": [10**12, 10**12]}}, "at most 4096x4096"),
        ({"card": '{"image_size": [8, 8], "mean": [1%s, 1, 1]}' % ("0" * 400)}, "an integer of 401 digits"),
        ({"card": '{"image_size": [8, 8], "std": 1e-300}'}, "std"),
        ({"card": '{"image_size": [8, 8], "embedding_size": 1%s}' % ("0" * 5000)}, "card"),
        ({"card": "[" * 100_000}, "not a network's card"),
    ],
)
def test_absurd_sizes_and_cards_are_refused(tmp_path, options, words):
    with pytest.raises(GluonFRError, match=words) as caught:
        load_onnx(model(tmp_path / "x.onnx", FLATTEN, **options))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_loops_are_refused_before_they_run(tmp_path):
    with pytest.raises(WeightsError, match="the operator Loop"):
        load_onnx(endless_loop(tmp_path / "x.onnx"))


def test_models_that_do_not_end_are_refused(tmp_path, monkeypatch):
    # The loop is not found in the file, as if it were encoded in another way.
    monkeypatch.setattr(onnx_trial, "_find_loop", lambda path: None)
    monkeypatch.setattr(onnx_trial, "CPU_SECONDS", 2)
    with pytest.raises(WeightsError, match="did not process two blank images in 2 s"):
        load_onnx(endless_loop(tmp_path / "x.onnx"))


def test_models_that_need_too_much_memory_are_refused(tmp_path):
    # 2 x 40,000 x 40,000 numbers are 12 GiB.
    with pytest.raises(WeightsError, match=r"needs more than 1\.5 GiB"):
        load_onnx(expanded(tmp_path / "x.onnx", 40_000, 40_000))


def test_the_trial_accepts_models_and_leaves_errors_to_the_caller(tmp_path):
    try_onnx(model(tmp_path / "x.onnx", FLATTEN))
    try_onnx(model(tmp_path / "open.onnx", FLATTEN, shape=("N", 3, "H", "W")), (8, 8))
    (tmp_path / "bad.onnx").write_bytes(b"once upon a time " * 50)
    try_onnx(str(tmp_path / "bad.onnx"))


def test_names_and_metadata_that_are_not_text_are_refused(tmp_path, capfd):
    path = model(tmp_path / "x.onnx", FLATTEN, card={"image_size": [8, 8]})
    content = (tmp_path / "x.onnx").read_bytes()
    for old, new in ((b"data", b"d\xffta"), (b"embedding", b"embeddin\xff"), (b"image_size", b"image_siz\xff")):
        (tmp_path / "x.onnx").write_bytes(content.replace(old, new))
        with pytest.raises(GluonFRError, match="x.onnx is damaged"):
            load_onnx(path)
    # ONNX Runtime prints nothing beside the error.
    assert capfd.readouterr() == ("", "")


def test_values_of_a_card_have_bounds():
    for card in (Card(mean=float("inf")), Card(std=0.0), Card(std=[1, 2]), Card(mean=10**400), Card(mean="a")):
        with pytest.raises(WeightsError, match="it: mean"):
            mean_and_std(card, "it")
    with pytest.raises(WeightsError, match="a batch of 100000 images"):
        check_image_size(Card(), "it", 100_000)
