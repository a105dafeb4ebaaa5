"""The network architectures by name, and the functions that build and list them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple, Sequence

import mxnet as mx

from gluonfr.core import DEFAULT_MODELS, Registry, UsageError
from gluonfr.model_zoo.arguments import check_argument
from gluonfr.model_zoo.backbones import BACKBONE_ARGUMENTS, BackboneNetwork, adapt_network
from gluonfr.nn import FrBase

NETWORKS = Registry("network")
# By name: `gluonfr.weights` is built on the networks, so this module cannot import it.
_PRETRAINED_LOADER = ("gluonfr.weights.load", "load_weights")
_PRETRAINED_LIST = ("gluonfr.weights.model_table", "list_pretrained_models")
# Arguments of every Gluon block.
_OF_BLOCKS = {"prefix", "params"}
_VARIABLE = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
# Arguments of a training instead of the embedding network, and of the function that adapts backbones.
_NOT_STORED = {*_OF_BLOCKS, "classes", "zoo", "name", "build"}


class _Entry(NamedTuple):
    name: str
    block: type[FrBase]


_ENTRIES: dict[Callable[..., FrBase], _Entry] = {}


def register_network(block: type[FrBase], name: str, *aliases: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that registers a constructor of networks under its name and aliases.

    Parameters
    ----------
    block : type
        Class of the networks; its constructor declares the arguments.
    name : str
        Listed by `list_models`.
    *aliases : str
        Other names, which `get_model` accepts.

    Examples
    --------
    >>> from gluonfr.model_zoo import MobileFaceNet
    >>> decorate = register_network(MobileFaceNet, "tiny_facenet")
    >>> # @register_network(MobileFaceNet, "tiny_facenet")
    >>> # def tiny_facenet(**kwargs):
    >>> #     return MobileFaceNet(**{"width": 0.25, **kwargs})
    """

    def register(constructor: Callable[..., Any]) -> Callable[..., Any]:
        _ENTRIES[constructor] = _Entry(name, block)
        return NETWORKS.register(name, *aliases)(constructor)

    return register


def get_model(
    name: str,
    pretrained: str | bool | None = None,
    ctx: mx.Context | Sequence[mx.Context] | None = None,
    root: str = DEFAULT_MODELS,
    **kwargs: Any,
) -> FrBase:
    """Build a network by its name.

    Parameters
    ----------
    name : str
        One of `list_models()`; case, dashes and underscores do not matter. Or an image network as a backbone:
        "gluon:NAME" from MXNet's own model zoo, "gluoncv:NAME" from GluonCV's; see `gluonfr.model_zoo.backbones`.
    pretrained : str or bool, optional
        Weights to load: the name of a stored model (True: the one called `name`), or a path; `gluonfr.weights.load_weights`
        lists the kinds of files. A classifier is not loaded.
    ctx : Context or list of Context, optional
        Devices of the pretrained weights; default CPU.
    root : str, default '~/.mxnet/models/face'
        Folder of the stored models.
    **kwargs
        Arguments of the network's constructor. All networks accept:

        - classes (int, optional): number of identities of the training set; without it the network returns embeddings alone.
        - embedding_size (int): default depends on the network.
        - weight_norm, feature_norm (bool, default False): normalize the weight and the input of the classifier; both are
          needed by losses on cosines (`ArcLoss`, `CosLoss`).
        - need_cls_layer (bool, default True): False leaves out the classifier.

    Returns
    -------
    gluonfr.nn.FrBase
        Not initialized, unless `pretrained`; then only a classifier is left to initialize.

    Raises
    ------
    UsageError
        The name or an argument is unknown, or an argument has a wrong value.
    WeightsError
        The pretrained weights do not fit; the first layer that differs is named.

    Examples
    --------
    >>> get_model("mobilefacenet", classes=10, embedding_size=128)
    mobilefacenet(MobileFaceNet, input 3x112x112, embedding 128, classes 10, 1,004,544 parameters)
    """
    net = build_network(name, **kwargs)
    if pretrained:
        module, function = _PRETRAINED_LOADER
        load_weights = getattr(import_module(module), function)
        load_weights(net, name if pretrained is True else pretrained, ctx=ctx, root=root)
    return net


def build_network(name: str, **kwargs: Any) -> FrBase:
    """Build a network by its name, without weights.

    Parameters
    ----------
    name : str
        As in `get_model`.
    **kwargs
        Arguments of the network's constructor.

    Examples
    --------
    >>> build_network("mobilefacenet", embedding_size=64).embedding_size
    64
    """
    if isinstance(name, str) and ":" in name:
        return adapt_network(*name.split(":", 1), **kwargs)
    constructor = NETWORKS.get(name)
    check_arguments(name, kwargs)
    net = constructor(**kwargs)
    net.architecture = _ENTRIES[constructor].name
    return net


