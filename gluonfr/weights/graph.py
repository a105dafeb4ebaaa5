"""Networks as graphs of layers that can be compared: a foreign symbol's and ours, whatever their layers are called."""

from __future__ import annotations

import hashlib

from gluonfr.core import GluonFRError
from gluonfr.model_zoo.complexity import Graph
from gluonfr.weights.layers import PASSED, Layer, fold_name, make_layer, settings_of

_COMMUTATIVE = ("Add", "Mul")


class Layers:
    """Layers from input to embedding, without those that change nothing at inference.

    Attributes
    ----------
    layers : list of Layer
        Every layer after those that it takes.
    preamble : list of Layer
        What shifts and scales the input before all others, from the input on.
    """

    def __init__(self, layers, fold_norm=False) -> None:
        self.layers = layers
        self.preamble = self._take_preamble(fold_norm)
        for number, layer in enumerate((each for each in self.layers if each.op != "Input"), 1):
            layer.number = number
        for layer in self.layers:
            inputs = [each.signature for each in layer.inputs]
            if layer.op in _COMMUTATIVE:
                inputs.sort()
            layer.signature = hashlib.sha1(repr((layer.op, layer.settings, inputs)).encode()).hexdigest()

    @property
    def root(self):
        """The layer that gives the embedding."""
        return self.layers[-1]

    @property
    def embedding_size(self):
        """D, as the last convolution or dense layer says; 0 when nothing says it."""
        layer = self.root
        while layer.inputs:
            if layer.op in ("Dense", "Convolution"):
                return dict(layer.settings)["channels"]
            layer = layer.inputs[0]
        return 0

    def starts_with_norm(self):
        """Whether a BatchNorm takes the (scaled) input itself."""
        return any(layer.op == "BatchNorm" and layer.inputs[0].op == "Input" for layer in self.layers)

    def takers(self, layer):
        """The layers that take what `layer` gives."""
        return [each for each in self.layers if layer in each.inputs]

    def _take_preamble(self, fold_norm):
        found = next((each for each in self.layers if each.op == "Input"), None)
        taken, last = [], found
        while last is not None:
            takers = self.takers(last)
            if len(takers) != 1 or not (takers[0].op == "Affine" or fold_norm and takers[0].op == "BatchNorm"):
                break
            last = takers[0]
            taken.append(last)
        for layer in self.takers(last) if taken else ():
            layer.inputs = [found if each is last else each for each in layer.inputs]
        self.layers = [each for each in self.layers if each not in taken]
        return taken


def layers_of_network(net, image_size=None):
    """`Layers` of a zoo network up to its embedding; their parameters' names are the Gluon parameters' names.

    Nothing is run and nothing need be initialized. Shapes of the parameters are on each layer (`shapes`).
    """
    size = image_size or getattr(net, "image_size", None) or (112, 112)
    graph = Graph(_EmbeddingOnly(net), (1, 3, *size))
    layers = layers_of_nodes(graph.nodes, len(graph.nodes) - 1, type(net).__name__)
    shapes = {node["name"]: graph.output(node) for node in graph.nodes if node["op"] == "null"}
    for layer in layers.layers:
        layer.shapes = {role: tuple(shapes[name]) for role, name in layer.parameters.items()}
    return layers


class _EmbeddingOnly:
    def __init__(self, net) -> None:
        self._net = net

    def __call__(self, x):
        out = self._net(x)
        return out[0] if isinstance(out, (list, tuple)) else out


def layers_of_nodes(nodes, root, where, fold_norm=False):
    """`Layers` up to node number `root` of a symbol's JSON.

    Parameters
    ----------
    nodes : list of dict
        As a symbol's JSON has them, of any MXNet: `op`, `name`, `inputs`, and settings under `attrs`, `attr` or `param`.
    root : int
    where : str
        For messages.
    fold_norm : bool, default False
        A BatchNorm of the input counts as part of its scaling.
    """
    needed = _needed(nodes, root)
    data = next((i for i in needed if nodes[i]["name"] == "data"), None)
    if data is None:
        data = next((i for i in needed if nodes[i]["op"] == "null"), None)
    made, layers = {}, []
    for i in needed:
        node = nodes[i]
        if node["op"] == "null":
            continue
        sources = [_source(made, layers, nodes, each, data) for each in node["inputs"]]
        if fold_name(node["op"]) in PASSED and sources:
            made[i] = sources[0]
            continue
        made[i] = make_layer(node, settings_of(node), sources, where)
        if made[i] not in layers:
            layers.append(made[i])
    if not isinstance(made.get(root), Layer) or made[root].op == "Input":
        raise GluonFRError(f"{where}: its output is no layer that computes anything from the input.")
    return Layers(_reached(layers, made[root]), fold_norm)


def _reached(layers, root):
    """Without what vanished in a later layer: a Flatten before a dense layer, the first of two scalings."""
    reached, waiting = set(), [root]
    while waiting:
        layer = waiting.pop()
        if layer not in reached:
            reached.add(layer)
            waiting.extend(layer.inputs)
    return [each for each in layers if each in reached]


def _needed(nodes, root):
    needed, waiting = set(), [root]
    while waiting:
        i = waiting.pop()
        if i not in needed:
            needed.add(i)
            waiting.extend(each[0] for each in nodes[i]["inputs"])
    return sorted(needed)


def _source(made, layers, nodes, reference, data):
    """What a node takes: a layer, or the name of a variable."""
    i, index = reference[0], reference[1]
    if i in made:
        if index and isinstance(made[i], Layer):
            part = Layer("Part", f"{made[i].name} output {index}", (("output", index),), [made[i]])
            layers.append(part)
            return part
        return made[i]
    if i != data:
        return nodes[i]["name"]
    made[i] = Layer("Input", nodes[i]["name"])
    layers.append(made[i])
    return made[i]


def difference(theirs, ours, name) -> str | None:
    """How the graph of a file differs from that of the network `name`: a sentence's end, None when they are the same."""
    if theirs.root.signature == ours.root.signature:
        return None
    known = {each.signature for each in ours.layers}
    wanted = {each.signature for each in theirs.layers}
    first = next((each for each in theirs.layers if each.signature not in known), None)
    other = next((each for each in ours.layers if each.signature not in wanted), None)
    if first is None:
        return f"it ends after layer {theirs.root.number} ({theirs.root}) where {name} goes on with {other}"
    if other is None:
        return f"layer {first.number} of the file ({first}) follows where {name} ends"
    return f"layer {first.number} of the file ({first}) stands where {name} has {other}"


def likeness(theirs, ours):
    """How many layers of a file a network shares, as the share of those that either has."""
    first, second = ({each.signature for each in graph.layers} for graph in (theirs, ours))
    return len(first & second) / len(first | second)


def pairs(theirs, ours):
    """[(layer of the file, our layer), ...] of two graphs without `difference`, for every layer."""
    paired, waiting = {}, [(theirs.root, ours.root)]
    while waiting:
        their, our = waiting.pop()
        if our in paired:
            continue
        paired[our] = their
        first, second = list(their.inputs), list(our.inputs)
        if our.op in _COMMUTATIVE:
            # Of several that are the same in structure any may be taken for any other: the sum stays what it is.
            first.sort(key=lambda each: each.signature)
            second.sort(key=lambda each: each.signature)
        waiting.extend(zip(first, second))
    return [(paired[our], our) for our in ours.layers if our in paired]
