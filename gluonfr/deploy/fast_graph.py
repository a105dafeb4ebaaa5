from __future__ import annotations

import json

import mxnet as mx
import numpy as np

_SUMS = ("elemwise_add", "_plus", "_Plus", "broadcast_add")
# What oneDNN can take a sum into, as the names stand in the finished graph.
_TAKES_SUM = ("Convolution", "BatchNorm")
_FOLDS = ("Convolution", "FullyConnected")


def fast_graph(trace):
    r"""The graph of a network as oneDNN runs it fastest at inference, equal up to rounding: `(symbol, parameters)`.

    BatchNorm behind a convolution or dense layer goes into its weights. PReLU is

    .. math:: \mathrm{PReLU}(x) = x + s \max(0, -|1 - \alpha| x), \quad s = \mathrm{sign}(1 - \alpha)

    Both products are depthwise 1x1 convolutions, into which oneDNN takes the ReLU and the sum: five passes over memory,
    where MXNet's operator leaves oneDNN's layout and loses far more. A slope that all channels share is a leaky ReLU, which
    goes into the convolution before it.

    Parameters
    ----------
    trace : Trace

    Returns
    -------
    symbol : mx.sym.Symbol
        Of one input, "data".
    parameters : dict
        Name -> float32 array.
    """
    graph = json.loads(trace.symbol.tojson())
    old, heads = graph["nodes"], graph["heads"]
    folds = _folds(old, heads, trace)
    layers_folded = {fold[0] for fold in folds.values()}
    new, place = _Nodes(trace.parameters), {}
    for i, (node, traced) in enumerate(zip(old, trace.nodes)):
        if i in layers_folded:
            continue
        if i in folds:
            layer, weight, bias = folds[i]
            data = old[layer]["inputs"][0]
            place[i] = new.layer(old[layer], [place[data[0]], data[1]], weight, bias)
            continue
        inputs = [[place[source], output] for source, output, *_ in node["inputs"]]
        slopes = _slopes(old, node, traced, trace.parameters)
        if slopes is None:
            if node["op"] in _SUMS and new.nodes[inputs[0][0]]["op"] not in _TAKES_SUM:
                # oneDNN takes the sum into what comes first, and fails where that can only be the second.
                inputs = inputs[::-1]
            place[i] = new.add(node["op"], node["name"], inputs, **node.get("attrs", {}))
        elif len(slopes) == 1:
            place[i] = new.add("LeakyReLU", node["name"], inputs[:1], act_type="leaky", slope=float(slopes[0]))
        else:
            place[i] = new.prelu(node["name"], inputs[0], slopes)
    return new.symbol([[place[source], output] for source, output, *_ in heads], graph["attrs"])


class _Nodes:
    """A graph in the making."""

    def __init__(self, parameters) -> None:
        self.nodes, self.parameters = [], dict(parameters)

    def add(self, op, name, inputs=(), **attributes):
        """The place of a new node."""
        self.nodes.append({"op": op, "name": name, "inputs": [[*each, 0] for each in inputs]})
        if attributes:
            self.nodes[-1]["attrs"] = {key: str(value) for key, value in attributes.items()}
        return len(self.nodes) - 1

    def variable(self, name, value):
        self.parameters[name] = value.astype(np.float32)
        return [self.add("null", name), 0]

    def layer(self, node, data, weight, bias):
        """A convolution or dense layer with another weight, and a bias."""
        name = node["name"]
        inputs = [data, self.variable(name + "_weight_folded", weight), self.variable(name + "_bias_folded", bias)]
        return self.add(node["op"], name, inputs, **dict(node["attrs"], no_bias=False))

    def prelu(self, name, data, slopes):
        part = [self._product(data, name + "_below", -np.abs(1 - slopes)), 0]
        part = [self.add("Activation", name + "_relu", [part], act_type="relu"), 0]
        part = [self._product(part, name + "_sign", np.sign(1 - slopes)), 0]
        return self.add("elemwise_add", name, [part, data])

    def _product(self, data, name, factors):
        settings = {"kernel": (1, 1), "num_filter": len(factors), "num_group": len(factors), "no_bias": True}
        weight = self.variable(name, factors.reshape(-1, 1, 1, 1))
        return self.add("Convolution", name + "_product", [data, weight], **settings)

    def symbol(self, heads, attributes):
        """(symbol, the parameters that it takes)."""
        variables = [i for i, node in enumerate(self.nodes) if node["op"] == "null"]
        graph = {"nodes": self.nodes, "arg_nodes": variables, "heads": [[*each, 0] for each in heads], "attrs": attributes}
        symbol = mx.sym.load_json(json.dumps(graph))
        wanted = set(symbol.list_inputs())
        return symbol, {name: value for name, value in self.parameters.items() if name in wanted}


def _folds(nodes, heads, trace):
    """Place of a BatchNorm -> (place of the layer before it, weight, bias) of the layer that does the work of both."""
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
        values = _values(nodes, nodes[layer], trace)
        norm = _values(nodes, node, trace)
        # A dense layer may give more axes than two, of which BatchNorm takes another than the layer's channels.
        fits = len(trace.nodes[layer].shape) == (4 if nodes[layer]["op"] == "Convolution" else 2)
        if nodes[layer]["op"] in _FOLDS and uses[layer] == 1 and fits and None not in (values, norm):
            folds[i] = (layer, *_folded(values, norm, trace.nodes[i].attributes))
    return folds


def _values(nodes, node, trace):
    """The values of what a node takes besides its data; None where something else is computed."""
    names = [nodes[source]["name"] for source, *_ in node["inputs"][1:]]
    if not all(name in trace.parameters for name in names):
        return None
    return [trace.parameters[name].astype(np.float64) for name in names]


def _folded(layer, norm, attributes):
    weight, bias = layer[0], layer[1] if len(layer) > 1 else 0
    gamma, beta, mean, variance = norm
    if attributes.flag("fix_gamma", True):
        gamma = np.ones_like(gamma)
    factor = gamma / np.sqrt(variance + attributes.value("eps", 1e-3))
    return weight * factor.reshape(-1, *[1] * (weight.ndim - 1)), (bias - mean) * factor + beta


def _slopes(nodes, node, traced, parameters):
    """A PReLU's slopes (C,) where it works on maps, else None."""
    if node["op"] != "LeakyReLU" or node.get("attrs", {}).get("act_type") != "prelu" or len(traced.shape) != 4:
        return None
    name = nodes[node["inputs"][1][0]]["name"]
    return parameters[name].reshape(-1) if name in parameters else None
