"""Weights of every kind, by a path or the name of a stored model."""

from __future__ import annotations

import os
from typing import Any, Sequence

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock

from gluonfr.core import DEFAULT_MODELS, Card, PathLike, UsageError, WeightsError, file_sha256
from gluonfr.core.mxnet_internals import parameters_by_path
from gluonfr.model_zoo.registry import get_model, registered_name
from gluonfr.weights.arcface_torch import TorchState, load_torch
from gluonfr.weights.conversion import set_parameters
from gluonfr.weights.dlib import convert_dlib, is_dlib_network, load_dlib, store_packaged_weights
from gluonfr.weights.insightface import InsightFaceCheckpoint, find_checkpoint, load_insightface
from gluonfr.weights.layer_graph import graph_of_network
from gluonfr.weights.matching import find_difference
from gluonfr.weights.model_table import list_stored_models
from gluonfr.weights.params_file import read_params
from gluonfr.weights.saved import PARAMETERS, load_network, network_of_card, read_card, read_saved_values

_TORCH = (".pt", ".pth")
_KINDS = (
    "the folder of a saved network, .params of Gluon's save_parameters, -symbol.json or .params of an InsightFace checkpoint, "
    "a PyTorch state dict (.pt, .pth), or dlib's .dat"
)


def load_weights(
    net: Any, source: PathLike, ctx: mx.Context | Sequence[mx.Context] | None = None, root: str = DEFAULT_MODELS
) -> None:
    """Set the parameters of a network from a file; if anything does not fit, none is changed.

    A classifier in the network is not changed, and one in the file is ignored.

    Parameters
    ----------
    net : HybridBlock
        A network of the model zoo, initialized or not.
    source : str
        Name of a stored model (see `list_stored_models`), folder of a saved network, `.params` of Gluon's `save_parameters`,
        `-symbol.json` or `-NNNN.params` of an InsightFace checkpoint, `.pt` or `.pth` of arcface_torch, or dlib's `.dat`.
        "dlib_resnet29" is first stored from the installed package with its weights.
    ctx : Context or list of Context, optional
        Devices of the parameters; default their present devices, or the CPU.
    root : str, default '~/.mxnet/models/face'
        Folder of the stored models.

    Raises
    ------
    WeightsError
        The source does not exist, is damaged, or belongs to another network; the first layer that differs is named.

    Examples
    --------
    >>> load_weights(net, "mobilefacenet-y1-symbol.json")  # doctest: +SKIP
    """
    name = type(net).__name__
    kind, path = _find_source(source, root)
    if kind == "torch":
        values = TorchState(path).fit(net, name)
    elif kind == "dlib":
        values = convert_dlib(net, path)
    elif kind == "insightface":
        values = InsightFaceCheckpoint(*find_checkpoint(path)).fit(net, name)
    elif kind == "folder":
        values = _read_folder(net, path, name)
    else:
        values = read_saved_values(net, path, name)
    set_parameters(net, values, ctx)


def load_pretrained(
    source: PathLike,
    network: str | None = None,
    ctx: mx.Context | Sequence[mx.Context] | None = None,
    root: str = DEFAULT_MODELS,
) -> tuple[HybridBlock, Card]:
    """Load a network with its weights from any source of `load_weights`: `(net, card)`; the network is recognized.

    Parameters
    ----------
    source : str
        See `load_weights`.
    network : str, optional
        Name of the network. `.params` of Gluon's `save_parameters` need it, because they do not record their network; for
        other sources, the only network that is accepted.
    ctx : Context or list of Context, default CPU
        Devices of the parameters.
    root : str, default '~/.mxnet/models/face'
        Folder of the stored models.

    Examples
    --------
    >>> net, card = load_pretrained("mobilefacenet-y1-symbol.json")  # doctest: +SKIP
    """
    kind, path = _find_source(source, root)
    if kind == "torch":
        return load_torch(path, network, ctx=ctx)
    if kind == "dlib":
        return load_dlib(path, network, ctx)
    if kind == "insightface":
        return load_insightface(path, network, ctx=ctx)
    if kind == "folder":
        net, card = load_network(path, ctx)
        if network and registered_name(network) != registered_name(card.network):
            raise WeightsError(f"{path} contains {card.network}, not {network}; leave out the name of the network.")
        return net, card
    return _load_gluon(path, network, ctx)


def _find_source(source: Any, root: str) -> tuple[str, str]:
    """Return the kind of a source, and its path."""
    if not isinstance(source, (str, os.PathLike)):
        raise UsageError(f"weights must be {_KINDS}, or the name of a stored model; got {source!r}.")
    name = os.fspath(source)
    path = os.path.abspath(os.path.expanduser(name))
    if path.endswith(_TORCH):
        return "torch", path
    if path.endswith(".dat"):
        return "dlib", path
    if path.endswith("-symbol.json") or os.path.isfile(path + "-symbol.json"):
        return "insightface", path
    if path.endswith(".params"):
        is_checkpoint = any(key.startswith(("arg:", "aux:")) for key in read_params(path))
        return "insightface" if is_checkpoint else "gluon", path
    stored = os.path.join(os.path.abspath(os.path.expanduser(root)), name)
    if os.sep not in name and os.path.isfile(os.path.join(stored, PARAMETERS)):
        return "folder", stored
    if os.path.isdir(path):
        return "folder", path
    if is_dlib_network(name) and not os.path.exists(path):
        return "folder", store_packaged_weights(root)
    if os.path.exists(path):
        raise WeightsError(f"{path} is not a known kind of weights; give {_KINDS}.")
    stored = ", ".join(f"{model!r} ({card.network or 'foreign graph'})" for model, card in list_stored_models(root).items())
    names = f"a stored model ({stored})" if stored else "the name of a stored model, of which there is none"
    raise WeightsError(f"{name!r} is neither a stored model under {root} nor a file: give {names}, or {_KINDS}.")


def _read_folder(net: Any, folder: str, name: str) -> dict[str, np.ndarray]:
    card = read_card(folder)
    path = os.path.join(folder, PARAMETERS)
    # Names and shapes of parameters are not enough: strides or a crop of the input may differ.
    theirs = graph_of_network(network_of_card(card, folder), card.image_size)
    difference = find_difference(theirs, graph_of_network(net, card.image_size), name)
    if difference is not None:
        raise WeightsError(f"{path} does not fit {name}: {difference}.")
    return read_saved_values(net, path, name, card.image_size)


def _load_gluon(path: str, network: str | None, ctx: mx.Context | Sequence[mx.Context] | None) -> tuple[HybridBlock, Card]:
    if not network:
        raise WeightsError(f"{path} does not record its network; give the name of the network too.")
    net = get_model(network)
    last = next(layer for layer in reversed(graph_of_network(net).layers) if "weight" in layer.parameters)
    key = next(key for key, parameter in parameters_by_path(net).items() if parameter.name == last.parameters["weight"])
    stored = read_params(path)
    size = stored[key].shape[0] if key in stored and stored[key].ndim else net.embedding_size
    net = get_model(network, embedding_size=max(1, size))
    set_parameters(net, read_saved_values(net, path, network), ctx)
    net.hybridize(static_alloc=True)
    extra = {"converted_from": os.path.basename(path), "original_sha256": file_sha256(path)}
    arguments = {"embedding_size": net.embedding_size}
    return net, Card(network=network, arguments=arguments, embedding_size=net.embedding_size, extra=extra)
