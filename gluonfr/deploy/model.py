from __future__ import annotations

import os

from gluonfr.core import DEFAULT_MODELS, GluonFRError, require_file
from gluonfr.deploy.graph_network import GraphNetwork
from gluonfr.model_zoo import get_model_list
from gluonfr.weights.dlib import FREE, find_free
from gluonfr.weights.insightface import card_beside
from gluonfr.weights.load import load_any
from gluonfr.weights.store import list_models

_SYMBOL = "-symbol.json"
_FILES = (".onnx", ".params", ".pt", ".pth", ".dat", _SYMBOL)


def load_model(model=None, contexts=None, root=DEFAULT_MODELS):
    """A network with its weights, wherever they come from: `(net, card)`.

    Parameters
    ----------
    model : str, optional
        Name of a stored model; folder of a saved network, such as RUN/best; `X-symbol.json`, `X-0000.params` or X of an MXNet
        checkpoint, whose network is recognized unless `X.card.json` lies beside it, as `gluonfr export` writes it; `.onnx`;
        `.pt` or `.pth` of arcface_torch; dlib's `.dat`. None takes the only stored model; where there is none, the free
        network `dlib_resnet29`.
    contexts : list of Context, optional
        Where the parameters are put; ONNX models run on the CPU.
    root : str, default '~/.mxnet/models/face'
        Where stored models are kept.

    Returns
    -------
    net : Block
        Images (N, 3, H, W), float32 RGB in [0, 1], to embeddings (N, D).
    card : Card

    Raises
    ------
    GluonFRError
        Nothing of that name, or a file that is damaged or not recognized.
    """
    if model is None:
        model = _only(root)
    path = os.path.abspath(os.path.expanduser(os.fspath(model)))
    if os.path.isfile(path + _SYMBOL):
        # What `gluonfr export` was told to write.
        model = path = path + _SYMBOL
    if path.endswith(_FILES):
        require_file(path, "network")
    if path.endswith(".onnx"):
        from gluonfr.deploy.onnx_network import load_onnx

        return load_onnx(path)
    card = card_beside(path) if path.endswith((_SYMBOL, ".params")) else None
    if card:
        return GraphNetwork(path, card, contexts), card
    if (
        str(model) in get_model_list()
        and str(model) != FREE
        and not os.path.exists(path)
        and str(model) not in list_models(root)
    ):
        raise GluonFRError(
            f"{model} is a network without weights: give a folder or file with trained ones, or store some under that name "
            "with `gluonfr models --add PATH --name NAME`."
        )
    return load_any(model, ctx=contexts, root=root)


def _only(root):
    """The stored model; the free network counts only where there is no other, because it may have been stored unasked."""
    stored = list(list_models(root))
    own = [name for name in stored if name != FREE]
    if len(own) == 1:
        return own[0]
    if own:
        raise GluonFRError(f"no model is named and {', '.join(stored)} are stored under {root}; say which with --model.")
    if stored or find_free():
        return FREE
    raise GluonFRError(
        f"no model is named and none is stored under {root}; say which with --model, "
        'or run `pip install ".[free]"` in the checkout for one that anybody may use.'
    )
