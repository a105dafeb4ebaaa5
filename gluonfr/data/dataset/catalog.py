"""The sets below a root: `NAME/train.rec` is a training set, `NAME.bin` a verification set."""

from __future__ import annotations

import os
from typing import Any

from gluonfr.core import DEFAULT_ROOT, DataError, UsageError

_NAMES_SHOWN = 40


def is_training(name: Any, root: str) -> bool:
    """Return whether `name` is a training set below `root`.

    Examples
    --------
    >>> import tempfile
    >>> is_training("emore", tempfile.mkdtemp())
    False
    """
    return isinstance(name, str) and os.path.isfile(_training_path(name, _root_folder(root)))


def training_names(name: str | list[str] | tuple[str, ...], root: str) -> list[str]:
    """Split the name of a training set into the names of its members: "a,b" or a list names several.

    Examples
    --------
    >>> import tempfile
    >>> training_names("emore, celeb", tempfile.mkdtemp())
    ['emore', 'celeb']
    """
    if isinstance(name, (list, tuple)):
        return list(name)
    if isinstance(name, str) and "," in name and not is_training(name, root):
        return [part.strip() for part in name.split(",")]
    return [name]


def find_set(name: str, root: str, kind: str) -> str:
    """Return the path of a set's file.

    Parameters
    ----------
    name : str
        The set's name, such as "emore" or "emore/lfw".
    root : str
        Folder of the sets.
    kind : {'training', 'verification'}
        Find the `train.rec` of a training set, or the `.bin` of a verification set.

    Raises
    ------
    DataError
        The root or the set is missing; the message lists the sets below the root.

    Examples
    --------
    >>> find_set("emore", "~/.mxnet/datasets/face", "training")  # doctest: +SKIP
    '/home/ada/.mxnet/datasets/face/emore/train.rec'
    """
    folder = _root_folder(root)
    if not isinstance(name, str) or not name.strip("/."):
        raise UsageError(f"a data set is found by its name, got {name!r}; {_available(folder)}")
    paths = {"training": [_training_path(name, folder)], "verification": _verification_paths(name, folder)}
    for path in paths[kind]:
        if os.path.isfile(path):
            return path
    (other,) = set(paths) - {kind}
    if any(os.path.isfile(path) for path in paths[other]):
        use = {"training": "FRTrainRecordDataset", "verification": "FRValDataset"}[other]
        raise DataError(f"{folder}: {name!r} is a {other} set and has no {kind} file ({paths[kind][-1]}); use {use}.")
    raise DataError(f"{folder}: has no data set {name!r}; {_available(folder)}")


def list_recognition_datasets(root: str = DEFAULT_ROOT) -> list[str]:
    """List the names below `root` that `get_recognition_dataset` accepts.

    Parameters
    ----------
    root : str, default '~/.mxnet/datasets/face'
        Folder of the sets.

    Returns
    -------
    list of str
        Sorted, such as ["celeb", "celeb/lfw", "lfw"].

    Examples
    --------
    >>> import tempfile
    >>> list_recognition_datasets(tempfile.mkdtemp())
    []
    """
    return _names(_root_folder(root))


def _root_folder(root: str) -> str:
    folder = os.path.abspath(os.path.expanduser(os.fspath(root)))
    if not os.path.isdir(folder):
        raise DataError(f"{folder}: the root of the data sets does not exist; give the folder that holds them as root.")
    return folder


def _training_path(name: str, folder: str) -> str:
    return os.path.join(folder, name, "train.rec")


def _verification_paths(name: str, folder: str) -> list[str]:
    return [os.path.join(folder, name + ".bin"), os.path.join(folder, name, "val_data.bin")]


def _names(folder: str) -> list[str]:
    names: set[str] = set()
    for entry in os.scandir(folder):
        if not entry.is_dir():
            names.update(_bin_stem(entry))
            continue
        try:
            files = [file for file in os.scandir(entry.path) if file.is_file()]
        except OSError:
            continue
        stems = {stem for file in files for stem in _bin_stem(file)}
        if any(file.name == "train.rec" for file in files):
            names.add(entry.name)
        elif "val_data" in stems:
            stems.remove("val_data")
            names.add(entry.name)
        names.update(f"{entry.name}/{stem}" for stem in stems)
    return sorted(names)


def _bin_stem(entry: os.DirEntry[str]) -> list[str]:
    stem, extension = os.path.splitext(entry.name)
    return [stem] if extension == ".bin" and not stem.startswith(".") else []


def _available(folder: str) -> str:
    names = _names(folder)
    if os.path.isfile(os.path.join(folder, "train.rec")):
        parent, name = os.path.split(folder)
        return f"the folder itself is a training set: use {name!r} as name and {parent} as root."
    if not names:
        return "the root is empty: give the folder that holds NAME/train.rec or NAME.bin as root."
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"available are {', '.join(names[:_NAMES_SHOWN])}{more}; name one of them or give another root."
