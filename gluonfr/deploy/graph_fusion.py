"""A network's graph rewritten for inference with oneDNN: folded BatchNorm, PReLU from convolutions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import mxnet as mx
import numpy as np

from gluonfr.deploy.trace import Attributes, Node, Trace

_SUMS = ("elemwise_add", "_plus", "_Plus", "broadcast_add")
# Operators into which oneDNN fuses a sum, as they are called in the finished graph.
_FUSE_SUM = ("Convolution", "BatchNorm")
_LAYERS = ("Convolution", "FullyConnected")


def fuse_graph(trace: Trace) -> tuple[Any, dict[str, np.ndarray]]:
    r"""Rewrite the graph of a network into the form that oneDNN runs fastest at inference, equal up to rounding.

    BatchNorm after a convolution or dense layer is folded into its weights. PReLU is written as

    .. math:: \mathrm{PReLU}(x) = x + s \max(0, -|1 - \alpha| x), \quad s = \mathrm{sign}(1 - \alpha)

    Both products are depthwise 1x1 convolutions, into which oneDNN fuses the ReLU and the sum: five passes over memory,
    where MXNet's operator leaves oneDNN's layout and costs far more. A slope that all channels share is a leaky ReLU, which
    is fused into the convolution before it.

    Parameters
    ----------
    trace : Trace

    Returns
    -------
    symbol : mx.sym.Symbol
        A graph with one input, "data".
    parameters : dict of str to float32 array
        Values of its parameters.

    Examples
    --------
    >>> from gluonfr.deploy import RawPixels
    >>> symbol, parameters = fuse_graph(Trace(RawPixels(), (8, 8)))
    >>> symbol.list_inputs(), parameters
    (['data'], {})
    """
    graph = json.loads(trace.symbol.tojson())
    old, heads = graph["nodes"], graph["heads"]
    folds = _find_folds(old, heads, trace)
    folded_layers = {layer for layer, _, _ in folds.values()}
    new = _GraphBuilder(trace.parameters)
    place: dict[int, int] = {}
    for i, (node, traced) in enumerate(zip(old, trace.nodes)):
        if i in folded_layers:
            continue
        if i in folds:
            layer, weight, bias = folds[i]
            data = old[layer]["inputs"][0]
            place[i] = new.layer(old[layer], [place[data[0]], data[1]], weight, bias)
            continue
        inputs = [[place[source], output] for source, output, *_ in node["inputs"]]
        slopes = _slopes(old, node, traced, trace.parameters)
        if slopes is None:
            if node["op"] in _SUMS and new.nodes[inputs[0][0]]["op"] not in _FUSE_SUM:
                # oneDNN fuses the sum into the first operand, and fails where that is possible for the second only.
                inputs = inputs[::-1]
            place[i] = new.add(node["op"], node["name"], inputs, node.get("attrs", {}))
        elif len(slopes) == 1:
            place[i] = new.add("LeakyReLU", node["name"], inputs[:1], {"act_type": "leaky", "slope": float(slopes[0])})
        else:
            place[i] = new.prelu(node["name"], inputs[0], slopes)
    return new.symbol([[place[source], output] for source, output, *_ in heads], graph["attrs"])


class _GraphBuilder:
    """A graph under construction, in the form of MXNet's JSON."""

    def __init__(self, parameters: dict[str, np.ndarray]) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.parameters = dict(parameters)

    def add(
        self, operator: str, name: str, inputs: Sequence[Sequence[int]] = (), attributes: Mapping[str, Any] | None = None
    ) -> int:
        """Add a node; returns its index."""
        self.nodes.append({"op": operator, "name": name, "inputs": [[*source, 0] for source in inputs]})
        if attributes:
            self.nodes[-1]["attrs"] = {key: str(value) for key, value in attributes.items()}
        return len(self.nodes) - 1

    def variable(self, name: str, value: np.ndarray) -> list[int]:
        self.parameters[name] = value.astype(np.float32)
        return [self.add("null", name), 0]

    def layer(self, node: dict[str, Any], data: list[int], weight: np.ndarray, bias: np.ndarray) -> int:
        """Add a convolution or dense layer with another weight and a bias."""
        name = node["name"]
        inputs = [data, self.variable(name + "_weight_folded", weight), self.variable(name + "_bias_folded", bias)]
        return self.add(node["op"], name, inputs, {**node["attrs"], "no_bias": False})

    def prelu(self, name: str, data: list[int], slopes: np.ndarray) -> int:
        negative = [self._product(data, name + "_below", -np.abs(1 - slopes)), 0]
        negative = [self.add("Activation", name + "_relu", [negative], {"act_type": "relu"}), 0]
        negative = [self._product(negative, name + "_sign", np.sign(1 - slopes)), 0]
        return self.add("elemwise_add", name, [negative, data])

    def _product(self, data: list[int], name: str, factors: np.ndarray) -> int:
        settings = {"kernel": (1, 1), "num_filter": len(factors), "num_group": len(factors), "no_bias": True}
        weight = self.variable(name, factors.reshape(-1, 1, 1, 1))
        return self.add("Convolution", name + "_product", [data, weight], settings)

    def symbol(self, heads: list[list[int]], attributes: dict[str, Any]) -> tuple[Any, dict[str, np.ndarray]]:
        """Return the symbol and the parameters that it uses."""
        variables = [i for i, node in enumerate(self.nodes) if node["op"] == "null"]
        graph = {"nodes": self.nodes, "arg_nodes": variables, "heads": [[*head, 0] for head in heads], "attrs": attributes}
        symbol = mx.sym.load_json(json.dumps(graph))
        used = set(symbol.list_inputs())
        return symbol, {name: value for name, value in self.parameters.items() if name in used}


