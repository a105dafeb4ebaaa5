"""The sets below a root: `NAME/train.rec` is a training set, `NAME.bin` a verification set."""

from __future__ import annotations

import difflib
import os
from typing import Any

from gluonfr.core import DEFAULT_ROOT, DataError, UsageError, absolute_path

_NAMES_SHOWN = 40
_HOW_TO_NAME = "give the name of a set below the root, a .rec, a folder with train.rec, or a .bin"


def is_training(name: Any, root: str) -> bool:
    """Return whether `name` is a training set below `root`, or the path of one.

    Examples
    --------
    >>> import tempfile
    >>> is_training("emore", tempfile.mkdtemp())
    False
    """
    return isinstance(name, str) and bool(name.strip("/.")) and any(map(os.path.isfile, _paths(name, root)["training"]))


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


def find_set(name: str, root: str, kind: str = "") -> str:
    """Return the path of a set's file.

    Parameters
    ----------
    name : str
        The set's name, such as "emore" or "emore/lfw", or else the path of a `.rec`, of a folder with `train.rec` or
        `val_data.bin`, or of a `.bin`.
    root : str
        Folder of the sets.
    kind : {'training', 'verification', ''}
        Find the `train.rec` of a training set, or the `.bin` of a verification set, or by default any of the two.

    Raises
    ------
    DataError
        The root or the set is missing; the message lists the sets below the root.

    Examples
    --------
    >>> find_set("emore", "~/.mxnet/datasets/face", "training")  # doctest: +SKIP
    '/home/ada/.mxnet/datasets/face/emore/train.rec'
    """
    if not isinstance(name, str) or not name.strip("/."):
        raise UsageError(f"the name of a data set must be a non-empty string, got {name!r}; {_available(_root_folder(root))}")
    paths = _paths(name, root)
    for path in paths[kind] if kind else [*paths["training"], *paths["verification"]]:
        if os.path.isfile(path):
            return path
    if os.path.isabs(name) or name.startswith((".", "~")) or name.endswith((".rec", ".bin")):
        raise DataError(f"{absolute_path(name)} is missing or not a {kind or 'training or verification'} set: {_HOW_TO_NAME}.")
    others = [other for other in paths if other != kind and any(map(os.path.isfile, paths[other]))]
    if not others and os.path.exists(name):
        raise DataError(f"{absolute_path(name)} is not a {kind or 'training or verification'} set: {_HOW_TO_NAME}.")
    folder = _root_folder(root)
    if others:
        use = {"training": "FRTrainRecordDataset", "verification": "FRValDataset"}[others[0]]
        missing = paths[kind][-1 if os.path.isabs(name) else len(paths[kind]) // 2 - 1]
        raise DataError(f"{folder}: {name!r} is a {others[0]} set and has no {kind} file ({missing}); use {use}.")
    raise DataError(f"{folder} has no data set {name!r}; {_available(folder, name)}")


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
    folder = absolute_path(root)
    if not os.path.isdir(folder):
        raise DataError(f"{folder}: the root of the data sets does not exist; give the folder that holds them as root.")
    return folder


def _paths(name: str, root: str) -> dict[str, list[str]]:
    """Return the files that a name may mean, by kind: below the root first, then as a path."""
    below, here = (os.path.join(absolute_path(folder), os.path.expanduser(name)) for folder in (root, os.curdir))
    paths = {
        "training": [os.path.join(folder, "train.rec") for folder in (below, here)],
        "verification": [file for folder in (below, here) for file in (f"{folder}.bin", os.path.join(folder, "val_data.bin"))],
    }
    for ending, kind in ((".rec", "training"), (".bin", "verification")):
        if name.endswith(ending):
            paths[kind] += [below, here]
    return paths


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


def _available(folder: str, name: str = "") -> str:
    names = _names(folder)
    if os.path.isfile(os.path.join(folder, "train.rec")):
        parent, name = os.path.split(folder)
        return f"the folder itself is a training set: use {name!r} as name and {parent} as root."
    if not names:
        return "the root is empty: give the folder that holds NAME/train.rec or NAME.bin as root."
    nearest = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    return f"{hint}available are {', '.join(names[:_NAMES_SHOWN])}{more}; name one of them or give another root."
