"""InsightFace checkpoints: recognition of the network by its structure, and conversion of its weights."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from gluonfr.core import Card, PathLike, WeightsError, file_sha256, require_file
from gluonfr.model_zoo.registry import get_model, list_models
from gluonfr.weights.conversion import convert_parameters, fold_input_scaling, set_parameters
from gluonfr.weights.known_files import known_card_fields
from gluonfr.weights.layer_graph import LayerGraph, graph_of_network, graph_of_symbol
from gluonfr.weights.matching import find_difference, match_layers, similarity
from gluonfr.weights.params_file import read_params
from gluonfr.weights.symbol_file import read_symbol
from gluonfr.weights.symbol_layers import PASS_THROUGH, fold_name

_SYMBOL, _EPOCH = "-symbol.json", re.compile(r"-\d{4,}\.params$")
# InsightFace's name of the embedding; the classifier of the training follows it.
_EMBEDDING = "fc1"


def load_insightface(
    path: PathLike, network: str | None = None, epoch: int | None = None, ctx: mx.Context | Sequence[mx.Context] | None = None
) -> tuple[HybridBlock, Card]:
    """Load an InsightFace checkpoint (the MXNet format) into a network of the model zoo.

    The network is recognized by its structure, whatever its layers are called. The checkpoint's scaling of the input, such as
    (x - 127.5) / 128 of pixels 0..255, is moved into the first convolution, because our networks expect [0, 1].

    Parameters
    ----------
    path : str
        `X-symbol.json`, `X-0000.params`, or X. A classifier is ignored.
    network : str, optional
        Name of the only network to compare with; default all of the model zoo.
    epoch : int, optional
        Number NNNN of `X-NNNN.params`; default the one in `path`, or the highest.
    ctx : Context or list of Context, default CPU
        Devices of the parameters.

    Returns
    -------
    (net, card) : HybridBlock, Card
        The network with its weights, and its card.

    Raises
    ------
    WeightsError
        A file is missing or damaged; no network of the model zoo has this structure (the most similar one is named, and the
        first layer that differs); an array is missing or has another shape.

    Examples
    --------
    >>> net, card = load_insightface("mobilefacenet-y1-symbol.json")  # doctest: +SKIP
    >>> card.network, card.embedding_size  # doctest: +SKIP
    ('mobilefacenet', 128)
    """
    symbol, params = find_checkpoint(path, epoch)
    checkpoint = InsightFaceCheckpoint(symbol, params)
    name, net, values = checkpoint.recognize([network] if network else list_models())
    set_parameters(net, values, ctx)
    net.hybridize(static_alloc=True)
    sha256 = file_sha256(params)
    card = checkpoint.card.to_dict() if checkpoint.card else {}
    # The converted network has the input of all networks of the model zoo, whatever the input of the file's graph.
    card.update({"network": name, "arguments": {"embedding_size": net.embedding_size}, "embedding_size": net.embedding_size})
    card.update({"color": "RGB", "mean": 0.0, "std": 255.0, "output": "", "sha256": ""})
    known = known_card_fields(sha256)
    extra = known.pop("extra", {})
    result = Card.from_dict({**card, **known, **extra})
    result.extra.update(converted_from=os.path.basename(params), original_sha256=sha256)
    return net, result


def find_card_beside(path: str) -> Card | None:
    """Return the card `X.card.json` beside `X-symbol.json` or `X-0000.params`; None if there is none.

    Examples
    --------
    >>> find_card_beside("no_such_model-symbol.json") is None
    True
    """
    prefix = path[: -len(_SYMBOL)] if path.endswith(_SYMBOL) else _EPOCH.sub("", path)
    path = prefix + ".card.json"
    return Card.read(path) if os.path.isfile(path) else None


def find_checkpoint(path: PathLike, epoch: int | None = None) -> tuple[str, str]:
    """Return the paths of the symbol and of the parameters of a checkpoint.

    Parameters
    ----------
    path : str
        One of the two files, or their common prefix.
    epoch : int, optional
        Number of the parameters; default the one in `path`, or the highest.

    Raises
    ------
    WeightsError
        A file is missing.

    Examples
    --------
    >>> find_checkpoint("mobilefacenet-y1")  # doctest: +SKIP
    ('/.../mobilefacenet-y1-symbol.json', '/.../mobilefacenet-y1-0000.params')
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    if path.endswith(".params"):
        prefix = _EPOCH.sub("", path)
        if prefix == path:
            raise WeightsError(
                f"{path} is not the name of an MXNet checkpoint; "
                "rename it to NAME-0000.params, with NAME-symbol.json beside it."
            )
        params = path if epoch is None else _find_params(prefix, epoch)
    else:
        prefix = path[: -len(_SYMBOL)] if path.endswith(_SYMBOL) else path
        params = _find_params(prefix, epoch)
    return require_file(prefix + _SYMBOL, "symbol of an InsightFace checkpoint"), params


def _find_params(prefix: str, epoch: int | None) -> str:
    if epoch is not None:
        return f"{prefix}-{epoch:04d}.params"
    folder, start = os.path.split(prefix)
    names = os.listdir(folder) if os.path.isdir(folder) else []
    found = [name for name in names if name.startswith(start) and _EPOCH.fullmatch(name, len(start))]
    if not found:
        raise WeightsError(f"{prefix}-0000.params is missing: copy it beside the symbol of the checkpoint.")
    return os.path.join(folder, max(found, key=lambda name: int(name[len(start) + 1 : -len(".params")])))


