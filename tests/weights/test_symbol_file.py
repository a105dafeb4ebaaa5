"""Symbols from files: those of all networks are accepted, damaged and hostile ones are refused before MXNet reads them."""

import json
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import pytest

from gluonfr.core import WeightsError
from gluonfr.model_zoo import get_model, list_models
from gluonfr.model_zoo.graph import NetworkGraph
from gluonfr.weights.symbol_file import check_array_sizes, load_symbol, read_symbol
from gluonfr.weights.symbol_operators import check_operator

BACKBONES = ["gluon:mobilenetv2_0.25", "gluon:resnet18_v2", "gluon:densenet121", "gluon:squeezenet1.1", "gluon:inceptionv3"]


@pytest.mark.parametrize("name", [*(name for name in list_models() if not name.startswith("attention")), *BACKBONES])
def test_operators_of_our_networks_are_accepted(name):
    net = get_model(name, embedding_size=8)
    for node in NetworkGraph(net, (1, 3, *net.image_size)).nodes:
        if node["op"] != "null":
            check_operator(node["op"], node["name"], node.get("attrs", {}), len(node["inputs"]), 10901)


def test_published_symbols_are_accepted(faces):
    paths = sorted(Path(faces, "weights").glob("*-symbol.json"))
    assert paths
    for path in paths:
        assert "data" in load_symbol(path).list_inputs()


def small_symbol():
    x = mx.sym.BatchNorm(mx.sym.Convolution(mx.sym.var("data"), num_filter=4, kernel=(3, 3), name="conv"), name="norm")
    parts = mx.sym.SliceChannel(x, num_outputs=2, name="split")
    x = mx.sym.Concat(parts[1], mx.sym.LeakyReLU(parts[0], act_type="prelu", name="prelu"), name="concat")
    x = mx.sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max", name="pool")
    return mx.sym.FullyConnected(mx.sym.Flatten(x), num_hidden=8, name="fc1")


@pytest.fixture
def graph():
    return json.loads(small_symbol().tojson())


def write(tmp_path, graph):
    path = tmp_path / "x-symbol.json"
    path.write_text(json.dumps(graph))
    return path


def node(graph, name):
    return next(node for node in graph["nodes"] if node["name"] == name)


def test_a_valid_symbol_is_unchanged(tmp_path, graph):
    symbol = load_symbol(write(tmp_path, graph))
    assert symbol.list_arguments() == small_symbol().list_arguments()
    shape = {"data": (1, 3, 10, 10)}
    assert symbol.infer_shape(**shape) == small_symbol().infer_shape(**shape)


def set_setting(name, setting, value):
    return lambda graph: node(graph, name)["attrs"].__setitem__(setting, value)


MUTATIONS = {
    "output 5 of fc1 does not exist": lambda graph: graph.update(heads=[[graph["heads"][0][0], 5, 0]]),
    "output 4294967295": lambda graph: graph.update(heads=[[graph["heads"][0][0], 2**32 - 1, 0]]),
    "uses output 100 of node": lambda graph: node(graph, "fc1")["inputs"][0].__setitem__(1, 100),
    "uses output 2 of node": lambda graph: node(graph, "concat")["inputs"][0].__setitem__(1, 2),
    "conv has stride .*out of range": set_setting("conv", "stride", "(0, 0)"),
    "conv has num_filter .*out of range": set_setting("conv", "num_filter", "-1"),
    "conv has num_group .*out of range": set_setting("conv", "num_group", "99999999999999999999"),
    "split has num_outputs .*out of range": set_setting("split", "num_outputs", "0"),
    "layer conv .* has 3 inputs instead of 2": set_setting("conv", "no_bias", "True"),
    "layer fc1 .* has 2 inputs instead of 3": lambda graph: node(graph, "fc1")["inputs"].pop(),
    "layer prelu .* has 2 inputs instead of 1": set_setting("prelu", "act_type", "elu"),
    "malformed setting 'kernel'": set_setting("conv", "kernel", 3),
    "is a Custom, which is not supported": lambda graph: node(graph, "pool").update(op="Custom"),
    "is a _foreach, which is not supported": lambda graph: node(graph, "pool").update(op="_foreach"),
    "graph or dependencies of its own": lambda graph: node(graph, "pool").update(control_deps=[7]),
    "same name": lambda graph: node(graph, "conv_bias").update(name="conv_weight"),
    "is a variable with inputs": lambda graph: node(graph, "conv_bias").update(inputs=[[0, 0, 0]]),
    "node 1 is malformed": lambda graph: graph["nodes"][1].update(inputs=[[5, 0, 0]]),
    "node 3 is malformed": lambda graph: graph["nodes"][3].update(inputs=[[True, 0, 0]]),
    "node 2 is malformed": lambda graph: graph["nodes"][2].update(inputs="[]"),
    "it has no valid output": lambda graph: graph.update(heads=[]),
}


@pytest.mark.parametrize("message", MUTATIONS)
def test_wrong_symbols_are_refused_with_the_reason(tmp_path, graph, message):
    MUTATIONS[message](graph)
    with pytest.raises(WeightsError, match=f"x-symbol.json.*{message}"):
        load_symbol(write(tmp_path, graph))


