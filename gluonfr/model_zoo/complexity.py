from __future__ import annotations

import json
import warnings
from collections import namedtuple

import mxnet as mx
import numpy as np
from mxnet.gluon.parameter import Constant

from gluonfr.core import GluonFRError
from gluonfr.nn import prelu_form

Complexity = namedtuple("Complexity", ("parameters", "multiply_adds"))


def complexity(net, image_size=(112, 112)):
    """How large a network is and what one image costs, from its graph: nothing is run, nothing need be initialized.

    Parameters
    ----------
    net : HybridBlock
        Its parameters, and what it was hybridized to, stay as they are.
    image_size : (H, W), default (112, 112)

    Returns
    -------
    (parameters, multiply_adds) : named tuple of int
        Parameters without running statistics; scales and shifts that BatchNorm holds fixed are counted, and a classifier is,
        where the network has one. Multiply-adds of convolutions, transposed convolutions, dense layers and batches of matrix
        products; the rest (normalization, activations, pooling) is left out, as in the papers.

    Raises
    ------
    GluonFRError
        The network cannot be traced as a graph, or does not take images of that size.
    """
    graph = Graph(net, (1, 3, *as_size(image_size)))
    constants = {each.name for each in net.collect_params().values() if isinstance(each, Constant)}
    parameters = sum(_product(shape) for name, shape in graph.arguments.items() if name not in constants)
    return Complexity(parameters, sum(_cost(node, graph) for node in graph.nodes))


def as_size(image_size):
    """`image_size` as two positive whole numbers (H, W); GluonFRError if it is not."""
    try:
        height, width = (int(each) for each in image_size)
    except (TypeError, ValueError) as error:
        raise GluonFRError(f"image_size is height and width, got {image_size!r}; give two whole numbers.") from error
    if min(height, width) < 1:
        raise GluonFRError(f"image_size is height and width, got {image_size!r}; give two positive numbers.")
    return height, width


class Graph:
    """The operators of a Gluon network with the shapes of what flows between them, for an input of `shape`.

    Attributes
    ----------
    nodes : list of dict
        Operators and variables from input to output, as in a symbol's JSON: `op`, `name`, `attrs`, `inputs`.
    version : dict
        The JSON's own `attrs`: which MXNet wrote it.
    outputs : list of tuple
        Shapes of the network's outputs.
    shapes : dict
        (node, output) -> shape.
    arguments : dict
        Name -> shape of every parameter that is no running statistic.
    """

    def __init__(self, net, shape) -> None:
        try:
            with prelu_form("operator"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                out = net(mx.sym.var("data"))
                symbol = mx.sym.Group(list(out)) if isinstance(out, (list, tuple)) else out
                inside = symbol.get_internals()
                # As `infer_shape`, which prints its failures.
                shapes = inside.infer_shape_partial(data=shape)[1]
                arguments, self.outputs, _ = symbol.infer_shape_partial(data=shape)
        except Exception as error:  # Tracing runs the network's own code, which may fail in any way.
            lines = str(error).splitlines()
            reason = " ".join(" ".join([line for line in lines if "Error" in line] or lines).split())
            raise GluonFRError(f"{type(net).__name__} cannot be traced with an input of shape {shape}: {reason}") from error
        if any(not each or 0 in each for each in shapes):
            raise GluonFRError(
                f"{type(net).__name__} leaves shapes open with an input of shape {shape}; give its layers their input sizes."
            )
        # The heads of all internals are their outputs in order. Names would not do: a block that is called twice repeats them.
        graph = json.loads(inside.tojson())
        self.nodes, self.version = graph["nodes"], graph["attrs"]
        self._places = {id(node): place for place, node in enumerate(self.nodes)}
        self.shapes = {(node, index): each for (node, index, *_), each in zip(graph["heads"], shapes)}
        self.arguments = {name: each for name, each in zip(symbol.list_arguments(), arguments) if name != "data"}

    def inputs(self, node):
        """Shapes of what a node takes: data first, then weights."""
        return [self.shapes[each, index] for each, index, *_ in node["inputs"]]

    def output(self, node):
        """Shape of a node's first output."""
        return self.shapes[self._places[id(node)], 0]


def _product(shape):
    return int(np.prod(shape, dtype=np.int64))


def _cost(node, graph):
    """Multiply-adds of one operator."""
    operator = node["op"]
    if operator in ("Convolution", "FullyConnected"):
        # Every output is a sum over one row of the weight: (channels in / groups) x kernel, or the dense layer's input.
        return _product(graph.output(node)) * _product(graph.inputs(node)[1][1:])
    if operator == "Deconvolution":
        data, weight = graph.inputs(node)[:2]
        return _product(data) * _product(weight[1:])
    if operator == "batch_dot":
        left = graph.inputs(node)[0]
        transposed = node.get("attrs", {}).get("transpose_a") in ("True", "1")
        return _product(graph.output(node)) * left[1 if transposed else 2]
    return 0
