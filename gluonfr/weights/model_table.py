"""The networks with weights on this machine, and what is known about them."""

from __future__ import annotations

import logging
import os
import re
from dataclasses import dataclass

from gluonfr.core import DEFAULT_MODELS, Card, GluonFRError
from gluonfr.model_zoo.complexity import complexity
from gluonfr.weights.dlib import DLIB_NETWORK, find_packaged_weights, store_packaged_weights
from gluonfr.weights.saved import CARD, PARAMETERS, network_of_card

MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_log = logging.getLogger(__name__)


def list_stored_models(root: str = DEFAULT_MODELS) -> dict[str, Card]:
    """Return the cards of the stored models by name; folders with an unreadable card are logged and left out.

    Examples
    --------
    >>> list_stored_models("no_such_folder")
    {}
    """
    root = os.path.expanduser(root)
    cards = {}
    for name in sorted(os.listdir(root)) if os.path.isdir(root) else ():
        folder = os.path.join(root, name)
        if not MODEL_NAME.fullmatch(name) or not os.path.isfile(os.path.join(folder, PARAMETERS)):
            continue
        try:
            cards[name] = Card.read(os.path.join(folder, CARD))
        except GluonFRError as error:
            _log.warning("%s", error)
    return cards


@dataclass(frozen=True)
class PretrainedModel:
    """Facts about a stored model.

    Attributes
    ----------
    network : str
        Its architecture: a name of `list_models()`.
    parameters, multiply_adds : int
        Number of parameters, and multiply-adds of one image.
    lfw : float or None
        Accuracy on LFW, 0 to 1, as its authors published it.
    license : str
        License of the weights.

    Examples
    --------
    >>> PretrainedModel("mobilefacenet", 1_003_264, 220_965_376, 0.995, "not stated").lfw
    0.995
    """

    network: str
    parameters: int
    multiply_adds: int
    lfw: float | None
    license: str


class PretrainedModels(list):
    """Names of stored models, sorted; prints as a table.

    Parameters
    ----------
    details : dict of str to PretrainedModel
        Facts about the models by name.

    Examples
    --------
    >>> PretrainedModels({"y1": PretrainedModel("mobilefacenet", 1_003_264, 220_965_376, 0.995, "not stated")})
    name  network        parameters  multiply-adds  LFW     license
    y1    mobilefacenet  1.00 M      0.221 G        0.9950  not stated
    """

    def __init__(self, details: dict[str, PretrainedModel]) -> None:
        super().__init__(sorted(details))
        self.details = details

    def __repr__(self) -> str:
        if not self.details:
            return "no model is stored"
        rows = [("name", "network", "parameters", "multiply-adds", "LFW", "license")]
        for name in self:
            model = self.details[name]
            counts = f"{model.parameters / 1e6:.2f} M", f"{model.multiply_adds / 1e9:.3f} G"
            rows.append((name, model.network, *counts, "-" if model.lfw is None else f"{model.lfw:.4f}", model.license))
        widths = [max(map(len, column)) for column in zip(*rows)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)

    __str__ = __repr__


def list_pretrained_models(root: str = DEFAULT_MODELS) -> PretrainedModels:
    """Return the names of the networks with weights on this machine; the list prints as a table of what is known about them.

    The network `dlib_resnet29` is stored first where the package with its weights is installed.

    Parameters
    ----------
    root : str, default '~/.mxnet/models/face'
        Folder of the stored models.

    Examples
    --------
    >>> from gluonfr import list_models
    >>> list_models(pretrained=True)  # doctest: +SKIP
    name           network        parameters  multiply-adds  LFW     license
    dlib_resnet29  dlib_resnet29  5.61 M      0.271 G        0.9938  CC0-1.0 (public domain)
    """
    if DLIB_NETWORK not in list_stored_models(root) and find_packaged_weights():
        store_packaged_weights(root)
    return PretrainedModels({name: _describe(name, card) for name, card in list_stored_models(root).items()})


def _describe(name: str, card: Card) -> PretrainedModel:
    counts = complexity(network_of_card(card, name), card.image_size)
    published = card.extra.get("published")
    lfw = published.get("LFW") if isinstance(published, dict) else None
    return PretrainedModel(card.network, *counts, lfw if isinstance(lfw, float) else None, card.license)
