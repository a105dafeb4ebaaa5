import json
import os

import mxnet as mx

from gluonfr.core import GluonFRError
from gluonfr.model_zoo import get_model

PARAMETERS, CARD = "network.params", "card.json"


def save_network(net, folder, card):
    """Write a network's parameters and its card into an existing folder.

    Parameters
    ----------
    net : HybridBlock
    folder : str
    card : dict
        `network` (a name of the zoo) and `arguments` (of `get_model`), from which `load_network` builds it again; what else
        it holds is kept.
    """
    net.save_parameters(os.path.join(folder, PARAMETERS))
    with open(os.path.join(folder, CARD), "w", encoding="utf-8") as file:
        json.dump(card, file, indent=1)
        file.write("\n")


def load_network(folder, contexts=None):
    """The network that `save_network` wrote into `folder`: `(net, card)`, ready for images, without classifier.

    Raises
    ------
    GluonFRError
        The folder lacks a file, or the parameters belong to another network.
    """
    paths = [os.path.join(os.path.expanduser(folder), name) for name in (CARD, PARAMETERS)]
    for path in paths:
        if not os.path.isfile(path):
            raise GluonFRError(f"{path} is missing: give the folder that a training wrote, such as RUN/best.")
    try:
        with open(paths[0], encoding="utf-8") as file:
            card = json.load(file)
        net = get_model(card["network"], **card["arguments"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise GluonFRError(f"{paths[0]} is no network's card ({error!r}); train again or restore it.") from error
    try:
        net.load_parameters(paths[1], ctx=contexts or mx.cpu())
    except (AssertionError, ValueError, mx.base.MXNetError) as error:
        raise GluonFRError(f"{paths[1]} does not fit {card['network']}: {str(error).splitlines()[0]}") from error
    net.hybridize(static_alloc=True)
    return net, card
