"""Networks as graphs of layers in one form, built from a Gluon network or from the symbol of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from gluonfr.core import WeightsError
from gluonfr.model_zoo.graph import NetworkGraph
from gluonfr.weights.symbol_layers import PASS_THROUGH, Layer, fold_name, make_layer, settings_of

COMMUTATIVE = ("Add", "Mul")


class LayerGraph:
    """Layers from input to embedding, without those that have no effect at inference.

    Parameters
    ----------
    layers : list of Layer
        In an order in which every layer follows its inputs.
    fold_norm : bool, default False
        Whether a BatchNorm of the input counts as part of its scaling.

    Attributes
    ----------
    layers : list of Layer
        Every layer follows its inputs.
    input_scaling : list of Layer
        The layers that shift and scale the input before all others.

    Examples
    --------
    >>> from gluonfr.model_zoo import get_model
    >>> graph_of_network(get_model("lresnet10e_ir", units=(1,), channels=(4, 8), embedding_size=4))
    LayerGraph(16 layers, embedding 4)
    """

    def __init__(self, layers: list[Layer], fold_norm: bool = False) -> None:
        self.layers = layers
        self.input_scaling = self._remove_input_scaling(fold_norm)
        for number, layer in enumerate((layer for layer in self.layers if layer.op != "Input"), 1):
            layer.number = number
        for layer in self.layers:
            inputs = [source.signature for source in layer.inputs]
            if layer.op in COMMUTATIVE:
                inputs.sort()
            layer.signature = hashlib.sha1(repr((layer.op, layer.settings, inputs)).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.layers)} layers, embedding {self.embedding_size or 'unknown'})"

    @property
    def root(self) -> Layer:
        """The layer that computes the embedding."""
        return self.layers[-1]

    @property
    def embedding_size(self) -> int:
        """Length of the embedding, from the last convolution or dense layer; 0 if it is unknown."""
        layer = self.root
        while layer.inputs:
            if layer.op in ("Dense", "Convolution"):
                return dict(layer.settings)["channels"]
            layer = layer.inputs[0]
        return 0

    def starts_with_norm(self) -> bool:
        """Return whether a BatchNorm follows the (scaled) input directly."""
        return any(layer.op == "BatchNorm" and layer.inputs[0].op == "Input" for layer in self.layers)

    def consumers(self, layer: Layer) -> list[Layer]:
        """Return the layers that have `layer` as an input."""
        return [consumer for consumer in self.layers if layer in consumer.inputs]

    def _remove_input_scaling(self, fold_norm: bool) -> list[Layer]:
        start = next((layer for layer in self.layers if layer.op == "Input"), None)
        removed: list[Layer] = []
        last = start
        while last is not None:
            consumers = self.consumers(last)
            if len(consumers) != 1 or not (consumers[0].op == "Affine" or fold_norm and consumers[0].op == "BatchNorm"):
                break
            last = consumers[0]
            removed.append(last)
        if start is not None and last is not None and removed:
            for layer in self.consumers(last):
                layer.inputs = [start if source is last else source for source in layer.inputs]
        self.layers = [layer for layer in self.layers if layer not in removed]
        return removed


def graph_of_network(net: Any, image_size: tuple[int, int] | None = None) -> LayerGraph:
    """Return the graph of a Gluon network up to its embedding.

    Nothing is computed, and the network need not be initialized. The names of the layers' parameters are those of the Gluon
    parameters, and every layer has the shapes of its parameters (`Layer.shapes`).

    Parameters
    ----------
    net : HybridBlock
        A network of the model zoo.
    image_size : (H, W), optional
        Size of the images in pixels; default that of the network.

    Examples
    --------
    >>> from gluonfr.model_zoo import get_model
    >>> graph_of_network(get_model("mobilefacenet", embedding_size=64)).embedding_size
    64
    """
    height, width = net.image_size if image_size is None else image_size
    graph = NetworkGraph(_EmbeddingOnly(net), (1, 3, height, width))
    layers = graph_of_symbol(graph.nodes, len(graph.nodes) - 1, type(net).__name__)
    shapes = {node["name"]: graph.output(node) for node in graph.nodes if node["op"] == "null"}
    for layer in layers.layers:
        layer.shapes = {role: tuple(shapes[name]) for role, name in layer.parameters.items()}
    return layers


class _EmbeddingOnly:
    def __init__(self, net: Any) -> None:
        self._net = net

    def __call__(self, x: Any) -> Any:
        out = self._net(x)
        return out[0] if isinstance(out, (list, tuple)) else out


def graph_of_symbol(nodes: Sequence[dict[str, Any]], root: int, where: str, fold_norm: bool = False) -> LayerGraph:
    """Return the graph of a symbol up to one of its nodes.

    Parameters
    ----------
    nodes : list of dict
        Of a symbol's JSON, written by any version of MXNet: `op`, `name`, `inputs`, and settings under `attrs`, `attr` or
        `param`.
    root : int
        Number of the last node.
    where : str
        The file, for messages.
    fold_norm : bool, default False
        Whether a BatchNorm of the input counts as part of its scaling.

    Examples
    --------
    >>> data, flat = ({"op": op, "name": name, "inputs": []} for op, name in (("null", "data"), ("Flatten", "flat")))
    >>> graph_of_symbol([data, {**flat, "inputs": [[0, 0, 0]]}], 1, "example").root.op
    'Flatten'
    """
    needed = _ancestors(nodes, root)
    data = next((i for i in needed if nodes[i]["name"] == "data"), None)
    if data is None:
        data = next((i for i in needed if nodes[i]["op"] == "null"), None)
    made: dict[int, Layer | str] = {}
    layers: list[Layer] = []
    for i in needed:
        node = nodes[i]
        if node["op"] == "null":
            continue
        sources = [_source(made, layers, nodes, reference, data) for reference in node["inputs"]]
        if fold_name(node["op"]) in PASS_THROUGH and sources:
            made[i] = sources[0]
            continue
        layer = make_layer(node, settings_of(node), sources, where)
        made[i] = layer
        if layer not in layers:
            layers.append(layer)
    last = made.get(root)
    if not isinstance(last, Layer) or last.op == "Input":
        raise WeightsError(f"{where}: its output does not depend on the input through any layer; give a face network.")
    return LayerGraph(_reachable(layers, last), fold_norm)


def _reachable(layers: list[Layer], root: Layer) -> list[Layer]:
    """Return the layers without those that were merged into a later one: a Flatten before a dense layer, a second scaling."""
    reached: set[Layer] = set()
    waiting = [root]
    while waiting:
        layer = waiting.pop()
        if layer not in reached:
            reached.add(layer)
            waiting.extend(layer.inputs)
    return [layer for layer in layers if layer in reached]


def _ancestors(nodes: Sequence[dict[str, Any]], root: int) -> list[int]:
    needed: set[int] = set()
    waiting = [root]
    while waiting:
        i = waiting.pop()
        if i not in needed:
            needed.add(i)
            waiting.extend(reference[0] for reference in nodes[i]["inputs"])
    return sorted(needed)


def _source(
    made: dict[int, Layer | str],
    layers: list[Layer],
    nodes: Sequence[dict[str, Any]],
    reference: Sequence[int],
    data: int | None,
) -> Layer | str:
    """Return an input of a node: a layer, or the name of a parameter."""
    i, index = reference[0], reference[1]
    if i in made:
        source = made[i]
        if index and isinstance(source, Layer):
            part = Layer("Part", f"{source.name} output {index}", (("output", index),), [source])
            layers.append(part)
            return part
        return source
    if i != data:
        return nodes[i]["name"]
    made[i] = layer = Layer("Input", nodes[i]["name"])
    layers.append(layer)
    return layer
