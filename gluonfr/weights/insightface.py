from __future__ import annotations

import json
import os
import re

from gluonfr.core import Card, GluonFRError, file_sha256, require_file
from gluonfr.model_zoo.registry import get_model, get_model_list
from gluonfr.weights.graph import difference, layers_of_network, layers_of_nodes, likeness, pairs
from gluonfr.weights.layers import PASSED, fold_name
from gluonfr.weights.params_file import read_params
from gluonfr.weights.published import facts
from gluonfr.weights.transfer import converted, scale_input, set_values

_SYMBOL, _EPOCH = "-symbol.json", re.compile(r"-\d{4,}\.params$")
# InsightFace names the embedding so; what follows it is the training's classifier.
_EMBEDDING = "fc1"


def load_insightface(path, network=None, epoch=None, ctx=None):
    """A network of the zoo with the weights of an InsightFace checkpoint, as its MXNet repository publishes and trains them.

    The network is recognized by its structure, whatever its layers are called. How the checkpoint scales its input
    ((x - 127.5) / 128 of pixels 0..255, say) goes into the first convolution, because networks of the zoo take [0, 1].

    Parameters
    ----------
    path : str
        `X-symbol.json`, `X-0000.params`, or X. A classifier that a training left behind the embedding is ignored.
    network : str, optional
        Name of the only network that it may be; any of the zoo otherwise.
    epoch : int, optional
        Which of several `X-NNNN.params`; the last unless `path` or this says which.
    ctx : Context or list of Context, default CPU

    Returns
    -------
    (net, card) : HybridBlock, Card

    Raises
    ------
    GluonFRError
        A file is missing, damaged or no such file; no network of the zoo has this structure (the nearest is named, and the
        first layer that differs); an array is missing or of another shape. No network is returned half-loaded.
    """
    symbol, params = find_checkpoint(path, epoch)
    checkpoint = Checkpoint(symbol, params)
    name, net, pick = checkpoint.recognize([network] if network else get_model_list())
    set_values(net, pick, ctx)
    net.hybridize(static_alloc=True)
    sha256 = file_sha256(params)
    card = checkpoint.card.to_dict() if checkpoint.card else {}
    # The network takes what all of the zoo take, whatever the file's graph took.
    card.update({"network": name, "arguments": {"embedding_size": net.embedding_size}, "embedding_size": net.embedding_size})
    card.update({"color": "RGB", "mean": 0.0, "std": 255.0, "output": "", "sha256": ""})
    known = facts(sha256)
    extra = known.pop("extra", {})
    card = Card.from_dict({**card, **known, **extra})
    card.extra.update(converted_from=os.path.basename(params), original_sha256=sha256)
    return net, card


def card_beside(path):
    """`X.card.json` beside `X-symbol.json` or `X-0000.params`, as `gluonfr export` writes it; None where there is none."""
    prefix = path[: -len(_SYMBOL)] if path.endswith(_SYMBOL) else _EPOCH.sub("", path)
    path = prefix + ".card.json"
    return Card.read(path) if os.path.isfile(path) else None


def find_checkpoint(path, epoch=None):
    """Paths of the symbol and of the parameters of a checkpoint, of which `path` is one, or what both begin with."""
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    if path.endswith(".params"):
        prefix = _EPOCH.sub("", path)
        if prefix == path:
            raise GluonFRError(f"{path}: an MXNet checkpoint is called NAME-0000.params, with NAME-symbol.json beside it.")
        params = path if epoch is None else _params(prefix, epoch)
    else:
        prefix = path[: -len(_SYMBOL)] if path.endswith(_SYMBOL) else path
        params = _params(prefix, epoch)
    return require_file(prefix + _SYMBOL, "symbol of an InsightFace checkpoint"), params


def _params(prefix, epoch):
    if epoch is not None:
        return f"{prefix}-{epoch:04d}.params"
    folder, start = os.path.split(prefix)
    there = os.listdir(folder) if os.path.isdir(folder) else []
    found = [each for each in there if each.startswith(start) and _EPOCH.fullmatch(each, len(start))]
    if not found:
        raise GluonFRError(f"{prefix}-0000.params is missing: an MXNet checkpoint needs it beside its symbol.")
    return os.path.join(folder, max(found, key=lambda each: int(each[len(start) + 1 : -len(".params")])))


