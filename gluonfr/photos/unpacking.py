"""Unpacking sets into folders of image files, byte for byte."""

from __future__ import annotations

import csv
import os
from typing import Any

from gluonfr.core import DataError, GluonFRError, new_folder, require_new_folder
from gluonfr.data import images
from gluonfr.data.identities import write_identities
from gluonfr.data.images import extension
from gluonfr.data.operations.source import RecordSource
from gluonfr.data.pairs import read_pairs

PAIRS_FILE = "pairs.csv"
_LONGEST_NAME = 255


def unpack(path: str, out: str | os.PathLike, skip: bool = False) -> dict[int, str]:
    """Write every image of a set as a file of its own, byte for byte.

    A training set becomes one folder per person, named as in the `identities.csv` beside it (or by the label where the names
    are unknown or invalid as folder names), with files numbered in the order of the set, and an `identities.csv` with the
    label of each folder. A verification set becomes one folder of files and a `pairs.csv` (first, second, issame); an image
    that appears in several pairs is written once.

    Parameters
    ----------
    path : path
        A `.rec`, a folder with `train.rec`, or a `.bin`.
    out : path
        A new folder.
    skip : bool, default False
        Leave out damaged images instead of stopping at the first one; of a `.bin`, the whole pair.

    Returns
    -------
    dict of int to str
        What was left out: image (or pair) number -> reason.

    Raises
    ------
    GluonFRError
        The set cannot be read, an image is damaged, or the folder exists.

    Examples
    --------
    >>> unpack("sets/mine", "files/")  # doctest: +SKIP
    {}
    """
    out = require_new_folder(out)
    if os.fspath(path).endswith(".bin"):
        return _unpack_pairs(path, out, skip)
    source = RecordSource(path, skip)
    folders = _folder_names(source)
    counts = dict.fromkeys(folders, 0)
    digits = len(str(len(source.records)))
    numbers = source.numbers()
    order = numbers[source.labels[numbers].argsort(kind="stable")]
    with new_folder(out) as folder:
        for name in folders.values():
            os.mkdir(os.path.join(folder, name))
        for label, payload in source.read(order):
            name = f"{counts[label]:0{digits}d}{extension(payload)}"
            with open(os.path.join(folder, folders[label], name), "xb") as file:
                file.write(payload)
            counts[label] += 1
        write_identities(folder, [(label, name, counts[label]) for label, name in folders.items()])
    return source.left_out


def folder_name_fits(name: str) -> bool:
    """Return whether every common file system allows a folder of that name.

    Examples
    --------
    >>> folder_name_fits("Ann Lee"), folder_name_fits("a/b")
    (True, False)
    """
    encoded = name.encode("utf-8", "surrogateescape")
    return (
        not (name.startswith(".") or name.strip() != name or {"/", "\\", "\0"} & set(name))
        and 0 < len(encoded) <= _LONGEST_NAME
    )


def _folder_names(source: Any) -> dict[int, str]:
    people = source.people.tolist()
    names = [source.name(label) for label in people]
    # Some file systems ignore case.
    distinct = len({name.casefold() for name in names}) == len(names)
    if source.names is None or not distinct or not all(map(folder_name_fits, names)):
        digits = max(6, len(str(people[-1])))
        names = [f"{label:0{digits}d}" for label in people]
    return dict(zip(people, names))


def _unpack_pairs(path: str, out: str, skip: bool) -> dict[int, str]:
    payloads, issame = read_pairs(path)
    left_out: dict[int, str] = {}
    names: dict[bytes, str] = {}
    rows = []
    digits = len(str(len(payloads)))
    with new_folder(out) as folder:
        for i, same in enumerate(issame.tolist()):
            pair = payloads[2 * i : 2 * i + 2]
            try:
                for side, payload in enumerate(pair):
                    images.decode(payload, f"{path}: image {side} of pair {i}")
            except GluonFRError as error:
                if not skip:
                    raise
                left_out[i] = str(error)
                continue
            for payload in pair:
                if payload not in names:
                    names[payload] = f"{len(names):0{digits}d}{extension(payload)}"
                    with open(os.path.join(folder, names[payload]), "xb") as file:
                        file.write(payload)
            rows.append([names[pair[0]], names[pair[1]], int(same)])
        with open(os.path.join(folder, PAIRS_FILE), "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["first", "second", "issame"])
            writer.writerows(rows)
    if not rows:
        raise DataError(f"{path}: no pair can be decoded. Write or fetch it again.")
    return left_out
