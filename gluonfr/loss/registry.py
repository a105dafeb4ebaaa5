"""The losses by name."""

from __future__ import annotations

import inspect
from typing import Any

from gluonfr.core import Registry, UsageError

LOSSES = Registry("loss")


def get_loss(name: str, classes: int | None = None, embedding_size: int | None = None, **kwargs: Any) -> Any:
    """Build a loss by its name.

    Parameters
    ----------
    name : str
        Name of a class or one of its usual aliases ("ArcLoss", "arcface", "arc"); case and dashes do not matter.
    classes, embedding_size : int, optional
        Numbers of the training set and the network; passed on to the losses that need them.
    **kwargs
        Arguments of the loss.

    Returns
    -------
    FRLoss

    Raises
    ------
    UsageError
        For an unknown name (the message lists the known ones) or an argument that the loss does not have.

    Examples
    --------
    >>> get_loss("arcface", classes=10, m=0.4)
    ArcLoss(classes=10, m=0.4, s=64, easy_margin=False, dtype='float32')
    """
    loss = LOSSES.get(name)
    known = inspect.signature(loss).parameters
    for key, value in (("classes", classes), ("embedding_size", embedding_size)):
        if key in known and value is not None:
            kwargs[key] = value
    for key in kwargs:
        if key not in known and key not in ("prefix", "params"):
            names = ", ".join(name for name in known if name != "kwargs")
            raise UsageError(f"{loss.__name__} has no argument {key!r}; it has {names}.")
    missing = [k for k, p in known.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and k not in kwargs]
    if missing:
        raise UsageError(f"{loss.__name__} needs {' and '.join(missing)}; pass it to get_loss.")
    return loss(**kwargs)


def list_losses() -> list[str]:
    """Return the names of all losses, sorted.

    Examples
    --------
    >>> "ArcLoss" in list_losses()
    True
    """
    return LOSSES.names()


def get_loss_list() -> list[str]:
    """Return the names of all losses, sorted; gluon-face's name of `list_losses`.

    Examples
    --------
    >>> get_loss_list() == list_losses()
    True
    """
    return list_losses()