class Checkpoint:
    """An InsightFace checkpoint: its graph up to the embedding, and its arrays."""

    def __init__(self, symbol, params) -> None:
        self.path = params
        self.card = card_beside(symbol)
        nodes, heads = _nodes(symbol)
        root = _embedding(nodes, heads, symbol)
        self.layers = layers_of_nodes(nodes, root, symbol)
        self._folded = layers_of_nodes(nodes, root, symbol, True) if self.layers.starts_with_norm() else None
        self._arrays = self._named_arrays(nodes)

    def _named_arrays(self, nodes):
        stored = read_params(self.path, "parameters of an MXNet checkpoint")
        arrays = {}
        for name, array in stored.items():
            kind, colon, bare = name.partition(":")
            if not colon or kind not in ("arg", "aux"):
                raise GluonFRError(f"{self.path} holds {name!r}: an MXNet checkpoint's arrays begin with arg: or aux:.")
            arrays[bare] = array
        known = {each["name"] for each in nodes}
        for graph in (self.layers, self._folded):
            known.update(
                name for layer in (graph.layers + graph.preamble if graph else ()) for name in layer.parameters.values()
            )
        # The classifier's weights stay in many files whose symbol ends before it.
        unknown = sorted(each for each in set(arrays) - known if not each.startswith("fc7"))
        if unknown:
            raise GluonFRError(
                f"{self.path} holds {unknown[0]!r}, which its symbol does not name ({len(unknown)} such arrays); "
                "give the two files of one checkpoint."
            )
        return arrays

    def recognize(self, names):
        """(name, network, its parameters' values) of the first of these networks that has this structure."""
        nearest = None
        for name in names:
            try:
                net = get_model(name, embedding_size=self.layers.embedding_size)
                ours = layers_of_network(net)
            except (GluonFRError, TypeError):
                if len(names) == 1:
                    raise
                continue
            theirs, differs = self._compare(ours, name)
            if differs is None:
                return name, net, self.values(theirs, ours)
            nearest = max(nearest or (-1.0, ""), (likeness(theirs, ours), f"{name}, but {differs}"))
        if len(names) == 1:
            raise GluonFRError(f"{self.path} is no {nearest[1].replace(', but', ':', 1)}.")
        raise GluonFRError(f"{self.path} is no network of the zoo: the nearest is {nearest[1]}.")

    def fit(self, net, name):
        """Values for the parameters of `net`; GluonFRError names the first layer that differs."""
        ours = layers_of_network(net)
        theirs, differs = self._compare(ours, name)
        if differs is not None:
            raise GluonFRError(f"{self.path} does not fit {name}: {differs}.")
        return self.values(theirs, ours)

    def _compare(self, ours, name):
        theirs = self.layers if self._folded is None or ours.starts_with_norm() else self._folded
        return theirs, difference(theirs, ours, name)

    def values(self, theirs, ours):
        """Values for our parameters, by name."""
        values = converted(pairs(theirs, ours), self._arrays, self.path)
        scale_input(values, ours, theirs, self._arrays, self.path, self.card)
        return values


def _nodes(path):
    try:
        with open(path, encoding="utf-8") as file:
            graph = json.load(file)
        nodes, heads = graph["nodes"], graph["heads"]
        for place, node in enumerate(nodes):
            right = isinstance(node["op"], str) and isinstance(node["name"], str)
            right = right and all(isinstance(node.get(each) or {}, dict) for each in ("attr", "attrs", "param"))
            if not right or not all(_is_reference(each, place) for each in node["inputs"]):
                raise ValueError(f"node {place} is not as MXNet writes it")
        if not heads or not all(_is_reference(each, len(nodes)) for each in heads):
            raise ValueError("it has no output")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise GluonFRError(f"{path} is no symbol of MXNet ({reason}); fetch it again.") from error
    return nodes, [each[0] for each in heads]


def _is_reference(reference, below):
    return (
        isinstance(reference, list)
        and len(reference) >= 2
        and all(isinstance(each, int) and each >= 0 for each in reference[:2])
        and reference[0] < below
    )


def _embedding(nodes, heads, path):
    """Number of the node that gives the embedding."""
    named = [i for i, node in enumerate(nodes) if node["name"] == _EMBEDDING and node["op"] != "null"]
    if named:
        return named[-1]
    root = heads[0]
    # The embedding's length says nothing to a comparison by cosine.
    while fold_name(nodes[root]["op"]) in PASSED | {"l2normalization"} and nodes[root]["inputs"]:
        root = nodes[root]["inputs"][0][0]
    if fold_name(nodes[root]["op"]) in ("softmax", "softmaxoutput", "makeloss", "null"):
        raise GluonFRError(f"{path} has no embedding called {_EMBEDDING} and ends in {nodes[root]['op']}; give a face network.")
    return root
