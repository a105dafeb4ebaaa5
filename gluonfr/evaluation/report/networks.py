"""Networks in a report: the run that a network comes from, its short name, and the facts of its card."""

from __future__ import annotations

import os
from typing import Any, Sequence

from gluonfr.core import Card
from gluonfr.viz import read_log
from gluonfr.viz.curves import LOG

_NETWORKS = ("best", "last")
_ENDINGS = ("-symbol.json", "-0000.params", ".params", ".onnx", ".pth", ".pt")


def network_of_run(model: str) -> tuple[str, list[dict[str, Any]] | None]:
    """Resolve a run folder to its best network and its training log.

    Parameters
    ----------
    model : str
        Anything that `deploy.load_model` accepts, or the folder of a training run.

    Returns
    -------
    model : str
        The network to load.
    rows : list of dict or None
        Rows of the training log; None if the model belongs to no run.

    Examples
    --------
    >>> network_of_run("y1")
    ('y1', None)
    """
    folder = os.path.abspath(os.path.expanduser(model))
    if os.path.basename(folder) in _NETWORKS and os.path.isfile(os.path.join(folder, os.pardir, LOG)):
        return folder, read_log(os.path.join(folder, os.pardir, LOG))
    if not os.path.isfile(os.path.join(folder, LOG)):
        return model, None
    saved = [os.path.join(folder, name) for name in _NETWORKS if os.path.isdir(os.path.join(folder, name))]
    return (saved[0] if saved else folder), read_log(os.path.join(folder, LOG))


def short_names(models: Sequence[str | None]) -> list[str | None]:
    """Return names of models for a page: names of files without folder and ending, unless two would be equal.

    Examples
    --------
    >>> short_names(["y1", None])
    ['y1', None]
    """
    shown = [_short_name(model) for model in models]
    return [short if shown.count(short) == 1 else model for short, model in zip(shown, models)]


def _short_name(model: str | None) -> str | None:
    if model is None or not os.path.exists(os.path.expanduser(model)):
        return model
    path = os.path.abspath(os.path.expanduser(model))
    folder, name = os.path.split(path)
    if os.path.isdir(path):
        return os.path.basename(folder) if name in _NETWORKS else name
    return next((name[: -len(ending)] for ending in _ENDINGS if name.endswith(ending)), name)


def card_facts(card: Card) -> dict[str, str]:
    """Return the facts of a card that a report shows.

    Examples
    --------
    >>> card_facts(Card(network="mobilefacenet", embedding_size=128, license="CC0"))["embedding"]
    '128 numbers'
    """
    facts = {
        "network": card.extra.get("name") or card.network or "imported graph",
        "embedding": f"{card.embedding_size} numbers" if card.embedding_size else "",
        "images": "{1}x{0} pixels".format(*card.image_size),
        "trained on": card.trained_on,
        "license": card.license,
    }
    return {name: value for name, value in facts.items() if value}
