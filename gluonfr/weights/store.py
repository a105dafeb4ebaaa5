"""The model store: trained and converted networks by name, one folder `NAME` per network with its parameters and its card."""

from __future__ import annotations

import difflib
import os

from gluonfr.core import DEFAULT_MODELS, PathLike, UsageError, WeightsError, atomic_folder
from gluonfr.core.files import temporary_folder
from gluonfr.core.temporary import remove_leftovers
from gluonfr.weights.load import load_pretrained
from gluonfr.weights.model_table import MODEL_NAME, list_stored_models
from gluonfr.weights.saved import PARAMETERS, save_network


def add_model(name: str, source: PathLike, root: str = DEFAULT_MODELS, network: str | None = None) -> str:
    """Store a network under a name, converted to the format of saved networks, with its card.

    Parameters
    ----------
    name : str
        Letters, digits and . _ + -
    source : str
        A source of `load_weights`: a saved network, Gluon's `.params` (which need `network`), an InsightFace checkpoint, a
        PyTorch state dict.
    root : str, default '~/.mxnet/models/face'
        Folder of the stored models.
    network : str, optional
        Name of the network in the model zoo; default it is recognized.

    Returns
    -------
    str
        The folder, which is written atomically.

    Raises
    ------
    UsageError
        The name is invalid or exists already.
    WeightsError
        The source is missing, damaged or not recognized.

    Examples
    --------
    >>> add_model("y1", "mobilefacenet-y1-symbol.json")  # doctest: +SKIP
    '/home/me/.mxnet/models/face/y1'
    """
    folder = free_stored_folder(name, root)
    net, card = load_pretrained(source, network, root=root)
    with atomic_folder(folder) as written:
        save_network(net, written, card)
    return folder


def find_stored_model(name: str, root: str = DEFAULT_MODELS) -> str:
    """Return the folder of a stored model.

    Raises
    ------
    WeightsError
        No model of that name is stored; the stored ones are listed.

    Examples
    --------
    >>> find_stored_model("y1")  # doctest: +SKIP
    '/home/me/.mxnet/models/face/y1'
    """
    folder = stored_folder(name, root)
    if os.path.isfile(os.path.join(folder, PARAMETERS)):
        return folder
    known = list(list_stored_models(root))
    similar = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {similar[0]!r}? " if similar else ""
    stored = f"stored are {', '.join(known)}" if known else "none is stored; add one with `gluonfr models`"
    raise WeightsError(f"no stored model {name!r} under {root}: {hint}{stored}.")


def remove_model(name: str, root: str = DEFAULT_MODELS) -> None:
    """Remove a stored model.

    Examples
    --------
    >>> remove_model("y1")  # doctest: +SKIP
    """
    # Of a process that was killed while it removed the model.
    remove_leftovers(stored_folder(name, root))
    remove_stored_folder(find_stored_model(name, root))


def remove_stored_folder(folder: str) -> None:
    """Remove the folder of a stored model or detector.

    Examples
    --------
    >>> remove_stored_folder("/home/me/.mxnet/models/face/y1")  # doctest: +SKIP
    """
    # Moved first, so that an interruption never leaves an incomplete model under its name.
    with temporary_folder(folder) as removed:
        os.replace(folder, os.path.join(removed, os.path.basename(folder)))


def free_stored_folder(name: str, root: str = DEFAULT_MODELS) -> str:
    """Return the folder of the stored model of this name, which must not exist.

    Raises
    ------
    UsageError
        The name is invalid or exists already.

    Examples
    --------
    >>> free_stored_folder("y1", "/models")
    '/models/y1'
    """
    folder = stored_folder(name, root)
    if os.path.exists(folder):
        raise UsageError(f"{folder} exists already: remove the stored model {name!r} first, or choose another name.")
    return folder


def stored_folder(name: str, root: str = DEFAULT_MODELS) -> str:
    """Return the folder of the stored model of this name, whether it exists or not.

    Raises
    ------
    UsageError
        The name is invalid.

    Examples
    --------
    >>> stored_folder("y1", "/models")
    '/models/y1'
    """
    if not isinstance(name, str) or not MODEL_NAME.fullmatch(name):
        raise UsageError(
            f"the name of a stored model must begin with a letter or digit and consist of those and . _ + -, got {name!r}."
        )
    return os.path.join(os.path.abspath(os.path.expanduser(root)), name)
