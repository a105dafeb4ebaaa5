"""Saved networks: a folder with the parameters and the card of a network."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
from mxnet.gluon import HybridBlock

from gluonfr.core import Card, GluonFRError, PathLike, WeightsError, file_sha256, require_file
from gluonfr.core.mxnet_internals import parameters_by_path
from gluonfr.model_zoo.arguments import as_image_size
from gluonfr.model_zoo.registry import build_stored_network
from gluonfr.weights.conversion import set_parameters
from gluonfr.weights.layer_graph import graph_of_network
from gluonfr.weights.params_file import read_params

PARAMETERS, CARD = "network.params", "card.json"


def save_network(net: Any, folder: str, card: Card | dict[str, Any]) -> None:
    """Write a network's parameters and its card into an existing folder.

    Parameters
    ----------
    net : HybridBlock
        A network of the model zoo.
    folder : str
        An existing folder; fill a `gluonfr.core.atomic_folder` to write it atomically.
    card : Card or dict
        `network` (a name of the model zoo) and `arguments` (of its constructor), from which `load_network` builds the network
        again. Other entries are kept. The parameters' SHA-256 is added.

    Examples
    --------
    >>> import tempfile
    >>> from gluonfr.model_zoo import get_model
    >>> arguments = {"units": [1], "channels": [4, 8], "embedding_size": 4, "dropout": 0}
    >>> net = get_model("lresnet10e_ir", **arguments)
    >>> net.initialize()
    >>> _ = net(__import__("mxnet").nd.zeros((1, 3, 112, 112)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_network(net, folder, {"network": "lresnet10e_ir", "arguments": arguments})
    ...     again, card = load_network(folder)
    >>> card.embedding_size, len(card.sha256)
    (4, 64)
    """
    card = card if isinstance(card, Card) else Card.from_dict(card)
    path = os.path.join(folder, PARAMETERS)
    net.save_parameters(path)
    size = card.embedding_size or getattr(net, "embedding_size", 0)
    replace(card, sha256=file_sha256(path), embedding_size=size).write(os.path.join(folder, CARD))


def load_network(folder: PathLike, contexts: Any = None) -> tuple[HybridBlock, Card]:
    """Load the network that `save_network` wrote into a folder: `(net, card)`, without a classifier.

    Parameters
    ----------
    folder : str
        Folder of a saved network.
    contexts : list of Context, optional
        Devices of the parameters; default CPU.

    Raises
    ------
    WeightsError
        The folder lacks a file, the parameters have another SHA-256 than the card records, or belong to another network.

    Examples
    --------
    >>> net, card = load_network("run/best")  # doctest: +SKIP
    """
    card = read_card(folder)
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    net = network_of_card(card, os.path.join(folder, CARD))
    values = read_saved_values(net, os.path.join(folder, PARAMETERS), card.network, card.image_size)
    set_parameters(net, values, contexts)
    net.hybridize(static_alloc=True)
    return net, card


def read_card(folder: PathLike) -> Card:
    """Return the card of a saved network, after checking that its two files exist and match.

    Examples
    --------
    >>> read_card("run/best").network  # doctest: +SKIP
    'mobilefacenet'
    """
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    card_path, parameters_path = (os.path.join(folder, name) for name in (CARD, PARAMETERS))
    for path in (card_path, parameters_path):
        if not os.path.isfile(path):
            raise WeightsError(f"{path} is missing: give a folder that a training wrote, such as RUN/best.")
    card = Card.read(card_path)
    require_file(parameters_path, "network's parameters")
    if card.sha256 and file_sha256(parameters_path) != card.sha256:
        raise WeightsError(
            f"{parameters_path} is damaged: its SHA-256 differs from the one in {card_path}; fetch or train it again."
        )
    return card


def network_of_card(card: Card, where: str) -> Any:
    """Return the network that a card describes, not initialized and without a classifier.

    Parameters
    ----------
    card : Card
        Its `network` and `arguments` are data from a file: only arguments that describe the architecture are accepted.
    where : str
        The card's file, for messages.

    Examples
    --------
    >>> network_of_card(Card(network="mobilefacenet", arguments={"embedding_size": 64}), "card.json").embedding_size
    64
    """
    try:
        as_image_size(card.image_size)
        return build_stored_network(card.network, card.arguments)
    except GluonFRError as error:
        raise WeightsError(f"{where}: its network cannot be built ({error}); correct or restore the card.") from error


def read_saved_values(net: Any, path: str, name: str, image_size: tuple[int, int] | None = None) -> dict[str, np.ndarray]:
    """Read the values of all parameters of `net`, except its classifier, from a file of Gluon's `save_parameters`.

    Parameters
    ----------
    net : HybridBlock
        A network of the model zoo.
    path : str
        `.params`. A classifier in the file is ignored too.
    name : str
        Name of the network, for messages.
    image_size : (H, W), optional
        Size of the images in pixels; default that of the network.

    Returns
    -------
    dict of str to float32 array
        By parameter name.

    Raises
    ------
    WeightsError
        The parameters belong to another network; the first one that differs is named.

    Examples
    --------
    >>> read_saved_values(net, "network.params", "mobilefacenet")  # doctest: +SKIP
    """
    stored = {key: array for key, array in read_params(path).items() if not key.startswith("output.")}
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in graph_of_network(net, image_size).layers:
        shapes.update((parameter, layer.shapes[role]) for role, parameter in layer.parameters.items())
    values = {}
    for key, parameter in parameters_by_path(net).items():
        if key.startswith("output."):
            continue
        shape = shapes.get(parameter.name, parameter.shape)
        if len(shape) == 2 and parameter.shape[1] == 0 and key in stored and stored[key].ndim == 2:
            # The input of this layer is the last feature map, and a card may lack the image size that determines its size.
            shape = (shape[0], stored[key].shape[1])
        if key not in stored:
            raise WeightsError(f"{path} does not fit {name}: it has no {key!r} of shape {shape}.")
        array = stored.pop(key)
        if array.shape != shape:
            raise WeightsError(f"{path} does not fit {name}: {key!r} has the shape {array.shape} instead of {shape}.")
        values[parameter.name] = np.asarray(array, dtype=np.float32)
    if stored:
        raise WeightsError(f"{path} does not fit {name}, which has no parameter {next(iter(stored))!r}.")
    return values
