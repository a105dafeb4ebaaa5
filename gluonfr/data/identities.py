"""`identities.csv`: whose label is whose, beside a `train.rec` or in a folder of people."""

from __future__ import annotations

import csv
import os

import numpy as np

from gluonfr.core import GluonFRError, atomic_file

FILE_NAME = "identities.csv"
_HEADER = ["label", "name", "images"]


def person_names(values, what):
    """Labels of people as an array of text: whole numbers as their digits, bytes as UTF-8.

    Anything else, such as numbers with a point, which tell nobody, raises GluonFRError.
    """
    values = np.asarray(values)
    if values.dtype.kind == "S":
        return np.array([each.decode("utf-8", "backslashreplace") for each in values.ravel()], dtype=np.str_).reshape(
            values.shape
        )
    if values.dtype.kind not in "iuU":
        raise GluonFRError(f"{what} have type {values.dtype}; people are named by text or whole numbers.")
    return values.astype(np.str_)


def write_identities(folder, rows) -> None:
    """Write FOLDER/identities.csv.

    Parameters
    ----------
    folder : str
    rows : iterable of (label, name, images)
        Names are written as UTF-8; bytes of a file name that are none are written as they are.
    """
    path = os.path.join(folder, FILE_NAME)
    with atomic_file(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows(rows)


def read_identities(folder):
    """Read FOLDER/identities.csv.

    Returns
    -------
    dict
        label -> name, both as written; None when the folder has no such file.
    """
    path = os.path.join(folder, FILE_NAME)
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        return None
    except (OSError, csv.Error) as error:
        raise GluonFRError(f"{path}: cannot be read ({error}); correct or delete it.") from error
    names = {}
    for number, row in enumerate(rows[1:], 2):
        # isdecimal alone admits digits of other scripts, which int() reads too.
        if len(row) < 2 or not (row[0].isascii() and row[0].isdecimal()) or int(row[0]) in names:
            raise GluonFRError(f"{path}: line {number} is not label,name,images with a label of its own; correct or delete it.")
        names[int(row[0])] = row[1]
    if not rows or rows[0][:2] != _HEADER[:2]:
        raise GluonFRError(f"{path}: the first line is not {','.join(_HEADER)}; correct or delete it.")
    return names
