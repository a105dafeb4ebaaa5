"""Image networks of other model zoos, MXNet's own and GluonCV's, as face networks."""

from __future__ import annotations

import difflib
import json
import warnings
from collections.abc import Callable
from typing import Any

import mxnet as mx
from mxnet.gluon import HybridBlock, SymbolBlock
from mxnet.gluon.model_zoo import vision

from gluonfr.core import UsageError
from gluonfr.model_zoo.arguments import as_image_size
from gluonfr.model_zoo.graph import NetworkGraph
from gluonfr.nn import FrBase, embedding_head

# The smallest feature map from which a head can still use positions on the face.
_SMALLEST_MAP = 7
# Image sizes that image networks are made for; the pooling and dense layers of some fit only one of them.
_DESIGN_SIZES = (224, 299, 331)
# Arguments of the zoos' constructors that describe an architecture.
BACKBONE_ARGUMENTS = (
    *("avg_down", "deep_stem", "dilated", "final_drop", "last_gamma", "multiplier", "stem_width", "thumbnail"),
    *("use_global_stats", "use_se"),
)
_OURS = ("classes", "embedding_size", "head", "dropout", "weight_norm", "feature_norm", "need_cls_layer", "prefix", "params")


def adapt_network(zoo: str, name: str, image_size: Any = (112, 112), **kwargs: Any) -> BackboneNetwork:
    """Build an image network of another model zoo as a face network: its layers up to the last feature map, and a head.

    The stride of the first strided convolution becomes 1, and the first max-pool is left out, as far as is needed for a
    feature map of 7x7 or more. The pooling and the classifier at the end are left out.

    Parameters
    ----------
    zoo : {'gluon', 'gluoncv'}
        MXNet's own model zoo, `mxnet.gluon.model_zoo.vision`, or GluonCV's.
    name : str
        An image classifier of that zoo.
    image_size : (H, W), default (112, 112)
        Size of the images in pixels.
    **kwargs
        Arguments of `BackboneNetwork`; all others are passed to the zoo's constructor.

    Raises
    ------
    UsageError
        GluonCV is not installed; the name is unknown (similar ones are listed); the network does not classify images, or the
        image is too small for it.

    Examples
    --------
    >>> adapt_network("gluon", "mobilenet0.25", embedding_size=64).embedding_size
    64
    """
    if zoo not in _ZOOS:
        raise UsageError(f"{zoo}:{name} names an unknown model zoo; write one of {', '.join(_ZOOS)} before the colon.")
    names, make = _ZOOS[zoo]()
    lowered = str(name).lower()
    if lowered not in names:
        similar = difflib.get_close_matches(lowered, names, 5, 0.5) or sorted(names)
        raise UsageError(f"{zoo} has no network {name!r}; similar names are {', '.join(similar)}.")
    ours = {argument: kwargs.pop(argument) for argument in _OURS if argument in kwargs}

    def build() -> HybridBlock:
        try:
            return make(lowered, **kwargs)
        except UsageError:
            raise
        except Exception as error:  # The constructor of a zoo may fail in any way.
            raise UsageError(f"{zoo}:{name} cannot be built: {' '.join(str(error).split())}") from error

    return BackboneNetwork(f"{zoo}:{name}", build, image_size, **ours)


def _gluon() -> tuple[list[str], Callable[..., HybridBlock]]:
    try:
        vision.get_model("")
    except ValueError as error:  # The only place where MXNet lists them.
        return [line.strip() for line in str(error).splitlines()[1:]], vision.get_model
    raise AssertionError("MXNet's model zoo has a network without a name")


def _gluoncv() -> tuple[list[str], Callable[..., HybridBlock]]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from gluoncv.model_zoo import get_model, get_model_list
    except ImportError as error:
        raise UsageError(f'GluonCV is not installed ({error}): run `pip install "gluonfr[gluoncv]"`.') from error

    def make(name: str, **kwargs: Any) -> HybridBlock:
        try:
            # Detection and segmentation networks would download the weights of their backbone before they can be refused.
            return get_model(name, pretrained_base=False, **kwargs)
        except TypeError as error:
            if "pretrained_base" not in str(error):
                raise
            return get_model(name, **kwargs)

    return list(get_model_list()), make


_ZOOS = {"gluon": _gluon, "gluoncv": _gluoncv}


