"""Sets as folders of image files, with the very bytes."""

from __future__ import annotations

import csv
import os

from gluonfr.core import GluonFRError, new_folder, require_new_folder
from gluonfr.data import images
from gluonfr.data.identities import write_identities
from gluonfr.data.images import extension
from gluonfr.data.operations.source import RecordSource
from gluonfr.data.pairs import read_pairs

PAIRS_FILE = "pairs.csv"
_LONGEST_NAME = 255


def unpack(path, out, skip=False):
    """Write every image of a set as a file of its own, byte for byte.

    A training set becomes a folder a person, called by the name in `identities.csv` beside it (by the label's digits where
    the names are unknown, or are not fit for folders), with files numbered in the set's order, and an `identities.csv` that
    says which label a folder had. A verification set becomes one folder of files, and a `pairs.csv` (first, second, issame);
    an image that stands in several pairs is written once.

    Parameters
    ----------
    path : str
        A `.rec`, a folder with `train.rec`, or a `.bin`.
    out : str
        A new folder.
    skip : bool, default False
        Leave out damaged images instead of stopping at the first; with a `.bin`, the whole pair.

    Returns
    -------
    dict
        What was left out: image (or pair) number -> why.
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


def _folder_names(source):
    people = source.people.tolist()
    names = [source.name(label) for label in people]
    # Some file systems do not tell capital letters from small ones.
    if source.names is None or len({name.casefold() for name in names}) < len(names) or not all(map(folder_name_fits, names)):
        digits = max(6, len(str(people[-1])))
        names = [f"{label:0{digits}d}" for label in people]
    return dict(zip(people, names))


def folder_name_fits(name):
    """Whether every common file system takes a folder of that name."""
    encoded = name.encode("utf-8", "surrogateescape")
    return (
        not (name.startswith(".") or name.strip() != name or {"/", "\\", "\0"} & set(name))
        and 0 < len(encoded) <= _LONGEST_NAME
    )


def _unpack_pairs(path, out, skip):
    payloads, issame = read_pairs(path)
    left_out, names, rows = {}, {}, []
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
        raise GluonFRError(f"{path}: not one pair decodes; write or fetch it again.")
    return left_out