class InsightFaceCheckpoint:
    """An InsightFace checkpoint: its graph up to the embedding, and its arrays.

    Parameters
    ----------
    symbol, params : str
        Paths of the two files; see `find_checkpoint`.

    Attributes
    ----------
    card : Card or None
        The card beside the files.
    layers : LayerGraph
        The graph up to the embedding.

    Examples
    --------
    >>> checkpoint = InsightFaceCheckpoint(*find_checkpoint("mobilefacenet-y1"))  # doctest: +SKIP
    """

    def __init__(self, symbol: str, params: str) -> None:
        self.path = params
        self.card = find_card_beside(symbol)
        nodes, heads = read_symbol(symbol)
        root = _find_embedding(nodes, heads, symbol)
        self.layers = graph_of_symbol(nodes, root, symbol)
        # The same graph, with a BatchNorm of the input as part of its scaling.
        self._folded = graph_of_symbol(nodes, root, symbol, True) if self.layers.starts_with_norm() else None
        self._arrays = self._read_arrays(nodes)
        self._convolutions = sum(layer.op == "Convolution" for layer in self.layers.layers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r}, {self.layers!r})"

    def _read_arrays(self, nodes: Sequence[dict[str, Any]]) -> dict[str, np.ndarray]:
        arrays = {}
        for name, array in read_params(self.path, "parameters of an MXNet checkpoint").items():
            kind, colon, bare = name.partition(":")
            if not colon or kind not in ("arg", "aux"):
                raise WeightsError(
                    f"{self.path} has an array {name!r}, but the names in an MXNet checkpoint begin with arg: or aux:; "
                    "name the network if Gluon saved the file."
                )
            arrays[bare] = array
        known = {node["name"] for node in nodes}
        for graph in (self.layers, self._folded):
            for layer in graph.layers + graph.input_scaling if graph else ():
                known.update(layer.parameters.values())
        # Many files still have the weights of the classifier although their symbol ends before it.
        unknown = sorted(name for name in set(arrays) - known if not name.startswith("fc7"))
        if unknown:
            raise WeightsError(
                f"{self.path} has {len(unknown)} arrays that its symbol lacks, such as {unknown[0]!r}; "
                "give the two files of one checkpoint."
            )
        return arrays

    def recognize(self, names: Sequence[str]) -> tuple[str, Any, dict[str, np.ndarray]]:
        """Return (name, network, values of its parameters) of the first of these networks that has this structure."""
        nearest = (-1.0, "", "")
        networks = {name: get_model(name, embedding_size=self.layers.embedding_size) for name in names}
        # Tracing is the slow part, and the right network has as many convolutions.
        for name, net in sorted(networks.items(), key=lambda item: abs(_count_convolutions(item[1]) - self._convolutions)):
            ours = graph_of_network(net)
            theirs, difference = self._compare(ours, name)
            if difference is None:
                return name, net, self._convert(theirs, ours)
            nearest = max(nearest, (similarity(theirs, ours), name, difference))
        _, name, difference = nearest
        if len(names) == 1:
            raise WeightsError(f"{self.path} does not fit {name}: {difference}.")
        raise WeightsError(f"{self.path} fits no network of the model zoo; the most similar is {name}, but {difference}.")

    def fit(self, net: Any, name: str) -> dict[str, np.ndarray]:
        """Return values for the parameters of `net`; the WeightsError names the first layer that differs."""
        ours = graph_of_network(net)
        theirs, difference = self._compare(ours, name)
        if difference is not None:
            raise WeightsError(f"{self.path} does not fit {name}: {difference}.")
        return self._convert(theirs, ours)

    def _compare(self, ours: LayerGraph, name: str) -> tuple[LayerGraph, str | None]:
        theirs = self.layers if self._folded is None or ours.starts_with_norm() else self._folded
        return theirs, find_difference(theirs, ours, name)

    def _convert(self, theirs: LayerGraph, ours: LayerGraph) -> dict[str, np.ndarray]:
        values = convert_parameters(match_layers(theirs, ours), self._arrays, self.path)
        fold_input_scaling(values, ours, theirs, self._arrays, self.path, self.card)
        return values


def _count_convolutions(net: Any) -> int:
    return sum(len(parameter.shape) == 4 for parameter in net.collect_params().values())


def _find_embedding(nodes: Sequence[dict[str, Any]], heads: Sequence[int], path: str) -> int:
    """Return the number of the node that computes the embedding."""
    named = [i for i, node in enumerate(nodes) if node["name"] == _EMBEDDING and node["op"] != "null"]
    if named:
        return named[-1]
    root = heads[0]
    # The length of the embedding has no effect on cosines.
    while fold_name(nodes[root]["op"]) in PASS_THROUGH | {"l2normalization"} and nodes[root]["inputs"]:
        root = nodes[root]["inputs"][0][0]
    if fold_name(nodes[root]["op"]) in ("softmax", "softmaxoutput", "makeloss", "null"):
        raise WeightsError(
            f"{path} has no embedding called {_EMBEDDING} and ends in {nodes[root]['op']}; give the symbol of a face network."
        )
    return root
