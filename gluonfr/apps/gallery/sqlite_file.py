"""The file of the embedded engine: how it is opened, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from urllib.parse import quote

from gluonfr.core import GluonFRError, display_path

# "gfrg", in the header of the file: what other programs know it by.
_APPLICATION = 0x67667267
VERSION = 1
# Of 4 KB pages an embedding of 512 numbers leaves half empty.
_PAGE = 16384
WAIT = 10.0

_SCHEMA = """
CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
CREATE TABLE photos (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    person INTEGER NOT NULL REFERENCES people(id),
    digest BLOB NOT NULL UNIQUE,
    source TEXT NOT NULL,
    embedding BLOB NOT NULL
);
CREATE INDEX photos_of_person ON photos(person);
CREATE TABLE state (key TEXT PRIMARY KEY, value NOT NULL);
"""

# What SQLite says, in part, and what that means to somebody who did not write it.
_MEANING = (
    ("locked", "another process is writing to it; try again when that one is done"),
    ("readonly", "it may only be read; change its permissions and its folder's, or copy it elsewhere"),
    ("is full", "the disk is full; make room: nothing of this change was kept, and all before it is safe"),
    ("disk i/o", "the disk takes no more or fails; nothing of this change was kept, and all before it is safe"),
    ("unable to open", "it cannot be opened; look at the permissions of the file and its folder"),
    ("not a database", "it is damaged, or no gallery; take a copy of it from before"),
    ("malformed", "it is damaged; take a copy of it from before, or import what was exported"),
    ("no such", "it is damaged, or no gallery; take a copy of it from before"),
)


@contextmanager
def told(path):
    """Turn what SQLite raises in the block into one sentence."""
    try:
        yield
    except sqlite3.Error as error:
        said = str(error)
        meaning = next((meaning for words, meaning in _MEANING if words in said.lower()), "it cannot be used")
        raise GluonFRError(f"{display_path(path)}: {meaning} ({said}).") from error


def open_file(path, create, wait=WAIT):
    """A connection to a gallery's file, which is made when it is missing, empty and `create` is true.

    Transactions are begun and ended by hand; any thread may use it, one at a time.
    """
    missing = not os.path.exists(path) or is_empty(path)
    if missing and not create:
        raise GluonFRError(f"{display_path(path)} is missing: give the file of a gallery, or make one with `gluonfr enroll`.")
    if os.path.isdir(path):
        raise GluonFRError(f"{display_path(path)} is a folder: give the file of a gallery.")
    if missing:
        _make_folder(path)
    else:
        _need_sqlite(path)
    with told(path):
        connection = _connected(path, "rwc" if missing else "rw", wait)
        try:
            if _is_new(connection) and create:
                _create(connection)
            _check(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def is_empty(path):
    """Whether it is a file without a byte, which a gallery may be made in."""
    return os.path.isfile(path) and not os.path.getsize(path)


def _make_folder(path) -> None:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
    except OSError as error:
        raise GluonFRError(
            f"{display_path(path)}: cannot be written there ({error.strerror}); choose another folder."
        ) from error


def _need_sqlite(path) -> None:
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError as error:
        raise GluonFRError(f"{display_path(path)} cannot be read ({error.strerror}).") from error
    if start != b"SQLite format 3\0":
        raise GluonFRError(f"{display_path(path)} is no gallery, or a damaged one; give the file that `gluonfr enroll` wrote.")


def _connected(path, mode, wait):
    name = "file:" + quote(os.fsencode(path))
    connection = _connect(f"{name}?mode={mode}", wait)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        connection.close()
        waiting = os.path.exists(path + "-wal") and os.path.getsize(path + "-wal")
        if "unable to open" not in str(error) and "readonly" not in str(error) or waiting or mode == "rwc":
            raise
        # In a folder where nothing can be written, readers and writers cannot meet: then nobody writes.
        connection = _connect(f"{name}?immutable=1", wait)
    return connection


def _connect(name, wait):
    connection = sqlite3.connect(name, timeout=wait, isolation_level=None, check_same_thread=False, uri=True)
    # Of each connection, not of the file.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")
    return connection


def _is_new(connection) -> bool:
    """Whether nothing is in it yet: perhaps its making was cut off."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    return not application and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _create(connection) -> None:
    connection.execute(f"PRAGMA page_size={_PAGE}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")
    # Another process may have been quicker.
    if _is_new(connection):
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO state VALUES ('generation', 0)")
        connection.execute(f"PRAGMA application_id={_APPLICATION}")
        connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("COMMIT")


def _check(connection, path) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != _APPLICATION:
        raise GluonFRError(
            f"{display_path(path)} is an SQLite file, but no gallery; give the file that `gluonfr enroll` wrote."
        )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise GluonFRError(
            f"{display_path(path)} has format {version} and this gluonfr knows {VERSION}; use the gluonfr that wrote it."
        )
