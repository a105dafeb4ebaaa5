from __future__ import annotations

import difflib
import json
import warnings

import mxnet as mx
from mxnet.gluon import SymbolBlock
from mxnet.gluon.model_zoo import vision

from gluonfr.core import GluonFRError
from gluonfr.model_zoo.complexity import Graph, as_size
from gluonfr.nn import FrBase
from gluonfr.nn.embedding import embedding_head

# A head wants to see where on the face something is: the smallest feature map worth having.
_SMALLEST = 7
# Sizes that image networks are made for; the pooling and dense layers of some fit one of them only.
_NATURAL = (224, 299, 331)


def from_zoo(kind, name, classes=None, embedding_size=512, image_size=(112, 112), **kwargs):
    """An image network from elsewhere as a face network: its layers up to the last feature map, and a face network's head.

    The first convolution with a stride gets stride 1, and the first max-pool is left out, as far as it takes for an image to
    reach the head at 7x7 or more. Pooling and classifier at the end are left out.

    Parameters
    ----------
    kind : {'gluon', 'gluoncv'}
        MXNet's own zoo, `mxnet.gluon.model_zoo.vision`, or gluoncv's (``pip install ".[gluoncv]"`` in the checkout).
    name : str
        Of a network there that classifies images.
    classes : int, optional
    embedding_size : int, default 512
    image_size : (H, W), default (112, 112)
    head, dropout, weight_norm, feature_norm, need_cls_layer
        As `ZooNetwork`.
    **kwargs
        Passed to the zoo's constructor.

    Returns
    -------
    ZooNetwork
        Not initialized.

    Raises
    ------
    GluonFRError
        gluoncv is not there; the name is unknown (near ones are listed); the network does not classify images, or the image is
        too small for it.
    """
    if kind not in _ZOOS:
        raise GluonFRError(f"{kind}:{name} names no zoo: before the colon stands one of {', '.join(_ZOOS)}.")
    names, make = _ZOOS[kind]()
    folded = str(name).lower()
    if folded not in names:
        near = difflib.get_close_matches(folded, names, 5, 0.5) or sorted(names)
        raise GluonFRError(f"{kind} has no network {name!r}; near names are {', '.join(near)}.")
    ours = {each: kwargs.pop(each) for each in _OURS if each in kwargs}

    def build():
        try:
            return make(folded, **kwargs)
        except GluonFRError:
            raise
        except Exception as error:  # A zoo's constructor may fail in any way.
            raise GluonFRError(f"{kind}:{name} cannot be built: {' '.join(str(error).split())}") from error

    return ZooNetwork(f"{kind}:{name}", build, image_size, classes=classes, embedding_size=embedding_size, **ours)


_OURS = ("head", "dropout", "weight_norm", "feature_norm", "need_cls_layer", "prefix", "params")


def _gluon():
    try:
        vision.get_model("")
    except ValueError as error:  # The only place where MXNet lists them.
        return [each.strip() for each in str(error).splitlines()[1:]], vision.get_model
    raise RuntimeError("MXNet's zoo has a network without name")


def _gluoncv():
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from gluoncv.model_zoo import get_model, get_model_list
    except ImportError as error:
        raise GluonFRError(
            f"gluoncv's networks need gluoncv ({error}): run `pip install '.[gluoncv]'` in the checkout."
        ) from error

    def make(name, **kwargs):
        try:
            # Networks for detection, segmentation and so on would fetch another's weights before they can be refused.
            return get_model(name, pretrained_base=False, **kwargs)
        except TypeError as error:
            if "pretrained_base" not in str(error):
                raise
            return get_model(name, **kwargs)

    return list(get_model_list()), make


_ZOOS = {"gluon": _gluon, "gluoncv": _gluoncv}


class ZooNetwork(FrBase):
    """Another zoo's network up to its last feature map, as a graph with that network's parameters, and a head.

    Parameters
    ----------
    name : str
        For messages.
    build : callable
        () -> HybridBlock that classifies images.
    image_size : (H, W), default (112, 112)
    head : {'GDC', 'E', 'GAP', 'FC'}, default 'GDC'
        As `gluonfr.nn.embedding.embedding_head`.
    dropout : float, optional
        In the head; the head's own default otherwise.
    embedding_size : int, default 512
    **kwargs
        As `gluonfr.nn.FrBase`.
    """

    def __init__(
        self, name, build, image_size=(112, 112), classes=None, embedding_size=512, head="GDC", dropout=None, **kwargs
    ) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        # Within this scope parameters are called the same whatever else the process has built.
        with self.name_scope():
            net = build()
            symbol, size = _strip(_feature_map(net, name), as_size(image_size), name)
            backbone = SymbolBlock(symbol, mx.sym.var("data", dtype="float32"), net.collect_params())
            arguments, (shape,), states = symbol.infer_shape(data=size)
            known = zip(symbol.list_arguments() + symbol.list_auxiliary_states(), arguments + states)
            for each, found in known:
                if each != "data":
                    backbone.params.get(each).shape = found
            self.features.add(backbone, *embedding_head(head, embedding_size, shape[1], dropout, shape[2:]))