class BackboneNetwork(FrBase):
    """Another zoo's network up to its last feature map, as a graph with that network's parameters, and a head.

    Parameters
    ----------
    name : str
        Name of the network, used in messages and `repr`.
    build : callable
        () -> HybridBlock that classifies images.
    image_size : (H, W), default (112, 112)
        Size of the images in pixels.
    head : {'GDC', 'E', 'GAP', 'FC'}, default 'GDC'
        See `gluonfr.nn.embedding_head`.
    dropout : float, optional
        In the head; default that of the head.
    embedding_size : int, default 512
        Length of the embedding.
    **kwargs
        Arguments of `gluonfr.nn.FrBase`.

    Examples
    --------
    >>> from mxnet.gluon.model_zoo import vision
    >>> BackboneNetwork("mobilenet", vision.mobilenet0_25, embedding_size=32)
    mobilenet(BackboneNetwork, input 3x112x112, embedding 32, 234,416 parameters)
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], HybridBlock],
        image_size: Any = (112, 112),
        classes: int | None = None,
        embedding_size: int = 512,
        head: str = "GDC",
        dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        self.architecture, self.image_size = name, as_image_size(image_size)
        # Within this scope the names of the parameters do not depend on what else the process has built.
        with self.name_scope():
            net = build()
            symbol = _reduce_stem(_feature_map(net, name), self.image_size, name)
            backbone = SymbolBlock(symbol, mx.sym.var("data", dtype="float32"), net.collect_params())
            arguments, (shape,), states = symbol.infer_shape(data=(1, 3, *self.image_size))
            for parameter, found in zip(symbol.list_arguments() + symbol.list_auxiliary_states(), arguments + states):
                if parameter != "data":
                    backbone.params.get(parameter).shape = found
            self.features.add(backbone, *embedding_head(head, embedding_size, shape[1], dropout, shape[2:]))


def _feature_map(net: HybridBlock, name: str) -> dict[str, Any]:
    """Return the graph of an image network up to its last feature map, as JSON."""
    graph, side = _trace(net, name)
    if len(graph.outputs) > 1 and len({*graph.outputs}) == 1:
        # The classifier comes first, then the auxiliary classifiers that only training uses.
        graph = NetworkGraph(lambda x: net(x)[0], (1, 3, side, side))
    if any(node["op"].startswith("_contrib_quantize") for node in graph.nodes):
        raise UsageError(f"{name} computes in int8 and cannot be trained; name the network that it was made from.")
    if len(graph.outputs) != 1 or len(graph.outputs[0]) != 2:
        raise UsageError(f"{name} does not classify images (its outputs: {graph.outputs}); name a network that does.")
    last = _last_feature_map(graph, net)
    if last is None:
        raise UsageError(f"{name} has no single feature map that its whole output depends on; name another network.")
    nodes = graph.nodes[: last + 1]
    for node in nodes:
        # With a fixed type the graph would stay float32 when the network is cast.
        node.get("attrs", {}).pop("__dtype__", None)
    return {
        "nodes": nodes,
        "arg_nodes": [number for number, node in enumerate(nodes) if node["op"] == "null"],
        "heads": [[last, 0, 0]],
        "attrs": graph.json_attributes,
    }


def _trace(net: HybridBlock, name: str) -> tuple[NetworkGraph, int]:
    """Return the graph of an image network, and the first of the usual image sizes that it accepts."""
    reason = None
    for side in _DESIGN_SIZES:
        try:
            return NetworkGraph(net, (1, 3, side, side)), side
        except UsageError as error:
            reason = error
    raise UsageError(f"{name} cannot be adapted as an image network: {reason}") from reason


def _last_feature_map(graph: NetworkGraph, net: HybridBlock) -> int | None:
    """Return the number of the last feature map before the classifier; None if another connection bypasses it."""
    classifier: Any = getattr(net, "output", None)
    names = set(classifier.collect_params()) if hasattr(classifier, "collect_params") else set()
    last = None
    for number, node in enumerate(graph.nodes):
        if any(graph.nodes[source]["name"] in names for source, *_ in node["inputs"]):
            break
        shape = graph.shapes[number, 0]
        if node["op"] != "null" and len(shape) == 4 and shape[2] * shape[3] > 1:
            last = number
    if last is None:
        return None
    for node in graph.nodes[last + 1 :]:
        if any(source < last and graph.nodes[source]["op"] != "null" for source, *_ in node["inputs"]):
            return None
    return last


def _reduce_stem(graph: dict[str, Any], image_size: tuple[int, int], name: str) -> Any:
    """Return the symbol without as few of the stem's strides as the smallest feature map allows."""
    stem = _stem(graph["nodes"])
    for count in range(len(stem) + 1):
        for number in stem[:count]:
            _remove_stride(graph, number)
        symbol = mx.sym.load_json(json.dumps(graph))
        try:
            shape = symbol.infer_shape_partial(data=(1, 3, *image_size))[1][0]
        except mx.base.MXNetError:
            # A feature map is smaller than a kernel.
            continue
        if min(shape[2:]) >= _SMALLEST_MAP:
            return symbol
    raise UsageError(
        f"{name} reduces images of {image_size[0]}x{image_size[1]} (height x width) to less than "
        f"{_SMALLEST_MAP}x{_SMALLEST_MAP}, even without the stride and pooling of its first layers; "
        "give a larger image_size or name another network."
    )


def _stem(nodes: list[dict[str, Any]]) -> list[int]:
    """Return the numbers of the first strided convolution and the first max-pool before the network branches."""
    users: dict[int, list[int]] = {}
    for number, node in enumerate(nodes):
        for source, *_ in node["inputs"]:
            users.setdefault(source, []).append(number)
    found: dict[str, int] = {}
    number = next(i for i, node in enumerate(nodes) if node["name"] == "data")
    while len(users.get(number, ())) == 1:
        number = users[number][0]
        attributes = nodes[number].get("attrs", {})
        is_strided = any(digit not in "1(), " for digit in attributes.get("stride", ""))
        if is_strided and (nodes[number]["op"] == "Convolution" or attributes.get("pool_type") == "max"):
            found.setdefault(nodes[number]["op"], number)
    return [found[operator] for operator in ("Convolution", "Pooling") if operator in found]


def _remove_stride(graph: dict[str, Any], number: int) -> None:
    """Set the stride of a convolution to 1, or leave out a pooling."""
    node = graph["nodes"][number]
    if node["op"] == "Convolution":
        node["attrs"]["stride"] = "(1, 1)"
        return
    for other in graph["nodes"]:
        other["inputs"] = [node["inputs"][0] if source[0] == number else source for source in other["inputs"]]
