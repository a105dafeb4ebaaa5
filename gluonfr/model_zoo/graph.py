from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import mxnet as mx

from gluonfr.core import UsageError
from gluonfr.nn import prelu_form


class NetworkGraph:
    """The operators of a Gluon network and the shapes of their outputs, for an input of a given shape.

    Parameters
    ----------
    net : HybridBlock or callable
        Symbol in, symbol or list of symbols out.
    shape : tuple of int
        Of the input, such as (1, 3, 112, 112).

    Attributes
    ----------
    nodes : list of dict
        Operators and variables from input to output, as in a symbol's JSON: `op`, `name`, `attrs`, `inputs`.
    json_attributes : dict
        The `attrs` of the JSON itself, which record the version of MXNet.
    outputs : list of tuple
        Shapes of the network's outputs.
    shapes : dict
        (node number, output number) -> shape.
    parameters : dict
        Name -> shape of every parameter except running statistics.

    Raises
    ------
    UsageError
        The network cannot be traced, does not accept an input of that shape, or leaves shapes undetermined.

    Examples
    --------
    >>> from mxnet.gluon import nn
    >>> graph = NetworkGraph(nn.Dense(5), (2, 3))
    >>> graph.outputs, list(graph.parameters.values())
    ([(2, 5)], [(5, 3), (5,)])
    """

    def __init__(self, net: Callable[[Any], Any], shape: tuple[int, ...]) -> None:
        name = type(net).__name__
        try:
            with prelu_form("operator"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                out = net(mx.sym.var("data"))
                symbol = mx.sym.Group(list(out)) if isinstance(out, (list, tuple)) else out
                internals = symbol.get_internals()
                # `infer_shape` would print its failures.
                shapes = internals.infer_shape_partial(data=shape)[1]
                arguments, self.outputs, _ = symbol.infer_shape_partial(data=shape)
        except Exception as error:  # Tracing runs the network's own code, which may fail in any way.
            lines = str(error).splitlines()
            reason = " ".join(" ".join([line for line in lines if "Error" in line] or lines).split())
            raise UsageError(f"{name} cannot be traced with an input of shape {shape}: {reason}") from error
        if any(not found or 0 in found for found in shapes):
            raise UsageError(
                f"{name} leaves shapes undetermined with an input of shape {shape}; give its layers their input sizes."
            )
        # The heads of the internals are their outputs in order. Names would not do: a block that is called twice repeats them.
        graph = json.loads(internals.tojson())
        self.nodes: list[dict[str, Any]] = graph["nodes"]
        self.json_attributes: dict[str, Any] = graph["attrs"]
        self._numbers = {id(node): number for number, node in enumerate(self.nodes)}
        self.shapes = {(node, index): found for (node, index, *_), found in zip(graph["heads"], shapes)}
        self.parameters = {name: found for name, found in zip(symbol.list_arguments(), arguments) if name != "data"}

    def inputs(self, node: dict[str, Any]) -> list[tuple[int, ...]]:
        """Return the shapes of a node's inputs: data first, then weights."""
        return [self.shapes[number, index] for number, index, *_ in node["inputs"]]

    def output(self, node: dict[str, Any]) -> tuple[int, ...]:
        """Return the shape of a node's first output."""
        return self.shapes[self._numbers[id(node)], 0]
