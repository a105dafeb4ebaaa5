from __future__ import annotations

import csv
from typing import Any, Iterable

from gluonfr.core.files import atomic_file
from gluonfr.core.paths import PathLike


def write_table(path: PathLike, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    r"""Write a CSV file in UTF-8; bytes of file names that are not UTF-8 are written unchanged.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "people.csv"
    >>> write_table(path, ["id", "name"], [[1, "Ann"]])
    >>> path.read_text()
    'id,name\n1,Ann\n'
    """
    with atomic_file(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