def _feature_map(net, name):
    """The graph of an image network up to its last feature map, as JSON."""
    for side in _NATURAL:
        try:
            graph = Graph(net, (1, 3, side, side))
            break
        except GluonFRError as error:
            refusal = error
    else:
        raise GluonFRError(f"{name} is no image network that can be adapted: {refusal}") from refusal
    if len(graph.outputs) > 1 and len({*graph.outputs}) == 1:
        # The classifier first, then the ones on the way that training helps itself with.
        graph = Graph(lambda x: net(x)[0], (1, 3, side, side))
    if any(node["op"].startswith("_contrib_quantize") for node in graph.nodes):
        raise GluonFRError(f"{name} computes in int8, so it cannot be trained; name the network that it was made of.")
    if len(graph.outputs) != 1 or len(graph.outputs[0]) != 2:
        raise GluonFRError(f"{name} does not classify images (its outputs: {graph.outputs}); name a network that does.")
    last = _last_map(graph, net)
    if last is None:
        raise GluonFRError(f"{name} has no feature map that all of its output comes from; name another network.")
    nodes = graph.nodes[: last + 1]
    for node in nodes:
        # Else the graph would stay float32 when the network is cast.
        node.get("attrs", {}).pop("__dtype__", None)
    return {
        "nodes": nodes,
        "arg_nodes": [place for place, node in enumerate(nodes) if node["op"] == "null"],
        "heads": [[last, 0, 0]],
        "attrs": graph.version,
    }


def _last_map(graph, net):
    """Place of the last operator with a map, before any layer of the classifier; None if something passes by it."""
    classifier = getattr(net, "output", None)
    names = set(classifier.collect_params()) if hasattr(classifier, "collect_params") else set()
    last = None
    for place, node in enumerate(graph.nodes):
        if any(graph.nodes[each]["name"] in names for each, *_ in node["inputs"]):
            break
        shape = graph.shapes[place, 0]
        if node["op"] != "null" and len(shape) == 4 and shape[2] * shape[3] > 1:
            last = place
    for node in graph.nodes[last + 1 :] if last else ():
        if any(each < last and graph.nodes[each]["op"] != "null" for each, *_ in node["inputs"]):
            return None
    return last


def _strip(graph, image_size, name):
    """The symbol with as few of the stem's strides left out as the smallest map allows, and the shape of its input."""
    size = (1, 3, *image_size)
    stem = _stem(graph["nodes"])
    for left_out in range(len(stem) + 1):
        for place in stem[:left_out]:
            _leave_out(graph, place)
        symbol = mx.sym.load_json(json.dumps(graph))
        try:
            shape = symbol.infer_shape_partial(data=size)[1][0]
        except mx.base.MXNetError:
            # A map smaller than a kernel.
            continue
        if min(shape[2:]) >= _SMALLEST:
            return symbol, size
    raise GluonFRError(
        f"{name} leaves less than {_SMALLEST}x{_SMALLEST} of images of {image_size[0]}x{image_size[1]} (height x width), "
        "even without the stride and pooling of its first layers; give a larger image_size or name another network."
    )


def _stem(nodes):
    """Places of the first convolution with a stride and of the first max-pool, where the network has not branched yet."""
    users = {}
    for place, node in enumerate(nodes):
        for each, *_ in node["inputs"]:
            users.setdefault(each, []).append(place)
    found = {}
    place = next(each for each, node in enumerate(nodes) if node["name"] == "data")
    while len(users.get(place, ())) == 1:
        place = users[place][0]
        attributes = nodes[place].get("attrs", {})
        halves = any(each not in "1(), " for each in attributes.get("stride", ""))
        if halves and (nodes[place]["op"] == "Convolution" or attributes.get("pool_type") == "max"):
            found.setdefault(nodes[place]["op"], place)
    return [found[each] for each in ("Convolution", "Pooling") if each in found]


def _leave_out(graph, place) -> None:
    node = graph["nodes"][place]
    if node["op"] == "Convolution":
        node["attrs"]["stride"] = "(1, 1)"
        return
    for other in graph["nodes"]:
        other["inputs"] = [node["inputs"][0] if each[0] == place else each for each in other["inputs"]]
