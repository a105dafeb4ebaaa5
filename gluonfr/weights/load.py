from __future__ import annotations

import os

from gluonfr.core import DEFAULT_MODELS, Card, GluonFRError, file_sha256
from gluonfr.core.mxnet_internals import parameters_by_path
from gluonfr.model_zoo.registry import NETWORKS, get_model
from gluonfr.weights.dlib import dlib_values, is_free, load_dlib, stored_free
from gluonfr.weights.graph import difference, layers_of_network
from gluonfr.weights.insightface import Checkpoint, find_checkpoint, load_insightface
from gluonfr.weights.params_file import read_params
from gluonfr.weights.saved import PARAMETERS, load_network, network_of_card, read_card, saved_values
from gluonfr.weights.torch_state import TorchState, load_torch
from gluonfr.weights.transfer import set_values

_TORCH = (".pt", ".pth")
_KINDS = (
    "a saved network's folder, .params of Gluon's save_parameters, an InsightFace checkpoint's -symbol.json or .params, "
    "a PyTorch state dict (.pt, .pth), or dlib's .dat"
)


def load_weights(net, source, ctx=None, root=DEFAULT_MODELS) -> None:
    """Set a network's parameters from a file, all or, when anything does not fit, none.

    Only what leads to the embedding is set: a classifier in `net` stays as it is, one in the file is ignored.

    Parameters
    ----------
    net : HybridBlock
        Of the zoo, initialized or not.
    source : str
        Name of a stored model (`gluonfr.weights.list_models`), folder of a saved network, `.params` that Gluon's
        `save_parameters` wrote, `-symbol.json` or `-NNNN.params` of an InsightFace checkpoint, `.pt` or `.pth` of
        arcface_torch, or dlib's `.dat`. "dlib_resnet29" is stored at first from the installed package of its weights.
    ctx : Context or list of Context, optional
        Where the parameters are put; default where they are, or CPU.
    root : str, default '~/.mxnet/models/face'
        Where stored models are kept.

    Raises
    ------
    GluonFRError
        Nothing of that name, a damaged file, or weights of another network: the first layer that differs is named.
    """
    name = type(net).__name__
    kind, path = _kind(source, root)
    if kind == "torch":
        values = TorchState(path).fit(net, name)
    elif kind == "dlib":
        values = dlib_values(net, path)
    elif kind == "insightface":
        values = Checkpoint(*find_checkpoint(path)).fit(net, name)
    elif kind == "folder":
        values = _values_of_folder(net, path, name)
    else:
        values = saved_values(net, path, name)
    set_values(net, values, ctx)


def load_any(source, network=None, ctx=None, root=DEFAULT_MODELS):
    """`(net, card)` of any `source` of `load_weights`, whose network is recognized.

    Parameters
    ----------
    network : str, optional
        Name of the network, which `.params` of Gluon's `save_parameters` need, because they do not tell; with the others
        the only one that it may be.
    """
    kind, path = _kind(source, root)
    if kind == "torch":
        return load_torch(path, network, ctx=ctx)
    if kind == "dlib":
        return load_dlib(path, network, ctx)
    if kind == "insightface":
        return load_insightface(path, network, ctx=ctx)
    if kind == "folder":
        net, card = load_network(path, ctx)
        if network and NETWORKS.get(network) is not NETWORKS.get(card.network):
            raise GluonFRError(f"{path} is {card.network}, not {network}.")
        return net, card
    return _load_gluon(path, network, ctx)


def _kind(source, root):
    """What `source` is, and its path."""
    if not isinstance(source, (str, os.PathLike)):
        raise GluonFRError(f"weights come from {_KINDS}, or the name of a stored model, got {source!r}.")
    path = os.path.abspath(os.path.expanduser(os.fspath(source)))
    if path.endswith(_TORCH):
        return "torch", path
    if path.endswith(".dat"):
        return "dlib", path
    if path.endswith("-symbol.json") or os.path.isfile(path + "-symbol.json"):
        return "insightface", path
    if path.endswith(".params"):
        of_mxnet = any(each.startswith(("arg:", "aux:")) for each in read_params(path))
        return "insightface" if of_mxnet else "gluon", path
    if os.sep not in os.fspath(source) and os.path.isfile(os.path.join(os.path.expanduser(root), source, PARAMETERS)):
        return "folder", os.path.abspath(os.path.join(os.path.expanduser(root), source))
    if os.path.isdir(path):
        return "folder", path
    if is_free(source) and not os.path.exists(path):
        return "folder", stored_free(root)
    if os.path.exists(path):
        raise GluonFRError(f"{path}: weights come from {_KINDS}.")
    raise GluonFRError(f"{os.fspath(source)!r} is neither a stored model under {root} nor a file; give {_KINDS}.")


def _values_of_folder(net, folder, name):
    card = read_card(folder)
    path = os.path.join(folder, PARAMETERS)
    # Names and shapes of parameters alone would not tell strides, nor a crop of the input.
    theirs = layers_of_network(network_of_card(card, folder), card.image_size)
    differs = difference(theirs, layers_of_network(net, card.image_size), name)
    if differs is not None:
        raise GluonFRError(f"{path} does not fit {name}: {differs}.")
    return saved_values(net, path, name, card.image_size)


def _load_gluon(path, network, ctx):
    if not network:
        raise GluonFRError(f"{path} does not tell which network it belongs to; name the network too.")
    net = get_model(network)
    last = next(each for each in reversed(layers_of_network(net).layers) if "weight" in each.parameters)
    key = next(key for key, each in parameters_by_path(net).items() if each.name == last.parameters["weight"])
    stored = read_params(path)
    size = stored[key].shape[0] if key in stored and stored[key].ndim else net.embedding_size
    arguments = {"embedding_size": max(1, size)}
    net = get_model(network, **arguments)
    set_values(net, saved_values(net, path, network), ctx)
    net.hybridize(static_alloc=True)
    extra = {"converted_from": os.path.basename(path), "original_sha256": file_sha256(path)}
    return net, Card(network=network, arguments=arguments, embedding_size=net.embedding_size, extra=extra)
