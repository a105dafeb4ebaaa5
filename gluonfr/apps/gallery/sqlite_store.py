"""The embedded engine: SQLite is the truth, a matrix in memory is searched."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
from contextlib import contextmanager

import numpy as np

from gluonfr.apps.gallery.matrix import Matrix, search_people
from gluonfr.apps.gallery.source_paths import PATHS_KEEP_IT, moved_source, names_person
from gluonfr.apps.gallery.sqlite_file import WAIT, is_empty, open_file, told
from gluonfr.apps.gallery.store import (
    Change,
    Entry,
    GalleryStore,
    Match,
    Person,
    enrolled_already,
    not_here,
    same_person,
    taken,
)
from gluonfr.core import Card, GluonFRError, display_path, generator

logger = logging.getLogger(__name__)

_ROWS = 4096
_SEED, _SAMPLE = 0, 11
# A reader that holds the file longer than this is not waited for.
_WAIT_FOR_READERS = 2.0
_LEFT = (
    "Another process is reading {}: until it is done, the old bytes stay in the file beside it that ends with -wal. The next "
    "change, or the next command that opens the gallery, erases them."
)


class SQLiteStore(GalleryStore):
    """A gallery in one file, for one machine and any number of processes: one writes at a time, others read beside it.

    Parameters
    ----------
    path : str
    card : Card, optional
        Of the network; needed to make a new file. Another network than the file's is for `Gallery` to refuse.
    create : bool, default True
        Make the file when it is missing.

    Raises
    ------
    GluonFRError
        The file is missing, locked, damaged, of a later format, or no gallery.
    """

    def __init__(self, path, card=None, create=True) -> None:
        self.where = os.path.abspath(os.path.expanduser(os.fspath(path)))
        self._lock = threading.RLock()
        self._file = open_file(self.where, create and card is not None)
        try:
            self.card = self._network(card)
            self._matrix, self._names = Matrix(self.card.embedding_size), {}
            self._seen, self._generation, self._last_person = None, None, 0
            self._place = _place(self.where)
            # What a process that was killed, or kept from it by a reader, could not erase.
            self._to_erase = True
            self._erase(0)
            self._refresh()
        except BaseException:
            self._file.close()
            raise

    @staticmethod
    def is_there(where):
        path = os.path.expanduser(os.fspath(where))
        return os.path.exists(path) and not is_empty(path)

    def add(self, people):
        with self._change():
            return sum(self._add_person(name, entries) for name, entries in people.items())

    def remove(self, name):
        with self._lock:
            with self._change(takes_away=True):
                person = self._person(name)
                photos = self._file.execute("DELETE FROM photos WHERE person = ?", (person,)).rowcount
                self._file.execute("DELETE FROM people WHERE id = ?", (person,))
            return self._removed(photos)

    def rename(self, old, new):
        with self._lock:
            with self._change(takes_away=True):
                person = self._person(old)
                if self._file.execute("SELECT 1 FROM people WHERE name = ?", (new,)).fetchone():
                    raise enrolled_already(new)
                self._file.execute("UPDATE people SET name = ? WHERE id = ?", (new, person))
                photos = self._file.execute("SELECT count(*) FROM photos WHERE person = ?", (person,)).fetchone()[0]
                kept = self._move_sources(person, old, new)
            return self._removed(photos, kept)

    def merge(self, name, into):
        with self._lock:
            with self._change(takes_away=True):
                person, other = self._person(name), self._person(into)
                if person == other:
                    raise same_person(name)
                kept = self._move_sources(person, name, into)
                photos = self._file.execute("UPDATE photos SET person = ? WHERE person = ?", (other, person)).rowcount
                self._file.execute("DELETE FROM people WHERE id = ?", (person,))
            return self._removed(photos, kept)

    def people(self):
        counted = "SELECT name, (SELECT count(*) FROM photos WHERE person = people.id) FROM people ORDER BY id"
        with self._lock, told(self.where):
            return [Person(*row) for row in self._file.execute(counted).fetchall()]

    def count(self):
        with self._lock:
            self._refresh()
            return len(self._names), len(self._matrix)

    def owners(self, digests):
        owner = "SELECT name FROM photos JOIN people ON people.id = person WHERE digest = ?"
        with self._lock, told(self.where):
            found = ((digest, self._file.execute(owner, (digest,)).fetchone()) for digest in digests)
            return {digest: row[0] for digest, row in found if row}

    def entries(self, name=None):
        which, values = ("WHERE people.id = ? AND", (self._person(name),)) if name is not None else ("WHERE", ())
        rows = (
            f"SELECT photos.id, name, digest, source, embedding FROM photos JOIN people ON people.id = person {which} "
            f"photos.id > ? ORDER BY photos.id LIMIT {_ROWS}"
        )
        last = 0
        while True:
            # Some at a time, because a reader that keeps the file open keeps what is removed from being erased.
            with self._lock, told(self.where):
                part = self._file.execute(rows, (*values, last)).fetchall()
            if not part:
                return
            last = part[-1][0]
            for _, owner, digest, source, embedding in part:
                yield owner, Entry(np.frombuffer(embedding, np.float32), digest, source)

    def search(self, queries, k):
        with self._lock:
            self._refresh()
            rows, people, ids = self._matrix.snapshot()
            names, count = self._names, len(self._names)
        scores, numbers = search_people(queries, rows, people, k, count)
        sources = self._sources(ids[number] for each in numbers for number in each)
        return [
            [Match(names[people[number]], float(score), sources.get(int(ids[number]), "")) for score, number in zip(*each)]
            for each in zip(scores, numbers)
        ]

    def sample(self, limit):
        with self._lock:
            self._refresh()
            rows, people, _ = self._matrix.snapshot()
            numbers = np.sort(generator(_SEED, _SAMPLE, len(rows)).permutation(len(rows))[:limit])
            return [self._names[person] for person in people[numbers]], rows[numbers]

    def note(self, key, text) -> None:
        # A copy of what can be worked out again: another writer is not waited for, and a file that is read only stays so.
        with self._lock:
            try:
                self._file.execute("PRAGMA busy_timeout=0")
                self._file.execute("INSERT OR REPLACE INTO state VALUES (?, ?)", ("note " + key, text))
            except sqlite3.Error as error:
                logger.debug("%s: %s", display_path(self.where), error)
            finally:
                self._file.execute(f"PRAGMA busy_timeout={int(1000 * WAIT)}")

    def notes(self, key):
        return self._state("note " + key)

    def close(self) -> None:
        with self._lock:
            self._file.close()

    def _add_person(self, name, entries):
        row = self._file.execute("SELECT id FROM people WHERE name = ?", (name,)).fetchone()
        person = row[0] if row else self._file.execute("INSERT INTO people(name) VALUES (?)", (name,)).lastrowid
        added = 0
        for entry in entries:
            owner = self._file.execute("SELECT person FROM photos WHERE digest = ?", (entry.digest,)).fetchone()
            if owner and owner[0] != person:
                other = self._file.execute("SELECT name FROM people WHERE id = ?", owner).fetchone()[0]
                raise taken(entry, name, other)
            if not owner:
                values = (person, entry.digest, entry.source, np.ascontiguousarray(entry.embedding, np.float32).tobytes())
                self._file.execute("INSERT INTO photos(person, digest, source, embedding) VALUES (?, ?, ?, ?)", values)
                added += 1
        return added

    def _person(self, name):
        with self._lock, told(self.where):
            row = self._file.execute("SELECT id FROM people WHERE name = ?", (name,)).fetchone()
        if not row:
            raise not_here(name, self.where)
        return row[0]

    @contextmanager
    def _change(self, takes_away=False):
        """A transaction: all of the block or nothing, on the disk when it is left."""
        if _place(self.where) != self._place:
            # The open file would take the change, and nobody would find it again.
            raise GluonFRError(
                f"{display_path(self.where)} was moved, deleted or replaced since it was opened; open it again: nothing was changed."
            ) from FileNotFoundError(self.where)
        with self._lock, told(self.where):
            self._file.execute("BEGIN IMMEDIATE")
            try:
                if takes_away:
                    self._file.execute("UPDATE state SET value = value + 1 WHERE key = 'generation'")
                yield
                self._file.execute("COMMIT")
            except BaseException:
                # A full disk has ended it already.
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise
            self._seen = None
            self._refresh()
        if self._to_erase:
            # A reader kept an earlier change from it.
            self._erase(0)

    def _move_sources(self, person, old, new):
        """Write the new name into the paths of a person's photos; returns whether some hold the old one elsewhere."""
        kept = False
        for number, source in self._file.execute("SELECT id, source FROM photos WHERE person = ?", (person,)).fetchall():
            moved = moved_source(source, old, new)
            if moved != source:
                self._file.execute("UPDATE photos SET source = ? WHERE id = ?", (moved, number))
            kept = kept or names_person(moved[len(new) :] if moved != source else source, old)
        return kept

    def _removed(self, photos, in_paths=False):
        erased = self._erase()
        left = ([] if erased else [_LEFT.format(self.where)]) + ([PATHS_KEEP_IT] if in_paths else [])
        return Change(photos, erased and not in_paths, " ".join(left))

    def _erase(self, wait=_WAIT_FOR_READERS) -> bool:
        """Empty the log, in which removed rows are still to be read; False while a reader or writer keeps that from being done.

        The file itself holds nothing of them: what is deleted is overwritten.
        """
        with self._lock, told(self.where):
            try:
                self._file.execute(f"PRAGMA busy_timeout={int(1000 * wait)}")
                busy = self._file.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) and "readonly" not in str(error):
                    raise
                busy = 1
            finally:
                self._file.execute(f"PRAGMA busy_timeout={int(1000 * WAIT)}")
        self._to_erase = bool(busy)
        return not busy

    def _state(self, key):
        with self._lock, told(self.where):
            row = self._file.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def _network(self, card):
        known = self._state("card")
        if known is None:
            if card is None:
                raise GluonFRError(
                    f"{display_path(self.where)} is empty and knows no network; make it again with `gluonfr enroll`."
                )
            with told(self.where):
                self._file.execute("INSERT OR IGNORE INTO state VALUES ('card', ?)", (json.dumps(card.to_dict()),))
            known = self._state("card")
        try:
            card = Card.from_dict(json.loads(known), self.where)
        except ValueError as error:
            raise GluonFRError(f"{display_path(self.where)} is damaged: {error}") from error
        if not card.embedding_size:
            raise GluonFRError(f"{display_path(self.where)} is damaged: its network has no embedding size.")
        return card

    def _refresh(self) -> None:
        """Take in what this or another process changed since the last time."""
        with told(self.where):
            seen = self._file.execute("PRAGMA data_version").fetchone()[0]
            if seen == self._seen:
                return
            # One transaction, so that people are seen whole.
            self._file.execute("BEGIN")
            try:
                self._load()
            finally:
                self._file.execute("ROLLBACK")
            self._seen = seen

    def _load(self) -> None:
        generation = self._file.execute("SELECT value FROM state WHERE key = 'generation'").fetchone()[0]
        if generation != self._generation:
            # Somebody is gone or has another name or other photos; embeddings that are here already are not read again.
            alive = self._file.execute("SELECT id, person FROM photos ORDER BY id").fetchall() if len(self._matrix) else []
            ids, people = np.array(alive, np.int64).reshape(-1, 2).T
            self._matrix.keep(ids, people)
            # Another dict, because a search may be reading this one.
            self._names, self._last_person = {}, 0
            self._generation = generation
        new = self._file.execute("SELECT id, name FROM people WHERE id > ? ORDER BY id", (self._last_person,)).fetchall()
        if new:
            self._names.update(new)
            self._last_person = new[-1][0]
        last = int(self._matrix.ids[-1]) if len(self._matrix) else 0
        if not len(self._matrix):
            self._matrix.reserve(self._file.execute("SELECT count(*) FROM photos").fetchone()[0])
        rows = self._file.execute("SELECT id, person, embedding FROM photos WHERE id > ? ORDER BY id", (last,))
        for part in iter(lambda: rows.fetchmany(_ROWS), []):
            ids, people, content = zip(*part)
            self._matrix.add(np.array(ids, np.int64), np.array(people, np.int64), self._unit(content))

    def _unit(self, content):
        size = self.card.embedding_size
        right = all(len(each) == 4 * size for each in content)
        rows = np.frombuffer(b"".join(content), np.float32).reshape(-1, size) if right else np.zeros((1, size), np.float32)
        # Also false for NaN.
        if not (np.abs(np.einsum("ij,ij->i", rows, rows) - 1) < 1e-3).all():
            raise GluonFRError(
                f"{display_path(self.where)} is damaged: an embedding is not of length 1; take a copy from before."
            )
        return rows

    def _sources(self, ids):
        source = "SELECT source FROM photos WHERE id = ?"
        with self._lock, told(self.where):
            rows = ((int(each), self._file.execute(source, (int(each),)).fetchone()) for each in ids)
            return {each: row[0] for each, row in rows if row}


def _place(path):
    """What tells a file from another one of the same name; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
