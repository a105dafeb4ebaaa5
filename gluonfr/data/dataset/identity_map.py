from __future__ import annotations

import logging
from typing import Mapping

from gluonfr.core import DataError, require_file
from gluonfr.core.reading import csv_rows
from gluonfr.data.identities import parse_label

logger = logging.getLogger(__name__)

_HEADER = ["dataset", "label", "identity"]


def read_identity_map(path: str, num_classes: Mapping[str, int]) -> dict[str, dict[int, str]]:
    r"""Read the CSV file that names the identity of each label of several sets.

    Parameters
    ----------
    path : str
        CSV file with the columns dataset, label, identity. Rows of other sets are ignored, which is logged.
    num_classes : dict of str to int
        Number of labels of each set.

    Returns
    -------
    dict of str to dict of int to str
        For each set, the identity by label.

    Raises
    ------
    DataError
        The file is missing or damaged, names a label that a set does not have, or names one twice.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("dataset,label,identity\nemore,0,Ada\n")
    ...     file.flush()
    ...     read_identity_map(file.name, {"emore": 1})
    {'emore': {0: 'Ada'}}
    """
    path = require_file(path, "file of identities")
    found: dict[str, dict[int, str]] = {name: {} for name in num_classes}
    others = 0
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv_rows(file, path)
            if next(rows, (0, []))[1] != _HEADER:
                raise DataError(f"{path}: the first line is not {','.join(_HEADER)}; correct it.")
            for line, row in rows:
                if row and row[0] not in found:
                    others += 1
                elif row:
                    _add_row(row, found[row[0]], num_classes[row[0]], f"{path}: line {line}")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); correct it.") from error
    if others:
        logger.info("%s: ignored %d rows of other sets than %s", path, others, ", ".join(found))
    return found


def _add_row(row: list[str], identities: dict[int, str], num_classes: int, where: str) -> None:
    label = parse_label(row[1]) if len(row) == 3 else None
    if label is None or not row[2]:
        raise DataError(f"{where} is not dataset,label,identity with a whole number as label; correct it.")
    if label >= num_classes:
        raise DataError(f"{where}: {row[0]} has no label {label}, its labels are 0 to {num_classes - 1}; correct it.")
    if label in identities:
        raise DataError(f"{where}: label {label} of {row[0]} has a row already; remove one.")
    identities[label] = row[2]
