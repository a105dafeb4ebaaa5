"""Opening the file of a gallery, and the meaning of SQLite's errors."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import Iterator
from urllib.parse import quote

from gluonfr.apps.gallery.stores.sqlite_schema import check_schema, create_schema, is_unused
from gluonfr.core import DataError, display_path

# Seconds to wait for another process that writes to the file.
WAIT = 10.0

# Parts of SQLite's messages, and their meaning for the user.
_MEANING = (
    ("locked", "another process is writing to it; try again when that process has finished"),
    ("readonly", "it is read-only; change the permissions of the file and its folder, or copy it elsewhere"),
    ("is full", "the disk is full; make room. This change was not saved, and all earlier changes are safe"),
    ("disk i/o", "the disk cannot be written or read. This change was not saved, and all earlier changes are safe"),
    ("unable to open", "it cannot be opened; check the permissions of the file and its folder"),
    ("not a database", "it is damaged or not a gallery; restore it from a backup"),
    ("malformed", "it is damaged; restore it from a backup, or import an exported file"),
    ("no such", "it is damaged or not a gallery; restore it from a backup"),
)


@contextmanager
def sqlite_errors(path: str) -> Iterator[None]:
    """Turn SQLite's errors in the block into a DataError that names the file.

    Examples
    --------
    >>> with sqlite_errors("g.db"):  # doctest: +ELLIPSIS
    ...     raise sqlite3.OperationalError("database is locked")
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.DataError: g.db: another process is writing to it; ... (database is locked).
    """
    try:
        yield
    # Text that is not UTF-8 is an OperationalError in some versions of Python and a UnicodeDecodeError in others.
    except (sqlite3.Error, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        meaning = next((meaning for words, meaning in _MEANING if words in text.lower()), "it is damaged or cannot be used")
        raise DataError(f"{display_path(path)}: {meaning} ({text}).") from error


def open_file(path: str, create: bool, wait: float = WAIT) -> sqlite3.Connection:
    """Open the file of a gallery.

    Transactions must be started and ended explicitly. Any thread may use the connection, one at a time.

    Parameters
    ----------
    path : str
    create : bool
        Create the file if it is missing or empty.
    wait : float, default 10
        Seconds to wait for another process that writes to the file.

    Returns
    -------
    sqlite3.Connection

    Raises
    ------
    DataError
        The file is missing, not a gallery, damaged or cannot be opened.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     connection = open_file(os.path.join(folder, "g.db"), create=True)
    ...     people = connection.execute("SELECT count(*) FROM people").fetchone()
    ...     connection.close()
    >>> people
    (0,)
    """
    missing = not os.path.exists(path) or is_empty_file(path)
    if missing and not create:
        raise DataError(f"{display_path(path)} is missing; give the file of a gallery, or create one with `gluonfr enroll`.")
    if os.path.isdir(path):
        raise DataError(f"{display_path(path)} is a folder; give the file of a gallery.")
    if missing:
        _make_folder(path)
    else:
        _check_header(path)
    with sqlite_errors(path):
        connection = _connect_or_read_only(path, "rwc" if missing else "rw", wait)
        try:
            if create and is_unused(connection):
                create_schema(connection)
            check_schema(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def is_empty_file(path: str) -> bool:
    """Return whether this is a file of 0 bytes, in which a gallery may be created.

    Examples
    --------
    >>> is_empty_file("missing.db")
    False
    """
    return os.path.isfile(path) and not os.path.getsize(path)


def _make_folder(path: str) -> None:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except OSError as error:
        raise DataError(f"{display_path(path)} cannot be written ({error.strerror}); choose another folder.") from error


def _check_header(path: str) -> None:
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError as error:
        raise DataError(f"{display_path(path)} cannot be read ({error.strerror}); check its permissions.") from error
    if start != b"SQLite format 3\0":
        raise DataError(f"{display_path(path)} is not a gallery or is damaged; give a file that `gluonfr enroll` wrote.")


def _connect_or_read_only(path: str, mode: str, wait: float) -> sqlite3.Connection:
    name = "file:" + quote(os.fsencode(path))
    try:
        return _connect(f"{name}?mode={mode}", wait)
    except sqlite3.OperationalError as error:
        log = path + "-wal"
        has_log = os.path.exists(log) and os.path.getsize(log)
        read_only = "unable to open" in str(error) or "readonly" in str(error)
        if mode == "rwc" or has_log or not read_only:
            raise
        # SQLite coordinates readers and writers by files beside the database. Where these cannot be created, no
        # process can write to the database either, and it can be read without them.
        return _connect(f"{name}?immutable=1", wait)


def _connect(name: str, wait: float) -> sqlite3.Connection:
    connection = sqlite3.connect(name, timeout=wait, isolation_level=None, check_same_thread=False, uri=True)
    try:
        # These settings belong to the connection, not to the file.
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
