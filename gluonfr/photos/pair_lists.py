"""Reading lists of pairs of photos: CSV, and the format of LFW's `pairs.txt`."""

from __future__ import annotations

import os
from typing import NamedTuple

from gluonfr.core import DataError, display_path, require_file
from gluonfr.core.tables import read_table
from gluonfr.photos.find import person_name

_FLAGS = {"1": True, "true": True, "0": False, "false": False}
_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_CSV_FORM = "first,second,issame with issame 1 or 0"
_LFW_FORM = "name, n, m or name, n, other name, m"


class ListedPair(NamedTuple):
    """One pair of a list: number of the line, from 1, the paths of the two photos, and whether they show one person.

    Examples
    --------
    >>> ListedPair(1, "ann/1.jpg", "ann/2.jpg", True).issame
    True
    """

    line: int
    first: str
    second: str
    issame: bool


def read_pair_list(path: str | os.PathLike, folder: str | os.PathLike) -> list[ListedPair]:
    r"""Read a list of pairs.

    The cells of a line are separated by commas, tabs, semicolons or spaces; the text is UTF-8 or UTF-16, with any line ends.

    Parameters
    ----------
    path : path
        Either lines `first,second,issame`: two files, in `folder` unless their paths are absolute, and 1 or 0 (or true,
        false). A first line with the names of the columns is skipped, and may name further columns. Or the format of LFW's
        `pairs.txt`: `name n m` for two photos of one person, `name n other m` for photos of two people; photo n of NAME is the
        file NAME/NAME_000n.jpg (or .png, ...).
    folder : path
        The folder of the photos.

    Returns
    -------
    list of ListedPair

    Raises
    ------
    DataError
        The list is missing or empty, a line has another form, or LFW's first line declares another number of pairs.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
    ...     _ = file.write("a.jpg,b.jpg,1\n")
    ...     file.flush()
    ...     read_pair_list(file.name, "/photos")
    [ListedPair(line=1, first='/photos/a.jpg', second='/photos/b.jpg', issame=True)]
    """
    path = require_file(path, "list of pairs")
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    rows = read_table(path, spaces=True)
    if not rows:
        raise DataError(f"{display_path(path)} contains no pairs. Write first,second,issame on each line.")
    photos = _PhotoFolder(folder)
    lfw = _is_lfw_header(rows[0][1]) or any(_lfw_pair(line, cells, photos) for line, cells in rows[:2])
    pairs = _read_lfw(path, rows, photos) if lfw else _read_csv(path, rows, photos)
    if not pairs:
        raise DataError(f"{display_path(path)} contains no pairs. Write first,second,issame on each line.")
    return pairs


class _PhotoFolder:
    """Finds listed photos in a folder, also where the list writes their names in another form of Unicode."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        # Names by their normalized form, of the folders that were looked into.
        self._names: dict[str, dict[str, str]] = {}

    def find(self, name: str) -> str:
        """Return the path of a photo; backslashes separate folders if there is no such file."""
        path = os.path.join(self._folder, name)
        if "\\" in name and not os.path.exists(path):
            path = os.path.join(self._folder, name.replace("\\", "/"))
        return path if os.path.exists(path) else self._find_normalized(path)

    def find_numbered(self, name: str, number: str) -> str:
        """Return the path of photo `number` of a person, with the ending that it has."""
        stem = os.path.join(name, f"{name}_{int(number):04d}")
        endings = [case(ending) for ending in _EXTENSIONS for case in (str, str.upper)]
        paths = (self.find(stem + ending) for ending in endings)
        return next(filter(os.path.exists, paths), os.path.join(self._folder, stem + _EXTENSIONS[0]))

    def _find_normalized(self, path: str) -> str:
        if not path.startswith(self._folder + os.sep):
            return path
        found = self._folder
        for part in path[len(self._folder) + 1 :].split(os.sep):
            if found not in self._names:
                names = os.listdir(found) if os.path.isdir(found) else []
                self._names[found] = {person_name(name): name for name in names}
            if person_name(part) not in self._names[found]:
                return path
            found = os.path.join(found, self._names[found][person_name(part)])
        return found


def _read_csv(path: str, rows: list[tuple[int, list[str]]], photos: _PhotoFolder) -> list[ListedPair]:
    pairs: list[ListedPair] = []
    columns = 3
    for line, cells in rows:
        issame = _FLAGS.get(cells[2].lower()) if len(cells) == columns else None
        if issame is None or not cells[0] or not cells[1]:
            # Names of columns, unless it is a pair with an invalid flag.
            if not pairs and line == 1 and len(cells) >= 3 and not os.path.exists(photos.find(cells[0])):
                columns = len(cells)
                continue
            raise _wrong_line(path, line, _CSV_FORM)
        pairs.append(ListedPair(line, photos.find(cells[0]), photos.find(cells[1]), issame))
    return pairs


def _read_lfw(path: str, rows: list[tuple[int, list[str]]], photos: _PhotoFolder) -> list[ListedPair]:
    pairs: list[ListedPair] = []
    declared = None
    for place, (line, cells) in enumerate(rows):
        pair = _lfw_pair(line, cells, photos)
        if pair:
            pairs.append(pair)
        elif place == 0 and _is_lfw_header(cells):
            # Folds and pairs of each kind per fold, or pairs of each kind alone.
            declared = 2 * int(cells[0]) * (int(cells[1]) if len(cells) == 2 else 1)
        else:
            raise _wrong_line(path, line, _LFW_FORM)
    if declared is not None and len(pairs) != declared:
        raise DataError(
            f"{display_path(path)}: its first line declares {declared} pairs, and {len(pairs)} follow; it is truncated. "
            "Fetch it again."
        )
    return pairs


def _is_lfw_header(cells: list[str]) -> bool:
    return len(cells) <= 2 and all(cell.isdecimal() and len(cell) < 10 for cell in cells)


def _lfw_pair(line: int, cells: list[str], photos: _PhotoFolder) -> ListedPair | None:
    """Return the pair of a line in LFW's format, None where it has another form."""
    numbers = cells[1:] if len(cells) == 3 else cells[1::2]
    if len(cells) not in (3, 4) or not all(number.isdecimal() and len(number) < 10 for number in numbers):
        return None
    second = cells[2:] if len(cells) == 4 else [cells[0], cells[2]]
    return ListedPair(line, photos.find_numbered(*cells[:2]), photos.find_numbered(*second), len(cells) == 3)


def _wrong_line(path: str, line: int, form: str) -> DataError:
    return DataError(f"{display_path(path)}: line {line} does not have the form {form}. Correct it.")
