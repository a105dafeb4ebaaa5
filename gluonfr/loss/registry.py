from __future__ import annotations

import inspect

from gluonfr.core import GluonFRError, Registry

LOSSES = Registry("loss")


def get_loss(name, classes=None, embedding_size=None, **kwargs):
    """A loss by its name.

    Parameters
    ----------
    name : str
        A class's name or one of its usual aliases ("ArcLoss", "arcface", "arc"); case and dashes do not matter.
    classes, embedding_size : int, optional
        Of the training set and the network; passed on to the losses that need them.
    **kwargs
        The loss's own arguments.

    Raises
    ------
    GluonFRError
        For an unknown name (the known ones are listed) or an argument that the loss does not have.
    """
    loss = LOSSES.get(name)
    known = inspect.signature(loss).parameters
    for key, value in (("classes", classes), ("embedding_size", embedding_size)):
        if key in known and value is not None:
            kwargs[key] = value
    for key in kwargs:
        if key not in known and key not in ("prefix", "params"):
            raise GluonFRError(
                f"{loss.__name__} has no argument {key!r}; it has {', '.join(k for k in known if k != 'kwargs')}."
            )
    missing = [k for k, p in known.items() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD and k not in kwargs]
    if missing:
        raise GluonFRError(f"{loss.__name__} needs {' and '.join(missing)}: pass it to get_loss.")
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
