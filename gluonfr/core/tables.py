from __future__ import annotations

import csv

from gluonfr.core.files import atomic_file


def write_table(path, header, rows) -> None:
    """A CSV file, UTF-8; bytes of file names that are none are written as they are."""
    with atomic_file(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
