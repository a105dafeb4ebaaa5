from __future__ import annotations

import os
from dataclasses import replace

import numpy as np

from gluonfr.core import Card, GluonFRError, file_sha256, require_file
from gluonfr.core.mxnet_internals import parameters_by_path
from gluonfr.model_zoo.registry import get_model
from gluonfr.weights.graph import layers_of_network
from gluonfr.weights.params_file import read_params
from gluonfr.weights.transfer import set_values

PARAMETERS, CARD = "network.params", "card.json"


def save_network(net, folder, card) -> None:
    """Write a network's parameters and its card into an existing folder; fill `gluonfr.core.atomic_folder` with it.

    Parameters
    ----------
    net : HybridBlock
        Of the zoo.
    folder : str
    card : Card or dict
        `network` (a name of the zoo) and `arguments` (of `get_model`), from which `load_network` builds it again; what else
        it holds is kept. The parameters' SHA-256 is added.
    """
    card = card if isinstance(card, Card) else Card.from_dict(card)
    path = os.path.join(folder, PARAMETERS)
    net.save_parameters(path)
    size = card.embedding_size or getattr(net, "embedding_size", 0)
    replace(card, sha256=file_sha256(path), embedding_size=size).write(os.path.join(folder, CARD))


def load_network(folder, contexts=None):
    """The network that `save_network` wrote into `folder`: `(net, card)`, ready for images, without classifier.

    Raises
    ------
    GluonFRError
        The folder lacks a file, the parameters are not those that the card names, or belong to another network.
    """
    card = read_card(folder)
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    net = network_of_card(card, os.path.join(folder, CARD))
    set_values(net, saved_values(net, os.path.join(folder, PARAMETERS), card.network, card.image_size), contexts)
    net.hybridize(static_alloc=True)
    return net, card


def read_card(folder):
    """The card of a saved network, whose two files are there and whose parameters are those that the card names."""
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    paths = [os.path.join(folder, name) for name in (CARD, PARAMETERS)]
    for path in paths:
        if not os.path.isfile(path):
            raise GluonFRError(f"{path} is missing: give the folder that a training wrote, such as RUN/best.")
    card = Card.read(paths[0])
    require_file(paths[1], "network's parameters")
    if card.sha256 and file_sha256(paths[1]) != card.sha256:
        raise GluonFRError(f"{paths[1]} is damaged: its SHA-256 is not the one in {paths[0]}; fetch or train it again.")
    return card


def network_of_card(card, where):
    """The network that a card describes, not initialized and without classifier."""
    try:
        return get_model(card.network, **card.arguments)
    except (GluonFRError, TypeError) as error:
        raise GluonFRError(f"{where} is no network's card ({error}); train again or restore it.") from error


def saved_values(net, path, name, image_size=None):
    """Values for all of `net` but its classifier from a file of Gluon's `save_parameters`: dict of name -> float32 array.

    A classifier in the file is left out too. GluonFRError names the first parameter that differs.
    """
    stored = {key: array for key, array in read_params(path).items() if not key.startswith("output.")}
    shapes = {}
    for layer in layers_of_network(net, image_size).layers:
        shapes.update((each, layer.shapes[role]) for role, each in layer.parameters.items())
    ours = {key: each for key, each in parameters_by_path(net).items() if not key.startswith("output.")}
    values = {}
    for key, parameter in ours.items():
        shape = shapes.get(parameter.name, parameter.shape)
        if len(shape) == 2 and parameter.shape[1] == 0 and key in stored and stored[key].ndim == 2:
            # As long as the last feature map is large, which the size of the images decides; a card need not tell that.
            shape = (shape[0], stored[key].shape[1])
        if key not in stored:
            raise GluonFRError(f"{path} does not fit {name}: it lacks {key!r} of shape {shape}.")
        array = stored.pop(key)
        if array.shape != shape:
            raise GluonFRError(f"{path} does not fit {name}: {key!r} is of shape {array.shape} instead of {shape}.")
        values[parameter.name] = np.asarray(array, dtype=np.float32)
    if stored:
        raise GluonFRError(f"{path} does not fit {name}: {name} has no {next(iter(stored))!r}.")
    return values