def build_stored_network(name: str, arguments: dict[str, Any]) -> FrBase:
    """Build the embedding network that a file describes, without weights and without a classifier.

    Only arguments that describe the architecture are accepted, with checked values: none that would load or write files,
    choose devices or share parameters.

    Parameters
    ----------
    name : str
        As in `get_model`.
    arguments : dict
        Arguments of the network's constructor, as read from the file.

    Raises
    ------
    UsageError
        The name or an argument is unknown, or an argument has a wrong value.

    Examples
    --------
    >>> build_stored_network("mobilefacenet", {"embedding_size": 64}).embedding_size
    64
    >>> build_stored_network("mobilefacenet", {"pretrained": True})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.UsageError: network 'mobilefacenet' has no argument 'pretrained'; it accepts blocks, ...
    """
    constructor = adapt_network if ":" in name else NETWORKS.get(name)
    declared = _declared_arguments(constructor) - _NOT_STORED
    if ":" in name:
        declared |= set(BACKBONE_ARGUMENTS)
    _check_values(name, arguments, declared)
    return build_network(name, **arguments)


def check_arguments(name: str, arguments: dict[str, Any]) -> None:
    """Raise UsageError unless a network declares these arguments and accepts their values.

    Parameters
    ----------
    name : str
        A name of `list_models()`.
    arguments : dict
        Arguments for its constructor.

    Examples
    --------
    >>> check_arguments("mobilefacenet", {"embedding_size": 64})
    >>> check_arguments("mobilefacenet", {"root": "/tmp"})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.UsageError: network 'mobilefacenet' has no argument 'root'; it accepts blocks, classes, dropout, ...
    """
    _check_values(name, arguments, _declared_arguments(NETWORKS.get(name)))


def _check_values(name: str, arguments: dict[str, Any], declared: set[str]) -> None:
    for argument, value in arguments.items():
        if argument not in declared:
            known = ", ".join(sorted(declared - _OF_BLOCKS))
            raise UsageError(f"network {name!r} has no argument {argument!r}; it accepts {known}.")
        check_argument(argument, value)


def _declared_arguments(constructor: Callable[..., FrBase]) -> set[str]:
    """Return the names that a constructor accepts, or that the class of its network and the bases of that declare."""
    block = _ENTRIES[constructor].block if constructor in _ENTRIES else BackboneNetwork
    functions: list[Any] = [base.__init__ for base in block.__mro__ if issubclass(base, FrBase)]
    declared = set(_OF_BLOCKS)
    for function in (constructor, *functions):
        parameters = inspect.signature(function).parameters.values()
        declared |= {argument.name for argument in parameters if argument.kind not in _VARIABLE}
    return declared - {"self"}


def registered_name(name: str) -> str:
    """Return the name by which `list_models` lists a network.

    Raises
    ------
    GluonFRError
        No network has that name.

    Examples
    --------
    >>> registered_name("MobileFaceNet-y1")
    'mobilefacenet'
    """
    return name if ":" in name else _ENTRIES[NETWORKS.get(name)].name


def list_models(pretrained: bool = False, root: str = DEFAULT_MODELS) -> list[str]:
    """Return the names of all network architectures, sorted, or of the networks with weights on this machine.

    Parameters
    ----------
    pretrained : bool, default False
        True: names of the stored models, for `get_model(network, pretrained=name)`. The list prints as a table with
        parameters, multiply-adds, accuracy on LFW and license; the same facts are in its attribute `details`.
    root : str, default '~/.mxnet/models/face'
        Folder of the stored models.

    Examples
    --------
    >>> "mobilefacenet" in list_models()
    True
    >>> list_models(pretrained=True)  # doctest: +SKIP
    name           network        parameters  multiply-adds  LFW     license
    dlib_resnet29  dlib_resnet29  5.61 M      0.271 G        0.9938  CC0-1.0 (public domain)
    """
    if not pretrained:
        return NETWORKS.names()
    module, function = _PRETRAINED_LIST
    return getattr(import_module(module), function)(root)


def get_model_list() -> list[str]:
    """Return the names of all network architectures, sorted; gluon-face's name of `list_models`.

    Examples
    --------
    >>> get_model_list() == list_models()
    True
    """
    return list_models()
