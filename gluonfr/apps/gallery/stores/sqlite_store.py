"""A gallery in an SQLite file; searches run on a matrix in memory."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
from typing import Iterable, Iterator

import numpy as np

from gluonfr.apps.gallery.stores.base import (
    Change,
    Entries,
    Entry,
    GalleryStore,
    Match,
    Person,
    name_in_use,
    photo_in_use,
    same_person_twice,
    unknown_person,
    unknown_photo,
)
from gluonfr.apps.gallery.stores.matrix import search_people
from gluonfr.apps.gallery.stores.source_paths import OLD_NAME_IN_SOURCES, contains_name, rename_in_source
from gluonfr.apps.gallery.stores.sqlite_connection import SQLiteConnection
from gluonfr.apps.gallery.stores.sqlite_file import WAIT, is_empty_file
from gluonfr.apps.gallery.stores.sqlite_matrix import MatrixOfFile, read_card
from gluonfr.core import Card, UsageError, display_path, generator

logger = logging.getLogger(__name__)

_ROWS = 4096
_SEED, _SAMPLE = 0, 11
_LEFT = (
    "Another process is reading {}: until it has finished, the old bytes stay in the log file beside it, whose name ends in "
    "-wal. The next change, or the next command that opens the gallery, erases them."
)


class SQLiteStore(GalleryStore):
    """A gallery in one file, for one machine and any number of processes.

    One process writes at a time, and others can read meanwhile.

    Parameters
    ----------
    path : str
        Path of the file.
    card : Card, optional
        Card of the network; required to create a file. `Gallery` refuses a network other than that of the file.
    create : bool, default True
        Create the file if it is missing.

    Raises
    ------
    DataError
        The file is missing, locked, damaged, of a later format, or not a gallery.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = SQLiteStore(os.path.join(folder, "g.db"), Card(network="n", embedding_size=2))
    ...     added = store.add({"Ann": [Entry(np.array([1, 0], np.float32), b"d" * 32)]})
    ...     people = store.people()
    ...     store.close()
    >>> people
    [Person(name='Ann', photos=1)]
    """

    def __init__(self, path: str, card: Card | None = None, create: bool = True) -> None:
        self.where = os.path.abspath(os.path.expanduser(os.fspath(path)))
        self._file = SQLiteConnection(self.where, create and card is not None)
        try:
            self.card = self._open_card(card)
            self._memory = MatrixOfFile(self._file, self.card.embedding_size)
            # A process that was killed, or that had to leave data to a reader, may not have erased it.
            self._file.erase(0)
            self._memory.refresh()
        except BaseException:
            self._file.close()
            raise

    def __repr__(self) -> str:
        return f"SQLiteStore({self.where!r})"

    @staticmethod
    def exists(where: str) -> bool:
        """Return whether there is a file with content."""
        path = os.path.expanduser(os.fspath(where))
        return os.path.exists(path) and not is_empty_file(path)

    def add(self, people: Entries) -> int:
        """Add photos to new or existing people, and return the number of new photos."""
        with self._file.transaction():
            added = sum(self._add_person(name, entries) for name, entries in people.items())
        self._memory.refresh(always=True)
        return added

    def remove(self, name: str) -> Change:
        """Remove a person."""
        with self._file.lock:
            with self._file.transaction(removes=True):
                person = self._person(name)
                photos = self._file.execute("DELETE FROM photos WHERE person = ?", (person,)).rowcount
                self._file.execute("DELETE FROM people WHERE id = ?", (person,))
            return self._changed(photos)

    def remove_photos(self, name: str, digests: list[bytes]) -> Change:
        """Remove these photos of a person; a person without photos is removed."""
        with self._file.lock:
            with self._file.transaction(removes=True):
                person = self._person(name)
                for number in self._photo_ids(name, person, digests):
                    self._file.execute("DELETE FROM photos WHERE id = ?", (number,))
                self._remove_if_empty(person)
            return self._changed(len(digests))

    def move_photos(self, name: str, digests: list[bytes], into: str) -> Change:
        """Move these photos of a person to another person, who may be new."""
        with self._file.lock:
            with self._file.transaction(removes=True):
                person = self._person(name)
                if name == into:
                    raise same_person_twice(name)
                numbers = self._photo_ids(name, person, digests)
                other = self._person_or_new(into)
                left = self._rename_in_sources(numbers, name, into)
                for number in numbers:
                    self._file.execute("UPDATE photos SET person = ? WHERE id = ?", (other, number))
                self._remove_if_empty(person)
            return self._changed(len(digests), left)

    def rename(self, old: str, new: str) -> Change:
        """Give a person a name that is not in use."""
        with self._file.lock:
            with self._file.transaction(removes=True):
                person = self._person(old)
                if self._file.execute("SELECT 1 FROM people WHERE name = ?", (new,)).fetchone():
                    raise name_in_use(new)
                self._file.execute("UPDATE people SET name = ? WHERE id = ?", (new, person))
                numbers = self._photo_ids(old, person)
                left = self._rename_in_sources(numbers, old, new)
            return self._changed(len(numbers), left)

    def merge(self, name: str, into: str) -> Change:
        """Move all photos of a person to another person."""
        with self._file.lock:
            with self._file.transaction(removes=True):
                person, other = self._person(name), self._person(into)
                if person == other:
                    raise same_person_twice(name)
                left = self._rename_in_sources(self._photo_ids(name, person), name, into)
                photos = self._file.execute("UPDATE photos SET person = ? WHERE person = ?", (other, person)).rowcount
                self._file.execute("DELETE FROM people WHERE id = ?", (person,))
            return self._changed(photos, left)

    def people(self) -> list[Person]:
        """Return all people in the order of their enrollment."""
        counted = "SELECT name, (SELECT count(*) FROM photos WHERE person = people.id) FROM people ORDER BY id"
        return [Person(*row) for row in self._file.rows(counted)]

    def count(self) -> tuple[int, int]:
        """Return the numbers of people and photos."""
        with self._file.lock:
            self._memory.refresh()
            return len(self._memory.names), len(self._memory.matrix)

    def owners(self, digests: Iterable[bytes]) -> dict[bytes, str]:
        """Return the names of the people to whom enrolled digests belong."""
        owner = "SELECT name FROM photos JOIN people ON people.id = person WHERE digest = ?"
        found = ((digest, self._file.rows(owner, digest)) for digest in digests)
        return {digest: rows[0][0] for digest, rows in found if rows}

    def entries(self, name: str | None = None) -> Iterator[tuple[str, Entry]]:
        """Iterate over (name, entry) of all photos, or of one person."""
        which, values = ("WHERE people.id = ? AND", (self._person(name),)) if name is not None else ("WHERE", ())
        rows = (
            f"SELECT photos.id, name, digest, source, embedding FROM photos JOIN people ON people.id = person {which} "
            f"photos.id > ? ORDER BY photos.id LIMIT {_ROWS}"
        )
        last = 0
        # In parts, because an open read transaction prevents removed data from being erased.
        while part := self._file.rows(rows, *values, last):
            last = part[-1][0]
            embeddings = self._memory.unit_embeddings([row[4] for row in part])
            for (_, owner, digest, source, _), embedding in zip(part, embeddings):
                yield owner, Entry(embedding, digest, source)

    def search(self, queries: np.ndarray, k: int) -> list[list[Match]]:
        """Return the k most similar people per query, best first."""
        with self._file.lock:
            self._memory.refresh()
            rows, people, ids = self._memory.matrix.snapshot()
            names, count = self._memory.names, len(self._memory.names)
        scores, numbers = search_people(queries, rows, people, k, count)
        sources = self._sources({int(ids[number]) for of_query in numbers for number in of_query})
        return [
            [
                Match(names[people[number]], float(score), sources.get(int(ids[number]), ""))
                for score, number in zip(of_scores, of_numbers)
            ]
            for of_scores, of_numbers in zip(scores, numbers)
        ]

    def sample(self, limit: int) -> tuple[list[str], np.ndarray]:
        """Return names and embeddings of at most `limit` random photos."""
        with self._file.lock:
            self._memory.refresh()
            rows, people, _ = self._memory.matrix.snapshot()
            numbers = np.sort(generator(_SEED, _SAMPLE, len(rows)).permutation(len(rows))[:limit])
            return [self._memory.names[person] for person in people[numbers]], rows[numbers]

    def save_note(self, key: str, text: str) -> None:
        """Store a text unless the file is locked or read-only."""
        with self._file.lock:
            try:
                self._file.set_wait(0)
                self._file.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", ("note " + key, text))
            except sqlite3.Error as error:
                logger.debug("%s: %s", display_path(self.where), error)
            finally:
                self._file.set_wait(WAIT)

    def load_note(self, key: str) -> str | None:
        """Return the text stored under a key, or None."""
        rows = self._file.rows("SELECT value FROM state WHERE key = ?", "note " + key)
        return rows[0][0] if rows and isinstance(rows[0][0], str) else None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _add_person(self, name: str, entries: list[Entry]) -> int:
        person, added = self._person_or_new(name), 0
        for entry in entries:
            owner = self._file.execute("SELECT person FROM photos WHERE digest = ?", (entry.digest,)).fetchone()
            if owner and owner[0] != person:
                other = self._file.execute("SELECT name FROM people WHERE id = ?", owner).fetchone()[0]
                raise photo_in_use(entry, name, other)
            if not owner:
                values = (person, entry.digest, entry.source, np.ascontiguousarray(entry.embedding, np.float32).tobytes())
                self._file.execute("INSERT INTO photos(person, digest, source, embedding) VALUES (?, ?, ?, ?)", values)
                added += 1
        return added

    def _person(self, name: str) -> int:
        rows = self._file.rows("SELECT id FROM people WHERE name = ?", name)
        if not rows:
            raise unknown_person(name, self.where)
        return rows[0][0]

    def _person_or_new(self, name: str) -> int:
        rows = self._file.rows("SELECT id FROM people WHERE name = ?", name)
        if not rows:
            self._file.execute("INSERT INTO people(name) VALUES (?)", (name,))
        return rows[0][0] if rows else self._person(name)

    def _remove_if_empty(self, person: int) -> None:
        unused = "DELETE FROM people WHERE id = ? AND NOT EXISTS (SELECT 1 FROM photos WHERE person = people.id)"
        self._file.execute(unused, (person,))

    def _photo_ids(self, name: str, person: int, digests: list[bytes] | None = None) -> list[int]:
        """Return the ids of all photos of a person, or of those with these digests."""
        ids = {digest: number for number, digest in self._file.rows("SELECT id, digest FROM photos WHERE person = ?", person)}
        if digests is None:
            return list(ids.values())
        if not digests or not set(digests) <= set(ids):
            raise unknown_photo(name)
        return [ids[digest] for digest in digests]

    def _rename_in_sources(self, numbers: list[int], old: str, new: str) -> bool:
        """Write the new name into source paths; returns whether some still contain the old name."""
        left = False
        for number in numbers:
            source = self._file.execute("SELECT source FROM photos WHERE id = ?", (number,)).fetchone()[0]
            renamed = rename_in_source(source, old, new)
            if renamed != source:
                self._file.execute("UPDATE photos SET source = ? WHERE id = ?", (renamed, number))
            left = left or contains_name(renamed[len(new) :] if renamed != source else source, old)
        return left

    def _changed(self, photos: int, left_in_sources: bool = False) -> Change:
        self._memory.refresh(always=True)
        erased = self._file.erase()
        left = [] if erased else [_LEFT.format(display_path(self.where))]
        left += [OLD_NAME_IN_SOURCES] if left_in_sources else []
        return Change(photos, erased and not left_in_sources, " ".join(left))

    def _open_card(self, card: Card | None) -> Card:
        """Return the card in the file; a new file gets the card that was passed."""
        stored = self._file.rows("SELECT value FROM state WHERE key = 'card'")
        if not stored:
            if card is None:
                raise UsageError(f"{display_path(self.where)} is empty and has no network; create it with `gluonfr enroll`.")
            self._file.rows("INSERT OR IGNORE INTO state VALUES ('card', ?)", json.dumps(card.to_dict()))
            stored = self._file.rows("SELECT value FROM state WHERE key = 'card'")
        return read_card(stored[0][0], self.where)

    def _sources(self, ids: set[int]) -> dict[int, str]:
        source = "SELECT id, source FROM photos WHERE id = ?"
        return dict(row for number in ids for row in self._file.rows(source, number))
