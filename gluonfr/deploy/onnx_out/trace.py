from __future__ import annotations

import ast
import json
import warnings

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock
from mxnet.gluon.parameter import DeferredInitializationError

from gluonfr.core import GluonFRError
from gluonfr.model_zoo.complexity import as_size
from gluonfr.nn import prelu_form

# Shapes are inferred for both: a length that differs follows the batch and stays open in the exported graph.
_BATCHES = (2, 3)


class Trace:
    """The graph from the images to the embedding, with parameters and shapes; a classifier is left out.

    Parameters
    ----------
    net : HybridBlock
        Initialized. It stays as it is.
    image_size : (H, W)

    Attributes
    ----------
    symbol : mx.sym.Symbol
        Its only free variable is "data"; its only output the embedding.
    nodes : list of Node
        In an order in which each comes after what it takes.
    parameters : dict
        Name -> float32 array.
    embedding_size : int

    Raises
    ------
    GluonFRError
        The network is no graph, not initialized, takes no such images, works at one batch size only, or its first output is
        no matrix with one row an image.
    """

    def __init__(self, net, image_size) -> None:
        self.title = type(net).__name__
        self.image_size = as_size(image_size)
        if not isinstance(net, HybridBlock):
            raise GluonFRError(f"{self.title} is no Gluon graph, so there is nothing to export; give a HybridBlock.")
        every = _values(net, self.image_size)
        self.symbol = self._symbol(net)
        taken = [name for name in self.symbol.list_inputs() if name != "data"]
        lost = [name for name in taken if name not in every]
        if lost:
            raise GluonFRError(f"{self.title} takes {', '.join(lost)} besides the image; export a network of one input.")
        self.parameters = {name: every[name] for name in taken}
        self.nodes = self._nodes()
        head = self.nodes[-1].shape
        if len(head) != 2 or head[0] is not None or head[1] is None:
            shown = tuple("N" if length is None else length for length in head)
            raise GluonFRError(f"{self.title} gives {shown} instead of one embedding an image, (N, D); export another network.")
        self.embedding_size = head[1]

    def _symbol(self, net):
        try:
            with prelu_form("operator"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                out = net(mx.sym.var("data"))
        except Exception as error:  # Tracing runs the network's own code, which may fail in any way.
            raise GluonFRError(f"{self.title} cannot be traced as a graph: {first_line(error)}") from error
        out = out[0] if isinstance(out, (list, tuple)) else out
        return out[0] if len(out.list_outputs()) > 1 else out

    def _nodes(self):
        inside = self.symbol.get_internals()
        graph = json.loads(inside.tojson())
        open_shapes = self._shapes(inside)
        # The heads of all internals are their outputs in order. Names would not do: a block that is called twice repeats them.
        shapes = {(node, index): each for (node, index, *_), each in zip(graph["heads"], open_shapes)}
        outputs = [[] for _ in graph["nodes"]]
        for (node, *_), each in zip(graph["heads"], open_shapes):
            outputs[node].append(each)
        nodes = [
            Node(
                entry["op"],
                entry["name"],
                Attributes(entry.get("attrs") or {}),
                [(node, index) for node, index, *_ in entry["inputs"]],
                [shapes[node, index] for node, index, *_ in entry["inputs"]],
                given,
            )
            for entry, given in zip(graph["nodes"], outputs)
        ]
        # The head of the symbol itself may be a later output of its node; move it where the last node's first output is.
        (head, index, *_), *_ = json.loads(self.symbol.tojson())["heads"]
        if index or head != len(nodes) - 1:
            shape = shapes[head, index]
            nodes.append(Node("_copy", "embedding", Attributes({}), [(head, index)], [shape], [shape]))
        return nodes

    def _shapes(self, inside):
        found = []
        for batch in _BATCHES:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    shapes = inside.infer_shape(data=(batch, 3, *self.image_size))[1]
            except mx.base.MXNetError as error:
                size = "{}x{}".format(*self.image_size)
                raise GluonFRError(f"{self.title} does not take {batch} images of {size}: {first_line(error)}") from error
            if shapes is None:
                raise GluonFRError(f"{self.title} leaves shapes open; give its layers their input sizes.")
            found.append(shapes)
        return [tuple(a if a == b else None for a, b in zip(*each)) for each in zip(*found)]


class Node:
    """One operator of the traced graph.

    Attributes
    ----------
    operator, name : str
        "null" is the operator of variables.
    attributes : Attributes
    inputs : list of (node, output)
        Places in `Trace.nodes`.
    input_shapes, output_shapes : list of tuple
        None stands for a length that follows the batch.
    """

    def __init__(self, operator, name, attributes, inputs, input_shapes, output_shapes) -> None:
        self.operator, self.name, self.attributes = operator, name, attributes
        self.inputs, self.input_shapes, self.output_shapes = inputs, input_shapes, output_shapes

    @property
    def shape(self):
        """Of the first output."""
        return self.output_shapes[0]


class Attributes:
    """An operator's attributes, which MXNet keeps as text and leaves out where they have their default."""

    def __init__(self, texts) -> None:
        self._texts = texts

    def text(self, name, default=None):
        """As it stands."""
        return self._texts.get(name, default)

    def value(self, name, default=None):
        """A number, None, or a tuple of them."""
        text = self._texts.get(name)
        if text is None:
            return default
        try:
            # Python 2 wrote (3L, 3L).
            value = ast.literal_eval(text.replace("L", ""))
        except (ValueError, SyntaxError):
            return float(text)
        return tuple(value) if isinstance(value, list) else value

    def flag(self, name, default=False):
        """True or False, however it is written."""
        return self._texts[name] in ("True", "true", "1") if name in self._texts else default

    def lengths(self, name, default, count):
        """A tuple of `count` numbers; MXNet writes () for a default."""
        value = self.value(name, ())
        if value is None or value == ():
            return (default,) * count
        return value if isinstance(value, tuple) else (value,) * count


def _values(net, image_size):
    """Name -> float32 array of every parameter."""
    parameters = net.collect_params().values()
    try:
        for parameter in parameters:
            parameter.list_data()
    except DeferredInitializationError:
        # Layers that were not told the size of their input learn it from the first image.
        net(nd.zeros((1, 3, *image_size)))
    except RuntimeError as error:
        raise GluonFRError(f"{type(net).__name__} is not initialized; load or train its parameters first.") from error
    return {parameter.name: _value(parameter) for parameter in parameters}


def _value(parameter):
    # Running statistics differ between devices; like a saved network, an exported one takes their mean.
    copies = [each.asnumpy().astype(np.float32) for each in parameter.list_data()]
    return copies[0] if len(copies) == 1 else np.mean(copies, axis=0, dtype=np.float32)


def first_line(error):
    """What an exception says, on one line and without MXNet's stack."""
    lines = str(error).splitlines()
    said = [line for line in lines if "Error" in line or "Check failed" in line] or lines or [type(error).__name__]
    return " ".join(said[0].split())
