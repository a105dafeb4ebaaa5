from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from typing import Any, Iterator

from gluonfr.apps.gallery.stores.sqlite_file import WAIT, open_file, sqlite_errors
from gluonfr.core import DataError, display_path

# Seconds to wait for readers of the file before removed data is left in the log.
_WAIT_FOR_READERS = 2.0


class SQLiteConnection:
    """The open file of a gallery: queries by any thread, durable transactions, and erasure of what was removed.

    Parameters
    ----------
    path : str
        Absolute path.
    create : bool
        Create the file if it is missing.

    Attributes
    ----------
    path : str
    lock : threading.RLock
        Held during every query; hold it to combine several queries.

    Raises
    ------
    DataError
        As `open_file`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = SQLiteConnection(os.path.join(folder, "g.db"), create=True)
    ...     with file.transaction():
    ...         _ = file.execute("INSERT INTO people(name) VALUES ('Ann')")
    ...     rows = file.rows("SELECT id, name FROM people")
    ...     file.close()
    >>> rows
    [(1, 'Ann')]
    """

    def __init__(self, path: str, create: bool) -> None:
        self.path, self.lock = path, threading.RLock()
        self._connection = open_file(path, create)
        self._identity = _file_identity(path)
        self._must_erase = True

    def __repr__(self) -> str:
        return f"SQLiteConnection({self.path!r})"

    def execute(self, query: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Run a query; call it with the lock held, or in a `transaction`."""
        return self._connection.execute(query, values)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query."""
        with self.lock, sqlite_errors(self.path):
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def transaction(self, removes: bool = False) -> Iterator[None]:
        """Run the block as a transaction that is on the disk when the block is left.

        Parameters
        ----------
        removes : bool, default False
            The block removes, moves or renames something, so that other processes must read all ids and names again.
        """
        if _file_identity(self.path) != self._identity:
            # The open file would accept the change, but no other process would find it.
            raise DataError(
                f"{display_path(self.path)} was moved, deleted or replaced after it was opened; open it again. Nothing was "
                "changed."
            ) from FileNotFoundError(self.path)
        with self.lock, sqlite_errors(self.path):
            self.execute("BEGIN IMMEDIATE")
            try:
                if removes:
                    self.execute("UPDATE state SET value = value + 1 WHERE key = 'generation'")
                yield
                self.execute("COMMIT")
            except BaseException:
                # A full disk ends the transaction by itself.
                if self._connection.in_transaction:
                    self.execute("ROLLBACK")
                raise
        if self._must_erase:
            # A reader prevented an earlier erasure.
            self.erase(0)

    def erase(self, wait: float | None = None) -> bool:
        """Empty the log, which still contains removed rows; return False if a reader or writer prevents it.

        The file itself does not contain them, because SQLite overwrites deleted data (`secure_delete`).

        Parameters
        ----------
        wait : float, optional
            Seconds to wait for readers. Default: 2.
        """
        with self.lock, sqlite_errors(self.path):
            try:
                self.set_wait(_WAIT_FOR_READERS if wait is None else wait)
                busy = self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) and "readonly" not in str(error):
                    raise
                busy = 1
            finally:
                self.set_wait(WAIT)
        self._must_erase = bool(busy)
        return not busy

    def set_wait(self, seconds: float) -> None:
        """Set how long a query waits for other processes."""
        self.execute(f"PRAGMA busy_timeout={int(1000 * seconds)}")

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self._connection.close()


def _file_identity(path: str) -> tuple[int, int] | None:
    """Return device and inode of a file, or None if it is missing."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
