"""The tables of a gallery file, and the check that a file has exactly these."""

from __future__ import annotations

import sqlite3

from gluonfr.core import DataError, display_path

# "gfrg" in the header of the file, by which other programs recognize it.
APPLICATION_ID = 0x67667267
VERSION = 1
# An embedding of 512 numbers would leave half of each 4 KB page empty.
_PAGE_SIZE = 16384
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
# Tables that SQLite itself adds. Their text is compared too: SQLite obeys it, whatever kind and name a row declares.
_INTERNAL = {
    ("table", "sqlite_sequence", "CREATE TABLE sqlite_sequence(name,seq)"),
    ("table", "sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"),
    ("table", "sqlite_stat4", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"),
}


def create_schema(connection: sqlite3.Connection) -> None:
    """Create the tables in an empty file, unless another process was faster.

    Examples
    --------
    >>> connection = sqlite3.connect(":memory:", isolation_level=None)
    >>> create_schema(connection)
    >>> check_schema(connection, "g.db")
    """
    connection.execute(f"PRAGMA page_size={_PAGE_SIZE}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("BEGIN IMMEDIATE")
    if is_unused(connection):
        for statement in _SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO state VALUES ('generation', 0)")
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={VERSION}")
    connection.execute("COMMIT")


def is_unused(connection: sqlite3.Connection) -> bool:
    """Return whether the file has no content yet, for instance because its creation was interrupted.

    Examples
    --------
    >>> is_unused(sqlite3.connect(":memory:"))
    True
    """
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    return not application and not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def check_schema(connection: sqlite3.Connection, path: str) -> None:
    """Raise DataError unless the file has exactly the tables of a gallery.

    A foreign file may contain views that never end and triggers that change other rows, so nothing else is read before.

    Parameters
    ----------
    connection : sqlite3.Connection
    path : str
        For messages.

    Raises
    ------
    DataError
        The file is not a gallery, has another version, or contains other tables, views, triggers or indices.

    Examples
    --------
    >>> check_schema(sqlite3.connect(":memory:"), "other.db")
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.DataError: other.db is an SQLite file but not a gallery; give a file that `gluonfr enroll` wrote.
    """
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise DataError(f"{display_path(path)} is an SQLite file but not a gallery; give a file that `gluonfr enroll` wrote.")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise DataError(
            f"{display_path(path)} has format {version}, but this version of gluonfr reads format {VERSION}; use the version "
            "that wrote the file."
        )
    found = _objects(connection)
    if found != _expected():
        names = sorted({display_path(str(name)) for _, name, _ in found.symmetric_difference(_expected())})
        raise DataError(
            f"{display_path(path)} does not have the tables of a gallery ({', '.join(names)[:200]}); do not use a file that "
            "another program has changed."
        )


def _expected() -> set[tuple[str, str, str]]:
    connection = sqlite3.connect(":memory:")
    try:
        connection.executescript(_SCHEMA)
        return _objects(connection)
    finally:
        connection.close()


def _objects(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    """Return (type, name, SQL) of everything in the file except what SQLite adds."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
    found = {(str(kind), str(name), " ".join(str(sql).split())) for kind, name, sql in rows if (kind, sql) != ("index", None)}
    return found - _INTERNAL
