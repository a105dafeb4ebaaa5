from __future__ import annotations

import os

from gluonfr.viz import read_log
from gluonfr.viz.curves import LOG

_NETWORKS = ("best", "last")
_ENDINGS = ("-symbol.json", "-0000.params", ".params", ".onnx", ".pth", ".pt")


def network_of_run(model):
    """The network to take for what a user calls a model, and the log of its training.

    Parameters
    ----------
    model : str
        Anything that `deploy.load_model` takes, or a run folder, which stands for its best network.

    Returns
    -------
    model : str
    rows : list of dict or None
        Of the run's log; None where it is no run.
    """
    folder = os.path.abspath(os.path.expanduser(model))
    if os.path.basename(folder) in _NETWORKS and os.path.isfile(os.path.join(folder, os.pardir, LOG)):
        return folder, read_log(os.path.join(folder, os.pardir, LOG))
    if not os.path.isfile(os.path.join(folder, LOG)):
        return model, None
    kept = [os.path.join(folder, name) for name in _NETWORKS if os.path.isdir(os.path.join(folder, name))]
    return (kept[0] if kept else folder), read_log(os.path.join(folder, LOG))


def labels_of(models):
    """Short names of models for a page: stored names as they are, of a path what tells it apart; None stays."""
    shown = [_short(model) for model in models]
    return [short if shown.count(short) == 1 else model for short, model in zip(shown, models)]


def _short(model):
    if model is None or not os.path.exists(os.path.expanduser(model)):
        return model
    path = os.path.abspath(os.path.expanduser(model))
    folder, name = os.path.split(path)
    if os.path.isdir(path):
        return os.path.basename(folder) if name in _NETWORKS else name
    return next((name[: -len(ending)] for ending in _ENDINGS if name.endswith(ending)), name)


def facts_of(card):
    """What a report says of a network: dict of str to str."""
    facts = {
        "network": card.extra.get("name") or card.network or "a graph from elsewhere",
        "embedding": f"{card.embedding_size} numbers" if card.embedding_size else "",
        "images": "{1}x{0} pixels".format(*card.image_size),
        "trained on": card.trained_on,
        "license": card.license,
    }
    return {name: value for name, value in facts.items() if value}
