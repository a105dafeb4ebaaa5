"""Matching of a foreign network's layers to ours by the structure of the two graphs, whatever the layers are called."""

from __future__ import annotations

from gluonfr.weights.layer_graph import COMMUTATIVE, LayerGraph
from gluonfr.weights.symbol_layers import Layer


def find_difference(theirs: LayerGraph, ours: LayerGraph, name: str) -> str | None:
    """Return how the graph of a file differs from the graph of a network.

    Parameters
    ----------
    theirs, ours : LayerGraph
        Graph of the file, and of our network.
    name : str
        Name of our network, for the message.

    Returns
    -------
    str or None
        The end of a sentence that names the first layer that differs; None if the graphs are equal.

    Examples
    --------
    >>> from gluonfr.model_zoo import get_model
    >>> from gluonfr.weights.layer_graph import graph_of_network
    >>> narrow, wide = (get_model("lresnet10e_ir", units=(1,), channels=(c, 8), embedding_size=4) for c in (4, 8))
    >>> find_difference(graph_of_network(wide), graph_of_network(wide), "wide") is None
    True
    >>> "channels 4" in find_difference(graph_of_network(narrow), graph_of_network(wide), "wide")
    True
    """
    if theirs.root.signature == ours.root.signature:
        return None
    our_signatures = {layer.signature for layer in ours.layers}
    their_signatures = {layer.signature for layer in theirs.layers}
    first = next((layer for layer in theirs.layers if layer.signature not in our_signatures), None)
    other = next((layer for layer in ours.layers if layer.signature not in their_signatures), None)
    if first is None:
        return f"the file ends after layer {theirs.root.number} ({theirs.root}), where {name} continues with {other}"
    if other is None:
        return f"the file has a further layer {first.number} ({first}) after the last layer of {name}"
    return f"layer {first.number} of the file is {first}, where {name} has {other}"


def similarity(theirs: LayerGraph, ours: LayerGraph) -> float:
    """Return the share of layers that two graphs have in common (intersection over union).

    Examples
    --------
    >>> from gluonfr.model_zoo import get_model
    >>> from gluonfr.weights.layer_graph import graph_of_network
    >>> graph = graph_of_network(get_model("lresnet10e_ir", units=(1,), channels=(4, 8), embedding_size=4))
    >>> similarity(graph, graph)
    1.0
    """
    first, second = ({layer.signature for layer in graph.layers} for graph in (theirs, ours))
    return len(first & second) / len(first | second)


def match_layers(theirs: LayerGraph, ours: LayerGraph) -> list[tuple[Layer, Layer]]:
    """Return the pairs (layer of the file, layer of our network) of two graphs without a difference.

    Examples
    --------
    >>> from gluonfr.model_zoo import get_model
    >>> from gluonfr.weights.layer_graph import graph_of_network
    >>> graph = graph_of_network(get_model("lresnet10e_ir", units=(1,), channels=(4, 8), embedding_size=4))
    >>> all(their is our for their, our in match_layers(graph, graph))
    True
    """
    matched: dict[Layer, Layer] = {}
    waiting = [(theirs.root, ours.root)]
    while waiting:
        their, our = waiting.pop()
        if our in matched:
            continue
        matched[our] = their
        first, second = list(their.inputs), list(our.inputs)
        if our.op in COMMUTATIVE:
            # Inputs of equal structure can be exchanged: the sum or product is the same.
            first.sort(key=lambda layer: layer.signature)
            second.sort(key=lambda layer: layer.signature)
        waiting.extend(zip(first, second))
    return [(matched[layer], layer) for layer in ours.layers if layer in matched]
