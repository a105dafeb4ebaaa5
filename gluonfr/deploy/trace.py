"""The graph of a network, with the shapes and attributes of its operators."""

from __future__ import annotations

import ast
import json
import warnings
from dataclasses import dataclass
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock, Parameter
from mxnet.gluon.parameter import DeferredInitializationError

from gluonfr.core import UsageError
from gluonfr.core.mxnet_internals import parameter_value
from gluonfr.model_zoo.arguments import as_image_size
from gluonfr.nn import prelu_form

# Shapes are inferred for both: a length that differs is that of the batch and remains open in the exported graph.
_BATCHES = (2, 3)


class Trace:
    """The graph from the images to the embedding, with parameters and shapes; a classifier is left out.

    Parameters
    ----------
    net : HybridBlock
        Initialized; it is not changed.
    image_size : (H, W)
        Size of the images.

    Attributes
    ----------
    symbol : mx.sym.Symbol
        Its only free variable is "data"; its only output is the embedding.
    nodes : list of Node
        In topological order.
    parameters : dict of str to float32 array
        Values of the parameters.
    embedding_size : int
        Length of the embedding.

    Raises
    ------
    UsageError
        The network is not a graph or not initialized, does not accept such images, works at one batch size only, or its
        first output is not a matrix with one row per image.

    Examples
    --------
    >>> from gluonfr.deploy import RawPixels
    >>> Trace(RawPixels(), (8, 8))
    Trace(RawPixels, image_size=(8, 8), embedding_size=192, nodes=2)
    """

    def __init__(self, net: HybridBlock, image_size: tuple[int, int]) -> None:
        self.title = type(net).__name__
        self.image_size = as_image_size(image_size)
        if not isinstance(net, HybridBlock):
            raise UsageError(f"{self.title} is not a Gluon graph, so it cannot be exported; give a HybridBlock.")
        values = _parameter_values(net, self.image_size)
        self.symbol = self._symbol(net)
        names = [name for name in self.symbol.list_inputs() if name != "data"]
        extra = [name for name in names if name not in values]
        if extra:
            raise UsageError(
                f"{self.title} has the inputs {', '.join(extra)} besides the image; export a network of one input."
            )
        self.parameters = {name: values[name] for name in names}
        self.nodes = self._nodes()
        head = self.nodes[-1].shape
        if len(head) != 2 or head[0] is not None or head[1] is None:
            shape = tuple("N" if length is None else length for length in head)
            raise UsageError(
                f"{self.title} returns {shape} instead of one embedding per image, (N, D); export another network."
            )
        self.embedding_size = head[1]

    def __repr__(self) -> str:
        sizes = f"image_size={self.image_size}, embedding_size={self.embedding_size}, nodes={len(self.nodes)}"
        return f"Trace({self.title}, {sizes})"

    def _symbol(self, net: HybridBlock) -> Any:
        try:
            with prelu_form("operator"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                out = net(mx.sym.var("data"))
        except Exception as error:  # Tracing runs the network's own code, which can fail in any way.
            raise UsageError(f"{self.title} cannot be traced as a graph: {first_line(error)}") from error
        out = out[0] if isinstance(out, (list, tuple)) else out
        out = out[0] if len(out.list_outputs()) > 1 else out
        # Casts of training in lower precision (`gluonfr.engine.precision`) are left out of the text: graphs are float32.
        return mx.sym.load_json(out.tojson())

    def _nodes(self) -> list[Node]:
        internals = self.symbol.get_internals()
        graph = json.loads(internals.tojson())
        open_shapes = self._shapes(internals)
        # The heads of all internals are their outputs in order. Names are ambiguous: a block that is called twice repeats them.
        shapes = {(node, index): shape for (node, index, *_), shape in zip(graph["heads"], open_shapes)}
        outputs: list[list[tuple[Any, ...]]] = [[] for _ in graph["nodes"]]
        for (node, *_), shape in zip(graph["heads"], open_shapes):
            outputs[node].append(shape)
        nodes = [
            Node(
                entry["op"],
                entry["name"],
                Attributes(entry.get("attrs") or {}),
                [(node, index) for node, index, *_ in entry["inputs"]],
                [shapes[node, index] for node, index, *_ in entry["inputs"]],
                output_shapes,
            )
            for entry, output_shapes in zip(graph["nodes"], outputs)
        ]
        # The head of the symbol may be another output than the first of the last node; a copy moves it there.
        (head, index, *_), *_ = json.loads(self.symbol.tojson())["heads"]
        if index or head != len(nodes) - 1:
            shape = shapes[head, index]
            nodes.append(Node("_copy", "embedding", Attributes({}), [(head, index)], [shape], [shape]))
        return nodes

    def _shapes(self, internals: Any) -> list[tuple[Any, ...]]:
        found = []
        for batch in _BATCHES:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    shapes = internals.infer_shape(data=(batch, 3, *self.image_size))[1]
            except mx.base.MXNetError as error:
                size = "{}x{}".format(*self.image_size)
                raise UsageError(f"{self.title} does not accept {batch} images of {size}: {first_line(error)}") from error
            if shapes is None:
                raise UsageError(f"{self.title} leaves shapes open; give its layers their input sizes.")
            found.append(shapes)
        return [tuple(a if a == b else None for a, b in zip(*pair)) for pair in zip(*found)]


@dataclass(frozen=True)
class Node:
    """One operator of the traced graph.

    Attributes
    ----------
    operator, name : str
        The operator of variables is "null".
    attributes : Attributes
        Attributes of the operator.
    inputs : list of (node, output)
        Indices into `Trace.nodes` and the outputs there.
    input_shapes, output_shapes : list of tuple
        None is the length of the batch.

    Examples
    --------
    >>> Node("relu", "relu0", Attributes({}), [(0, 0)], [(None, 3)], [(None, 3)]).shape
    (None, 3)
    """

    operator: str
    name: str
    attributes: Attributes
    inputs: list[tuple[int, int]]
    input_shapes: list[tuple[Any, ...]]
    output_shapes: list[tuple[Any, ...]]

    @property
    def shape(self) -> tuple[Any, ...]:
        """Shape of the first output."""
        return self.output_shapes[0]


class Attributes:
    """Attributes of an operator, which MXNet stores as text and omits where they have their default.

    Parameters
    ----------
    texts : dict of str to str

    Examples
    --------
    >>> attributes = Attributes({"kernel": "(3, 3)", "no_bias": "True"})
    >>> attributes.value("kernel"), attributes.flag("no_bias"), attributes.lengths("stride", 1, 2)
    ((3, 3), True, (1, 1))
    """

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def __repr__(self) -> str:
        return f"Attributes({self._texts})"

    def text(self, name: str, default: str | None = None) -> str | None:
        """Return an attribute as text."""
        return self._texts.get(name, default)

    def value(self, name: str, default: Any = None) -> Any:
        """Return a number, None, or a tuple of them."""
        text = self._texts.get(name)
        if text is None:
            return default
        try:
            # Python 2 wrote (3L, 3L).
            value = ast.literal_eval(text.replace("L", ""))
        except (ValueError, SyntaxError):
            return float(text)
        return tuple(value) if isinstance(value, list) else value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean attribute."""
        return self._texts[name] in ("True", "true", "1") if name in self._texts else default

    def lengths(self, name: str, default: int, count: int) -> tuple[int, ...]:
        """Return a tuple of `count` integers; MXNet writes () for a default."""
        value = self.value(name, ())
        if value is None or value == ():
            return (default,) * count
        return value if isinstance(value, tuple) else (value,) * count


def _parameter_values(net: HybridBlock, image_size: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return the float32 values of all parameters by name."""
    parameters = net.collect_params().values()
    try:
        for parameter in parameters:
            parameter.list_data()
    except DeferredInitializationError:
        # Layers without a declared input size infer it from the first image.
        net(nd.zeros((1, 3, *image_size)))
    except RuntimeError as error:
        raise UsageError(f"{type(net).__name__} is not initialized; load or train its parameters first.") from error
    return {parameter.name: _value(parameter) for parameter in parameters}


def _value(parameter: Parameter) -> np.ndarray:
    # Running statistics differ between devices; an exported network contains their mean, like a saved one.
    copies = [parameter_value(parameter, context).astype(np.float32) for context in parameter.list_ctx()]
    return copies[0] if len(copies) == 1 else np.mean(copies, axis=0, dtype=np.float32)


def first_line(error: BaseException) -> str:
    r"""Return the message of an exception on one line, without MXNet's stack trace.

    Examples
    --------
    >>> first_line(ValueError("Traceback\n  MXNetError: shapes differ\n  0x7f"))
    'MXNetError: shapes differ'
    """
    lines = str(error).splitlines()
    reasons = [line for line in lines if "Error" in line or "Check failed" in line] or lines or [type(error).__name__]
    return " ".join(reasons[0].split())
