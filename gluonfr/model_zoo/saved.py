import os
from dataclasses import replace

import mxnet as mx

from gluonfr.core import Card, GluonFRError, file_sha256, need_file
from gluonfr.model_zoo.registry import get_model

PARAMETERS, CARD = "network.params", "card.json"


def save_network(net, folder, card):
    """Write a network's parameters and its card into an existing folder; fill `gluonfr.core.whole_folder` with it.

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
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    paths = [os.path.join(folder, name) for name in (CARD, PARAMETERS)]
    for path in paths:
        if not os.path.isfile(path):
            raise GluonFRError(f"{path} is missing: give the folder that a training wrote, such as RUN/best.")
    card = Card.read(paths[0])
    need_file(paths[1], "network's parameters")
    if card.sha256 and file_sha256(paths[1]) != card.sha256:
        raise GluonFRError(f"{paths[1]} is damaged: its SHA-256 is not the one in {paths[0]}; fetch or train it again.")
    try:
        net = get_model(card.network, **card.arguments)
    except (GluonFRError, TypeError) as error:
        raise GluonFRError(f"{paths[0]} is no network's card ({error}); train again or restore it.") from error
    try:
        net.load_parameters(paths[1], ctx=contexts or mx.cpu())
    except (AssertionError, ValueError, mx.base.MXNetError) as error:
        raise GluonFRError(f"{paths[1]} does not fit {card.network}: {str(error).splitlines()[0]}") from error
    net.hybridize(static_alloc=True)
    return net, card