def _find_folds(
    nodes: list[dict[str, Any]], heads: list[list[int]], trace: Trace
) -> dict[int, tuple[int, np.ndarray, np.ndarray]]:
    """Map the index of a BatchNorm to (index of the layer before it, weight, bias) of the layer that replaces both."""
    uses = [0] * len(nodes)
    for node in nodes:
        for source, *_ in node["inputs"]:
            uses[source] += 1
    for source, *_ in heads:
        uses[source] += 1
    folds = {}
    for i, node in enumerate(nodes):
        if node["op"] != "BatchNorm":
            continue
        layer = node["inputs"][0][0]
        values = _input_values(nodes, nodes[layer], trace)
        norm = _input_values(nodes, node, trace)
        # A dense layer may have an output of more than two axes; BatchNorm then normalizes another axis than its channels.
        fits = len(trace.nodes[layer].shape) == (4 if nodes[layer]["op"] == "Convolution" else 2)
        if nodes[layer]["op"] in _LAYERS and uses[layer] == 1 and fits and values is not None and norm is not None:
            folds[i] = (layer, *_fold(values, norm, trace.nodes[i].attributes))
    return folds


def _input_values(nodes: list[dict[str, Any]], node: dict[str, Any], trace: Trace) -> list[np.ndarray] | None:
    """Return the values of a node's inputs other than its data; None where one of them is computed."""
    names = [nodes[source]["name"] for source, *_ in node["inputs"][1:]]
    if not all(name in trace.parameters for name in names):
        return None
    return [trace.parameters[name].astype(np.float64) for name in names]


def _fold(layer: list[np.ndarray], norm: list[np.ndarray], attributes: Attributes) -> tuple[np.ndarray, np.ndarray]:
    weight, bias = layer[0], layer[1] if len(layer) > 1 else np.zeros(1)
    gamma, beta, mean, variance = norm
    if attributes.flag("fix_gamma", True):
        gamma = np.ones_like(gamma)
    factor = gamma / np.sqrt(variance + attributes.value("eps", 1e-3))
    return weight * factor.reshape(-1, *[1] * (weight.ndim - 1)), (bias - mean) * factor + beta


def _slopes(
    nodes: list[dict[str, Any]], node: dict[str, Any], traced: Node, parameters: dict[str, np.ndarray]
) -> np.ndarray | None:
    """Return the slopes (C,) of a PReLU on feature maps, else None."""
    if node["op"] != "LeakyReLU" or node.get("attrs", {}).get("act_type") != "prelu" or len(traced.shape) != 4:
        return None
    name = nodes[node["inputs"][1][0]]["name"]
    return parameters[name].reshape(-1) if name in parameters else None
