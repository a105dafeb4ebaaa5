"""A gallery on a Milvus server, for several machines.

Milvus has no transactions, but the rows of one request to a collection of one shard become visible together. Each call of `add`
therefore gives every person in it a new *part*: first all photos are written with the numbers of their parts, then one request
writes the parts with the names, which makes the change visible. A person consists of all parts with one name, so names stay
unique with several writers. Photos of a part that does not exist are ignored. The key of a photo is its digest, so that
there is never a duplicate.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from typing import Any, Iterable, Iterator

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
from gluonfr.apps.gallery.stores.milvus_rows import (
    NOTE,
    PART,
    ROWS,
    batches,
    entry_of,
    in_change,
    note_id,
    people_of_hits,
    person_row,
    photo_filters,
    with_digests,
)
from gluonfr.apps.gallery.stores.milvus_server import LONGEST_TEXT, MOST_ROWS, MilvusServer
from gluonfr.apps.gallery.stores.milvus_tables import MOST_PEOPLE, MilvusTables, Parts
from gluonfr.apps.gallery.stores.source_paths import OLD_NAME_IN_SOURCES, rename_in_source
from gluonfr.core import Card, DataError, GluonFRError, UsageError, display_path

logger = logging.getLogger(__name__)

# Queries in one search, and photos found for them.
_QUERIES, _FOUND = 100, 100_000
# Photos to search per wanted person, because a person has several photos.
_PHOTOS_PER_PERSON = 4
_DRAWS = 1 << 32
_LEFT = (
    "Milvus marks removed data as deleted, so that no search finds it, but the server decides when the old bytes leave its "
    "disks and its log. Use a gallery in a file if they must be erased."
)


class MilvusStore(GalleryStore):
    """A gallery on a Milvus server.

    Parameters
    ----------
    where : str
        `milvus://[USER:PASSWORD@]HOST[:PORT]/NAME`.
    card : Card, optional
        Card of the network; required to create a gallery. `Gallery` refuses a network other than that of the gallery.
    create : bool, default True
        Create the gallery if it is missing.

    Raises
    ------
    GluonFRError
        No server answers, the gallery is missing, of a later format, or not a gallery; pymilvus is not installed.

    Examples
    --------
    >>> MilvusStore("milvus://10.0.0.5:19530/staff").count()  # doctest: +SKIP
    (120, 480)
    """

    def __init__(self, where: str, card: Card | None = None, create: bool = True) -> None:
        self._server, self._lock = MilvusServer(where), threading.RLock()
        self.where = self._server.where
        self._tables = MilvusTables(self._server)
        try:
            self.card = self._server.open(card, create)
            self._tables.finish_abandoned_changes()
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"MilvusStore({self.where!r})"

    @staticmethod
    def exists(where: str) -> bool:
        """Return whether the gallery exists on the server."""
        server = MilvusServer(where)
        try:
            return server.has_gallery()
        finally:
            server.close()

    def add(self, people: Entries) -> int:
        """Add photos to new or existing people, and return the number of new photos."""
        if len(people) > MOST_PEOPLE:
            raise UsageError(f"{len(people):,} people in one change; enroll at most {MOST_PEOPLE:,} at a time.")
        with self._lock:
            known = self._tables.refresh("Strong")
            new = self._new_entries(people, known)
            if not new:
                return 0
            started = self._tables.start_change(known, len(new))
            parts = {name: started + number for number, name in enumerate(new, 1)}
            count = sum(map(len, new.values()))
            self._tables.write_photos((parts[name], *item) for name, entries in new.items() for item in enumerate(entries))
            # Strong consistency waits until all photos can be found, so that no reader sees some of them.
            if self._tables.count_photos(in_change(started, len(new), "part")) != count:
                # They are not deleted here: meanwhile they may have become the other process's.
                raise DataError(f"{display_path(self.where)}: another process is enrolling some of these photos; try again.")
            self._tables.commit([person_row(parts[name], PART, name, len(entries)) for name, entries in new.items()])
            self._tables.delete_people([started])
            self._tables.correct_counts(started, set(known))
            return count

    def remove(self, name: str) -> Change:
        """Remove a person."""
        with self._lock:
            parts = self._parts_of(name)
            # From now on these photos are ignored. The next process that opens the gallery deletes what a kill leaves.
            self._tables.commit([person_row(part, PART, "", 0) for part in parts])
            self._tables.delete_parts(list(parts))
            return Change(sum(parts.values()), False, _LEFT)

    def remove_photos(self, name: str, digests: list[bytes]) -> Change:
        """Remove these photos of a person; a person without photos is removed."""
        with self._lock:
            rows = self._photos_of(name, digests)
            for batch in batches([row["digest"] for row in rows]):
                self._server.ask("delete", self._server.photos, ids=batch)
            self._tables.commit(self._reduced_parts(rows))
            return Change(len(rows), False, _LEFT)

    def move_photos(self, name: str, digests: list[bytes], into: str) -> Change:
        """Move these photos of a person to another person, who may be new."""
        with self._lock:
            rows = self._photos_of(name, digests)
            if name == into:
                raise same_person_twice(name)
            started = self._tables.start_change(self._tables.parts, 1)
            entries = [entry_of(row) for row in rows]
            moved = [Entry(entry.embedding, entry.digest, rename_in_source(entry.source, name, into)) for entry in entries]
            self._tables.write_photos((started + 1, *item) for item in enumerate(moved))
            self._tables.count_photos(in_change(started, 1, "part"))
            self._tables.commit([person_row(started + 1, PART, into, len(rows)), *self._reduced_parts(rows)])
            self._tables.delete_people([started])
            return Change(len(rows), False, _LEFT)

    def rename(self, old: str, new: str) -> Change:
        """Give a person a name that is not in use."""
        with self._lock:
            parts = self._parts_of(old)
            if any(name == new for name, _ in self._tables.parts.values()):
                raise name_in_use(new)
            return self._rename_parts(parts, new)

    def merge(self, name: str, into: str) -> Change:
        """Move all photos of a person to another person."""
        with self._lock:
            parts, _ = self._parts_of(name), self._parts_of(into)
            if name == into:
                raise same_person_twice(name)
            return self._rename_parts(parts, into)

    def people(self) -> list[Person]:
        """Return all people in the order of their enrollment."""
        photos: dict[str, int] = {}
        for _, (name, count) in sorted(self._tables.refresh().items()):
            photos[name] = photos.get(name, 0) + count
        return [Person(*item) for item in photos.items()]

    def count(self) -> tuple[int, int]:
        """Return the numbers of people and photos."""
        parts = self._tables.refresh().values()
        return len({name for name, _ in parts}), sum(photos for _, photos in parts)

    def owners(self, digests: Iterable[bytes]) -> dict[bytes, str]:
        """Return the names of the people to whom enrolled digests belong."""
        return self._tables.owners(digests, self._tables.refresh())

    def entries(self, name: str | None = None) -> Iterator[tuple[str, Entry]]:
        """Iterate over (name, entry) of all photos, or of one person."""
        known = self._tables.refresh()
        parts = sorted((part, count) for part, (owner, count) in known.items() if name in (None, owner))
        if name is not None and not parts:
            raise unknown_person(name, self.where)
        for chosen in photo_filters(parts, ROWS):
            rows = self._tables.query_photos(chosen, ["part", "place", "digest", "source", "embedding"])
            for row in sorted(rows, key=lambda row: (row["part"], row["place"])):
                yield known[row["part"]][0], entry_of(row)

    def search(self, queries: np.ndarray, k: int) -> list[list[Match]]:
        """Return the k most similar people per query, best first.

        Milvus adds in float32: people with similarities that differ by less than 1e-6 may change places.
        """
        parts = self._tables.refresh()
        queries, k = np.ascontiguousarray(queries, np.float32), min(k, len({name for name, _ in parts.values()}))
        found: list[list[Match]] = [[] for _ in queries]
        waiting, photos = list(range(len(queries) if k else 0)), _PHOTOS_PER_PERSON * k
        while waiting:
            again, limit = [], min(photos, MOST_ROWS)
            for batch in batches(waiting, max(1, min(_QUERIES, _FOUND // limit))):
                for query, hits in zip(batch, self._tables.nearest(queries[batch], limit)):
                    found[query] = people_of_hits(hits, parts, {}, k)
                    if len(found[query]) < k and len(hits) == limit:
                        again.append(query)
            if limit == MOST_ROWS:
                for query in again:
                    found[query] = self._search_beyond_limit(queries[query], parts, k)
                again = []
            waiting, photos = again, 4 * photos
        return found

    def sample(self, limit: int) -> tuple[list[str], np.ndarray]:
        """Return names and embeddings of at most `limit` random photos."""
        parts = self._tables.refresh()
        total = max(1, sum(photos for _, photos in parts.values()))
        # More than wanted, because the number of draws below a bound is random.
        bound = min(_DRAWS, int(_DRAWS * (limit + 6 * limit**0.5 + 10) / total) + 1)
        rows = self._tables.query_photos(f"draw < {bound}", ["part", "draw", "digest", "embedding"])
        rows = sorted((row for row in rows if row["part"] in parts), key=lambda row: (row["draw"], row["digest"]))[:limit]
        embeddings = np.array([row["embedding"] for row in rows], np.float32).reshape(len(rows), self.card.embedding_size)
        return [parts[row["part"]][0] for row in rows], embeddings

    def save_note(self, key: str, text: str) -> None:
        """Store a text, unless it is too long or the server refuses it."""
        if len(text.encode()) > LONGEST_TEXT:
            return
        try:
            self._tables.write_people([person_row(note_id(key), NOTE, text, 0)])
        except GluonFRError as error:
            logger.debug("%s", error)

    def load_note(self, key: str) -> str | None:
        """Return the text stored under a key, or None."""
        rows = self._server.ask("query", self._server.people, f"id == {note_id(key)}", output_fields=["text"])
        return rows[0]["text"] if rows else None

    def close(self) -> None:
        """Close the connection."""
        self._server.close()

    def _new_entries(self, people: Entries, known: Parts) -> Entries:
        """Return the entries that are not enrolled yet, without people who have none."""
        owners = self._tables.owners([entry.digest for entries in people.values() for entry in entries], known, "Strong")
        new: Entries = {}
        for name, entries in people.items():
            for entry in entries:
                owner = owners.get(entry.digest)
                if owner is None:
                    owners[entry.digest] = name
                    new.setdefault(name, []).append(entry)
                elif owner != name:
                    raise photo_in_use(entry, name, owner)
        return new

    def _parts_of(self, name: str) -> dict[int, int]:
        """Return the photo counts of a person's parts."""
        parts = {part: count for part, (owner, count) in self._tables.refresh("Strong").items() if owner == name}
        if not parts:
            raise unknown_person(name, self.where)
        return parts

    def _photos_of(self, name: str, digests: list[bytes]) -> list[dict[str, Any]]:
        """Return the rows of some photos of a person."""
        parts, rows = self._parts_of(name), []
        for batch in batches(digests):
            rows += self._tables.query_photos(with_digests(batch), ["digest", "part", "source", "embedding"], "Strong")
        if not rows or len(rows) < len(digests) or not all(row["part"] in parts for row in rows):
            raise unknown_photo(name)
        return rows

    def _reduced_parts(self, photos: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of the parts of these photos, with their counts without them."""
        removed = Counter(row["part"] for row in photos)
        known = {part: self._tables.parts[part] for part in removed}
        left = {part: count - removed[part] for part, (_, count) in known.items()}
        return [person_row(part, PART, known[part][0] if left[part] else "", left[part]) for part in removed]

    def _rename_parts(self, parts: dict[int, int], name: str) -> Change:
        self._tables.commit([person_row(part, PART, name, count) for part, count in parts.items()])
        # The source of a photo is in one row with its embedding, and is not written again.
        return Change(sum(parts.values()), False, f"{_LEFT} {OLD_NAME_IN_SOURCES}")

    def _search_beyond_limit(self, query: np.ndarray, parts: Parts, k: int) -> list[Match]:
        """Search for one query whose k-th person comes after more photos than Milvus returns."""
        best: dict[str, Match] = {}
        seen: set[int] = set()
        while True:
            (hits,) = self._tables.nearest(query[None], MOST_ROWS, f"part not in {sorted(seen)}" if seen else "")
            found = people_of_hits(hits, parts, best, k)
            if len(found) == k or len(hits) < MOST_ROWS:
                return found
            seen.update(hit["entity"]["part"] for hit in hits)
