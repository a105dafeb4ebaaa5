"""`NAME.pairs.csv` beside `NAME.bin`: the people and groups of the pairs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

import numpy as np

from gluonfr.core import DataError, require_file
from gluonfr.core.tables import read_table, write_table

PEOPLE = ("identity0", "identity1")
# Columns that name the pair itself.
_PAIR_COLUMNS = ("line", "first", "second", "issame")
# Names that files of embeddings use for their own arrays.
_RESERVED = ("file", "embeddings0", "embeddings1", "people_told", "card")
_FLAGS = {"1": True, "true": True, "0": False, "false": False}


@dataclass
class PairTable:
    """The people and groups of the pairs of a verification set.

    Attributes
    ----------
    people : np.ndarray or None
        (N, 2) of str or int: the two people of each pair.
    groups : dict of str to np.ndarray
        Groupings of the pairs by the names of their columns, each (N,) of str.
    known : bool
        False where the people were inferred from shared images.

    Examples
    --------
    >>> PairTable(np.array([["Ada", "Ben"]]), {"age": np.array(["young"])})
    PairTable(pairs=1, groups=['age'], known=True)
    """

    people: np.ndarray | None = None
    groups: dict[str, np.ndarray] = field(default_factory=dict)
    known: bool = True

    def __repr__(self) -> str:
        pairs = None if self.people is None else len(self.people)
        return f"PairTable(pairs={pairs}, groups={sorted(self.groups)}, known={self.known})"


def table_path(bin_path: str) -> str:
    """Return the path of the table of a `.bin`.

    Examples
    --------
    >>> table_path("sets/lfw.bin")
    'sets/lfw.pairs.csv'
    """
    return bin_path[: -len(".bin")] + ".pairs.csv"


def read_pair_table(path: str, issame: Sequence[bool]) -> PairTable:
    r"""Read the table of a verification set.

    Parameters
    ----------
    path : str
        A table (see `gluonfr.core.tables.read_table`) with the names of the columns in the first line and one row per pair, in
        the order of the set. `identity0`
        and `identity1` are the two people, `issame` is compared with the set's own, `line`, `first` and `second` are ignored,
        and every other column is a grouping. LFW's `pairs.txt`, which names the people, is read too.
    issame : sequence of bool
        Whether the two images of each pair show the same person, from the set.

    Returns
    -------
    PairTable
        The people and groups.

    Raises
    ------
    DataError
        The file is missing or damaged, has another number of rows than the set has pairs, or contradicts `issame`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write("identity0,identity1,age\nAda,Ada,young\n")
    ...     file.flush()
    ...     read_pair_table(file.name, [True])
    PairTable(pairs=1, groups=['age'], known=True)
    """
    names, rows = read_columns(path)
    if len(rows) != len(issame):
        raise DataError(
            f"{path} has {len(rows)} rows for {len(issame)} pairs; it belongs to another set or is outdated: write it again."
        )
    columns = {name: np.array(column) for name, column in zip(names, zip(*(row for _, row in rows)))}
    if "issame" in columns:
        for (line, _), value, same in zip(rows, columns["issame"].tolist(), issame):
            if _FLAGS.get(value.lower()) is not bool(same):
                raise DataError(f"{path}: line {line} has issame {value}, but the set has {int(same)}; it is outdated.")
    if (PEOPLE[0] in columns) != (PEOPLE[1] in columns):
        raise DataError(f"{path} has only one of the columns {' and '.join(PEOPLE)}; add the other or remove both.")
    people = np.stack([columns[name] for name in PEOPLE], axis=1) if PEOPLE[0] in columns else None
    groups = {name: column for name, column in columns.items() if name not in (*PEOPLE, *_PAIR_COLUMNS)}
    reserved = sorted(set(groups) & set(_RESERVED))
    if reserved:
        raise DataError(f"{path}: a grouping cannot be called {reserved[0]}; rename the column.")
    return PairTable(people, groups)


def write_pair_table(path: str, issame: Sequence[bool], columns: Mapping[str, Sequence[Any]]) -> None:
    """Write the table of a set atomically.

    Parameters
    ----------
    path : str
        See `table_path`.
    issame : sequence of bool
        Whether the two images of each pair show the same person, (N,).
    columns : dict of str to sequence
        Further columns, each (N,).

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/tiny.pairs.csv"
    >>> write_pair_table(path, [True], {"identity0": ["Ada"], "identity1": ["Ada"]})
    >>> read_pair_table(path, [True]).people.tolist()
    [['Ada', 'Ada']]
    """
    write_table(path, ["issame", *columns], zip((int(same) for same in issame), *columns.values()))


def read_columns(path: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read the columns of a table: their names, and rows of (line number from 1, cells).

    Examples
    --------
    >>> read_columns("lfw.pairs.csv")  # doctest: +SKIP
    (['issame', 'age'], [(2, ['1', 'young']), (3, ['0', 'old'])])
    """
    path, rows = _read_rows(path)
    if _is_lfw_line(rows[0][1]):
        return list(PEOPLE), _lfw_people(path, rows)
    (_, names), *rows = rows
    if len(set(names)) < len(names) or not all(names):
        raise DataError(f"{path}: the first line must name each column once, got {','.join(names)}; correct it.")
    wrong = next((line for line, row in rows if len(row) != len(names)), None)
    if wrong:
        raise DataError(f"{path}: line {wrong} does not have {len(names)} columns as the first line does; correct it.")
    return names, rows


def listed_columns(path: str) -> tuple[list[str], dict[int, list[str]]]:
    """Read the further columns of a list of pairs (`photos.pair_lists.read_pair_list`): their names, and cells by line.

    Examples
    --------
    >>> listed_columns("pairs.csv")  # doctest: +SKIP
    (['age'], {2: ['young'], 3: ['old']})
    """
    path, rows = _read_rows(path)
    if not _is_lfw_line(rows[0][1]) and len(rows[0][1]) <= 3:
        return [], {}
    names, rows = read_columns(path)
    first = 0 if tuple(names) == PEOPLE else 3
    return names[first:], {line: row[first:] for line, row in rows}


def _read_rows(path: str) -> tuple[str, list[tuple[int, list[str]]]]:
    path = require_file(path, "table of pairs")
    rows = read_table(path, spaces=True)
    if rows and not _is_lfw_line(rows[0][1]):
        # Names of columns may contain spaces.
        rows = read_table(path)
    if not rows:
        raise DataError(f"{path} has no rows; write the names of the columns and one row per pair.")
    return path, rows


def _is_lfw_line(cells: list[str]) -> bool:
    """Return whether a line has the form of LFW's first line, or of one of its pairs."""
    numbers = cells if len(cells) <= 2 else cells[1:] if len(cells) == 3 else cells[1::2]
    return len(cells) <= 4 and all(cell.isdecimal() and len(cell) < 10 for cell in numbers)


def _lfw_people(path: str, lines: list[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
    rows = []
    for place, (number, cells) in enumerate(lines):
        if place == 0 and len(cells) <= 2:
            continue
        if len(cells) < 3 or not _is_lfw_line(cells):
            raise DataError(f"{path}: line {number} is not name, n, m or name, n, other name, m; correct it.")
        rows.append((number, [cells[0], cells[0] if len(cells) == 3 else cells[2]]))
    return rows
