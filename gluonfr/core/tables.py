"""Tables of text: CSV files of ours, and lists that people and spreadsheet programs write in many forms."""

from __future__ import annotations

import codecs
import csv
import io
from typing import Any, Iterable

from gluonfr.core.errors import DataError
from gluonfr.core.files import atomic_file
from gluonfr.core.paths import PathLike, display_path
from gluonfr.core.reading import csv_rows, read_table_bytes


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


def read_table(path: PathLike, spaces: bool = False) -> list[tuple[int, list[str]]]:
    r"""Read the cells of a table whose form is not known.

    The text may be UTF-8, with or without a byte order mark, or UTF-16 with one, with the line ends of any system. Cells are
    separated by tabs, semicolons or commas, whichever divides the first two lines into more cells.

    Parameters
    ----------
    path : path
    spaces : bool, default False
        Whether a line without such separators is divided at its spaces.

    Returns
    -------
    list of (int, list of str)
        Number of the line, from 1, and its cells without spaces at their ends, of each line that is not empty. Bytes that are
        not UTF-8 are surrogate escapes.

    Raises
    ------
    DataError
        The text has another encoding, or is not CSV.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "people.csv"
    >>> _ = path.write_bytes("name;photos\r\nM\u00fcller, A.;3\r\n".encode("utf-16"))
    >>> read_table(path)
    [(1, ['name', 'photos']), (2, ['M\xfcller, A.', '3'])]
    """
    content = read_table_bytes(path)
    try:
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16") if wide else content.decode("utf-8-sig", "surrogateescape")
    except UnicodeDecodeError as error:
        raise DataError(f"{display_path(path)} is neither UTF-8 nor UTF-16 ({error}). Save it as UTF-8.") from error
    separator = _separator(text)
    if separator is None and spaces:
        lines = enumerate(io.StringIO(text, newline=None), 1)
        return [(number, line.split()) for number, line in lines if line.strip()]
    # In lists with tabs a name may contain a quotation mark.
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    found = csv_rows(io.StringIO(text, newline=""), display_path(path), delimiter=separator or ",", quoting=quoting)
    rows = [(line, [cell.strip() for cell in row]) for line, row in found]
    return [(line, cells) for line, cells in rows if any(cells)]


def _separator(text: str) -> str | None:
    lines = [line for line in text[:100_000].splitlines() if line.strip()][:2]
    counts = {mark: min((line.count(mark) for line in lines), default=0) for mark in "\t;,"}
    most = max(counts.values())
    if not most:
        # LFW's first line may be a single number.
        return next((mark for mark in counts if any(mark in line for line in lines)), None)
    return next(mark for mark, count in counts.items() if count == most)
