"""`identities.csv`: the names of the labels, beside a `train.rec` or in a folder of people."""

from __future__ import annotations

import os
from typing import Any, Iterable

import numpy as np

from gluonfr.core import DataError, UsageError
from gluonfr.core.tables import read_table, write_table

FILE_NAME = "identities.csv"
_HEADER = ["label", "name", "images"]


def person_names(values: Any, what: str) -> np.ndarray:
    """Convert labels of people to text: whole numbers to their digits, bytes to UTF-8.

    Parameters
    ----------
    values : array_like
        Of integers, text or bytes, any shape.
    what : str
        What names the values in the message.

    Returns
    -------
    np.ndarray
        Text of the same shape.

    Raises
    ------
    UsageError
        The values are of another type, such as floats.

    Examples
    --------
    >>> person_names([7, 12], "labels").tolist()
    ['7', '12']
    """
    values = np.asarray(values)
    if values.dtype.kind == "S":
        return np.array([value.decode("utf-8", "backslashreplace") for value in values.ravel()], dtype=np.str_).reshape(
            values.shape
        )
    if values.dtype.kind not in "iuU":
        raise UsageError(f"{what} have type {values.dtype}; name people by text or whole numbers.")
    return values.astype(np.str_)


def write_identities(folder: str, rows: Iterable[tuple[Any, str, Any]]) -> None:
    """Write FOLDER/identities.csv.

    Parameters
    ----------
    folder : str
        An existing folder.
    rows : iterable of (label, name, number of images)
        Names are written as UTF-8. Bytes of a file name that are not valid UTF-8 are written unchanged.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> write_identities(folder, [(0, "Ada", 12)])
    >>> read_identities(folder)
    {0: 'Ada'}
    """
    write_table(os.path.join(folder, FILE_NAME), _HEADER, rows)


def read_identities(folder: str) -> dict[int, str] | None:
    """Read FOLDER/identities.csv.

    Parameters
    ----------
    folder : str
        The folder of the set.

    Returns
    -------
    dict of int to str, or None
        Names by label; None when the folder has no such file.

    Raises
    ------
    DataError
        The file is damaged or has another format.

    Examples
    --------
    >>> read_identities("/a/folder/without/the/file") is None
    True
    """
    path = os.path.join(folder, FILE_NAME)
    try:
        rows = read_table(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); correct or delete it.") from error
    if not rows or rows[0][1][:2] != _HEADER[:2]:
        raise DataError(f"{path}: the first line is not {','.join(_HEADER)}; correct or delete it.")
    names: dict[int, str] = {}
    for number, row in rows[1:]:
        label = parse_label(row[0]) if len(row) >= 2 else None
        if label is None or label in names:
            raise DataError(
                f"{path}: line {number} is not label,name,images, or repeats an earlier label; correct or delete it."
            )
        names[label] = row[1]
    return names


def parse_label(text: str) -> int | None:
    """Parse a label of at most 18 decimal digits; return None for any other text.

    Examples
    --------
    >>> parse_label("17"), parse_label("-1"), parse_label("1e3")
    (17, None, None)
    """
    # isdecimal() alone accepts digits of other scripts, which int() reads too.
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None