def test_parameters_of_normalizations_must_be_variables_of_their_own(tmp_path, graph):
    places = {node["name"]: number for number, node in enumerate(graph["nodes"])}
    for source in ("conv", "data", "norm_moving_mean"):
        changed = json.loads(json.dumps(graph))
        # MXNet would read the array of another layer as a running variance, beyond its end.
        node(changed, "norm")["inputs"][4] = [places[source], 0, 0]
        with pytest.raises(WeightsError, match="a parameter that is not a variable of its own"):
            load_symbol(write(tmp_path, changed))


@pytest.mark.parametrize("text", ["\x1b[31m", "a\nb", "\0", "\ud800"])
def test_names_and_settings_must_be_printable(tmp_path, graph, text):
    for change in (lambda node: node.update(name=text), lambda node: node["attrs"].update(layout=text)):
        changed = json.loads(json.dumps(graph))
        change(node(changed, "conv"))
        with pytest.raises(WeightsError, match="malformed"):
            load_symbol(write(tmp_path, changed))


def test_parameters_of_another_length_are_refused(tmp_path, graph):
    symbol = load_symbol(write(tmp_path, graph))
    names = ("norm_gamma", "norm_beta", "norm_moving_mean", "norm_moving_var")
    shapes = {"data": (1, 3, 10, 10), "conv_weight": (4, 3, 3, 3), "conv_bias": (4,), **dict.fromkeys(names, (4,))}
    check_array_sizes(symbol, shapes, "x")
    for name in names:
        with pytest.raises(WeightsError, match="instead of|do not fit"):
            check_array_sizes(symbol, {**shapes, name: (3,)}, "x")


def test_attributes_that_initialize_parameters_are_removed(tmp_path, graph):
    node(graph, "conv_weight")["attrs"] = {"__init__": '["load", {"param": "/etc/passwd"}]', "__shape__": "(9, 9, 9, 9)"}
    assert "conv_weight" not in load_symbol(write(tmp_path, graph)).attr_dict()


def test_arrays_between_layers_are_bounded(tmp_path):
    shapes = {"data": (1, 3, 112, 112)}
    x = mx.sym.var("data")
    for _ in range(6):
        x = mx.sym.UpSampling(x, scale=4, sample_type="nearest", num_args=1)
    path = write(tmp_path, json.loads(x.tojson()))
    with pytest.raises(WeightsError, match="too large for one image"):
        check_array_sizes(load_symbol(path), shapes, "x")
    with pytest.raises(WeightsError, match="do not fit together"):
        check_array_sizes(mx.sym.Convolution(mx.sym.var("data"), kernel=(300, 300), num_filter=1), shapes, "x")
    check_array_sizes(small_symbol(), shapes, "x")


def test_deep_nesting_and_large_files_are_refused(tmp_path):
    path = tmp_path / "x-symbol.json"
    for text in ("[" * 100_000, '{"nodes": [], "heads": [[0, 0]]}', "\xff", "[]", "3"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(WeightsError, match="not a valid symbol"):
            read_symbol(path)
    path.write_text(json.dumps({"nodes": [{"op": "null", "name": "x", "inputs": []}] * 20_001, "heads": [[0, 0]]}))
    with pytest.raises(WeightsError, match="at most 20,000"):
        read_symbol(path)


MUTATE = """
import json, sys
import numpy as np
import gluonfr.weights
import mxnet as mx
from gluonfr.core import WeightsError
from gluonfr.weights.symbol_file import check_array_sizes, load_symbol
path, seed = sys.argv[1], int(sys.argv[2])
text = open(path).read()
random = np.random.Generator(np.random.Philox(seed))
values = ["0", "-1", "5", "100", "4294967295", "1e9", '"(0, 0)"', '"None"', "[]", '"-5"', '"99999"']
refused = 0
for trial in range(200):
    graph = json.loads(text)
    for _ in range(1 + trial % 3):
        node = graph["nodes"][random.integers(len(graph["nodes"]))]
        value = json.loads(values[random.integers(len(values))])
        kind = random.integers(6)
        if kind == 0 and node["inputs"]:
            node["inputs"][random.integers(len(node["inputs"]))][random.integers(3)] = value
        elif kind == 1 and node.get("attrs"):
            setting = list(node["attrs"])[random.integers(len(node["attrs"]))]
            node["attrs"][setting] = value if random.integers(2) else str(value)
        elif kind == 2:
            node["op"] = graph["nodes"][random.integers(len(graph["nodes"]))]["op"]
        elif kind == 3 and node["inputs"]:
            del node["inputs"][random.integers(len(node["inputs"]))]
        elif kind == 4:
            node["inputs"].append([int(random.integers(len(graph["nodes"]))), 0, 0])
        else:
            graph["heads"][0][random.integers(3)] = value
    open(path, "w").write(json.dumps(graph))
    try:
        symbol = load_symbol(path)
        names = symbol.list_inputs()
        if "data" in names:
            shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape_partial(data=(1, 3, 10, 10))[0]))
            check_array_sizes(symbol, {"data": (1, 3, 10, 10)}, path)
    except (WeightsError, mx.base.MXNetError):
        refused += 1
print(refused)
"""


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.system), pytest.param(3, marks=pytest.mark.system)])
def test_random_mutations_never_end_the_process(tmp_path, graph, seed):
    path = write(tmp_path, graph)
    result = subprocess.run([sys.executable, "-c", MUTATE, str(path), str(seed)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-500:]
    assert 100 < int(result.stdout) < 200
