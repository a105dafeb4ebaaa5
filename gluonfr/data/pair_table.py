"""`NAME.pairs.csv` beside `NAME.bin`: what is known of each pair besides its images."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

import numpy as np

from gluonfr.core import GluonFRError, require_file
from gluonfr.core.tables import write_table

PEOPLE = ("identity0", "identity1")
# Columns that name the pair itself.
_OWN = ("line", "first", "second", "issame")
# Names that files of embeddings need for themselves.
_TAKEN = ("file", "embeddings0", "embeddings1", "people_told", "card")
_FLAGS = {"1": True, "true": True, "0": False, "false": False}


@dataclass
class PairTable:
    """What is known of the pairs of a verification set.

    Attributes
    ----------
    people : (N, 2) array of str or int, or None
        Whose the two images of each pair are.
    groups : dict of str to (N,) array of str
        Groupings of the pairs, by the names of their columns.
    known : bool
        False where the people were told from shared images.
    """

    people: np.ndarray | None = None
    groups: dict[str, np.ndarray] = field(default_factory=dict)
    known: bool = True


def table_path(bin_path):
    """`NAME.pairs.csv` of `NAME.bin`."""
    return bin_path[: -len(".bin")] + ".pairs.csv"


def read_pair_table(path, issame):
    """Read the table of a verification set.

    Parameters
    ----------
    path : str
        CSV, a row a pair in the order of the set, names of columns in the first line: `identity0` and `identity1` are the two
        people, `issame` is compared with the set's own, `line`, `first` and `second` are passed over, and every other column
        is a grouping. Or LFW's `pairs.txt`, which names the people.
    issame : sequence of bool
        Of the set.

    Returns
    -------
    PairTable

    Raises
    ------
    GluonFRError
        The file is missing or damaged, has another number of rows than the set has pairs, or contradicts `issame`.
    """
    names, rows = read_columns(path)
    if len(rows) != len(issame):
        raise GluonFRError(
            f"{path} has {len(rows)} rows for {len(issame)} pairs; it belongs to another set, or is out of date."
        )
    columns = {name: np.array(column) for name, column in zip(names, zip(*(row for _, row in rows)))}
    if "issame" in columns:
        for (line, _), value, same in zip(rows, columns["issame"].tolist(), issame):
            if _FLAGS.get(value.lower()) is not bool(same):
                raise GluonFRError(f"{path}: line {line} says issame {value}, the set says {int(same)}; it is out of date.")
    if (PEOPLE[0] in columns) != (PEOPLE[1] in columns):
        raise GluonFRError(f"{path} has only one of the columns {' and '.join(PEOPLE)}; add the other or leave both out.")
    people = np.stack([columns[name] for name in PEOPLE], axis=1) if PEOPLE[0] in columns else None
    groups = {name: column for name, column in columns.items() if name not in (*PEOPLE, *_OWN)}
    taken = sorted(set(groups) & set(_TAKEN))
    if taken:
        raise GluonFRError(f"{path}: a grouping cannot be called {taken[0]}; rename the column.")
    return PairTable(people, groups)


def write_pair_table(path, issame, columns) -> None:
    """Write a set's table, whole or not at all.

    Parameters
    ----------
    path : str
        See `table_path`.
    issame : sequence of bool, (N,)
    columns : dict of str to sequence, (N,)
    """
    rows = zip((int(same) for same in issame), *columns.values())
    write_table(path, ["issame", *columns], rows)


def read_columns(path):
    """The columns of a table: names, and rows of (line, list of str), lines numbered from 1."""
    path, rows = _rows(path)
    if isinstance(rows, str):
        return list(PEOPLE), _lfw_people(path, rows.split("\n"))
    (_, names), rows = rows[0], rows[1:]
    if len(names) == 1 and ";" in names[0]:
        raise GluonFRError(f"{path}: its columns are parted by semicolons; part them by commas.")
    if len(set(names)) < len(names) or not all(names):
        raise GluonFRError(f"{path}: the first line must name each column once, got {','.join(names)}; correct it.")
    wrong = next((line for line, row in rows if len(row) != len(names)), None)
    if wrong:
        raise GluonFRError(f"{path}: line {wrong} has not {len(names)} columns as the first line has; correct it.")
    return names, rows


def listed_columns(path):
    """What a list of pairs (`pairing.read_pair_list`) says besides the pairs: names of columns, and their values by line."""
    _, rows = _rows(path)
    if not isinstance(rows, str) and len(rows[0][1]) <= 3:
        return [], {}
    names, rows = read_columns(path)
    own = 0 if tuple(names) == PEOPLE else 3
    return names[own:], {line: row[own:] for line, row in rows}


def _rows(path):
    """The path, and rows of (line, cells) of a CSV; the text itself where it has LFW's format."""
    path = require_file(path, "table of pairs")
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        text = file.read()
    # A name may hold a comma in LFW's format, but no name holds a tab.
    if any("\t" in line for line in text.split("\n")[:2]):
        return path, text
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise GluonFRError(f"{path}: line {reader.line_num} is no CSV ({error}); correct it.") from error
    if not rows:
        raise GluonFRError(f"{path} holds no rows; give one a pair, below the names of the columns.")
    return path, rows


def _lfw_people(path, lines):
    rows = []
    for number, line in enumerate(lines, 1):
        cells = [cell.strip() for cell in line.split("\t")]
        if not line.strip() or (len(cells) <= 2 and all(cell.isdecimal() for cell in cells)):
            continue
        if len(cells) not in (3, 4):
            raise GluonFRError(
                f"{path}: line {number} is not name, n, m or name, n, other name, m, parted by tabs; correct it."
            )
        rows.append((number, [cells[0], cells[0] if len(cells) == 3 else cells[2]]))
    return rows
