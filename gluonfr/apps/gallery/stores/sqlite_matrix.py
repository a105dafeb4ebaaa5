"""The names and embeddings of a gallery file in memory, updated when any process changes the file."""

from __future__ import annotations

from typing import Any

import numpy as np

from gluonfr.apps.gallery.stores.matrix import Matrix
from gluonfr.apps.gallery.stores.sqlite_connection import SQLiteConnection
from gluonfr.apps.gallery.stores.sqlite_file import sqlite_errors
from gluonfr.core import Card, DataError, GluonFRError, display_path
from gluonfr.core.reading import parse_json

_ROWS = 4096
# No network has larger embeddings; a damaged size must not allocate memory.
_LARGEST_EMBEDDING = 1 << 16


class MatrixOfFile:
    """Names and embeddings of an open gallery file.

    Parameters
    ----------
    file : SQLiteConnection
    size : int
        Embedding size.

    Attributes
    ----------
    matrix : Matrix
    names : dict of int to str
        Names of people by id. It is replaced, not changed, when people are removed or renamed.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = SQLiteConnection(os.path.join(folder, "g.db"), create=True)
    ...     memory = MatrixOfFile(file, 4)
    ...     memory.refresh()
    ...     file.close()
    >>> memory
    MatrixOfFile(people=0, photos=0)
    """

    def __init__(self, file: SQLiteConnection, size: int) -> None:
        self.matrix = Matrix(size)
        self.names: dict[int, str] = {}
        self._file, self._size = file, size
        self._data_version: int | None = None
        self._generation: Any = None
        self._last_person = 0

    def __repr__(self) -> str:
        return f"MatrixOfFile(people={len(self.names)}, photos={len(self.matrix)})"

    def refresh(self, always: bool = False) -> None:
        """Read what this or another process has changed since the last call."""
        with self._file.lock, sqlite_errors(self._file.path):
            version = self._file.execute("PRAGMA data_version").fetchone()[0]
            if version == self._data_version and not always:
                return
            # One transaction, so that people are read with all their photos.
            self._file.execute("BEGIN")
            try:
                self._load()
            finally:
                self._file.execute("ROLLBACK")
            self._data_version = version

    def unit_embeddings(self, content: list[Any]) -> np.ndarray:
        """Return stored embeddings as rows; DataError unless each is a vector of norm 1 and of the right size."""
        valid = all(isinstance(row, bytes) and len(row) == 4 * self._size for row in content)
        rows = np.frombuffer(b"".join(content), np.float32).reshape(-1, self._size) if valid else np.zeros((1, 1), np.float32)
        # The comparison is also false for NaN.
        if not (np.abs(np.einsum("ij,ij->i", rows, rows) - 1) < 1e-3).all():
            raise self._damaged("an embedding is not a vector of norm 1")
        return rows

    def _load(self) -> None:
        rows = self._file.execute("SELECT value FROM state WHERE key = 'generation'").fetchall()
        if not rows or not isinstance(rows[0][0], int):
            raise self._damaged("its change counter is missing")
        changed = rows[0][0] != self._generation
        if changed:
            # People or photos were removed, renamed or moved. Embeddings that are in memory are not read again.
            alive = self._file.execute("SELECT id, person FROM photos ORDER BY id").fetchall() if len(self.matrix) else []
            ids, people = self._integers(alive).reshape(-1, 2).T
            self.matrix.keep(ids, people)
            self.names, self._last_person = {}, 0
            self._generation = rows[0][0]
        self._load_names()
        if changed and not set(self.matrix.people.tolist()) <= self.names.keys():
            raise self._damaged("a photo belongs to no person")
        self._load_photos()

    def _load_names(self) -> None:
        new = self._file.execute("SELECT id, name FROM people WHERE id > ? ORDER BY id", (self._last_person,)).fetchall()
        if not all(isinstance(name, str) for _, name in new):
            raise self._damaged("a name is not text")
        if new:
            self.names.update(new)
            self._last_person = new[-1][0]

    def _load_photos(self) -> None:
        last = int(self.matrix.ids[-1]) if len(self.matrix) else 0
        if not len(self.matrix):
            self.matrix.reserve(self._file.execute("SELECT count(*) FROM photos").fetchone()[0])
        rows = self._file.execute("SELECT id, person, embedding FROM photos WHERE id > ? ORDER BY id", (last,))
        while part := rows.fetchmany(_ROWS):
            ids, people, content = zip(*part)
            if not set(people) <= self.names.keys():
                raise self._damaged("a photo belongs to no person")
            self.matrix.add(self._integers(ids), self._integers(people), self.unit_embeddings(list(content)))

    def _integers(self, values: Any) -> np.ndarray:
        try:
            return np.array(values, np.int64)
        except (ValueError, TypeError, OverflowError) as error:
            raise self._damaged("an id is not a number") from error

    def _damaged(self, what: str) -> DataError:
        return DataError(f"{display_path(self._file.path)} is damaged: {what}; restore it from a backup.")


def read_card(text: Any, path: str) -> Card:
    """Return the card that a gallery file contains.

    Raises
    ------
    DataError
        The text is not a card, or has no valid embedding size.

    Examples
    --------
    >>> read_card('{"network": "n", "embedding_size": 4}', "g.db").embedding_size
    4
    """
    try:
        card = Card.from_dict(parse_json(text, "its card"), path)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        reason = str(error) if isinstance(error, GluonFRError) else "the card of its network cannot be read"
        raise DataError(f"{display_path(path)} is damaged: {reason}; restore it from a backup.") from error
    size = card.embedding_size
    if not isinstance(size, int) or not 0 < size <= _LARGEST_EMBEDDING:
        raise DataError(f"{display_path(path)} is damaged: its network has no valid embedding size; restore it from a backup.")
    return card
