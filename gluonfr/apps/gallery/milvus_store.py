"""The engine for more than one machine: a Milvus server keeps the people and searches among them.

Milvus has no transactions, but what one request writes to a collection of one shard is seen at once or not at all. So each call
of `add` gives every person that it names a new *part*: first all photos are written with the numbers of their parts, then one
request writes the parts with the names, and with that the change is there. A person is all parts of one name, which keeps
names unique whoever writes. Photos of a part that is not there are nobody's. A photo's key is its digest, so that there is
never a second one.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
import zlib
from collections import Counter

import numpy as np

from gluonfr.apps.gallery.milvus_server import LONGEST_TEXT, MOST_ROWS, Server
from gluonfr.apps.gallery.source_paths import PATHS_KEEP_IT
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
from gluonfr.core import GluonFRError, display_path

logger = logging.getLogger(__name__)

# Rows of the collection of people: one that changes with every change, parts, notes, and changes that have begun.
_STAMP, _PART, _NOTE, _BEGUN = range(4)
_STAMP_ID = 0
# Names of one change, which go to the server in one message.
_MOST_PEOPLE = 10_000
# Photos that are sent or fetched together; digests that are asked for, of which each question waits for the server's clock;
# queries, and photos found for them.
_ROWS, _DIGESTS, _QUERIES, _FOUND = 1000, 10_000, 100, 100_000
# More than the people asked for, because a person has several photos.
_PHOTOS_EACH = 4
# A change that began so many seconds ago is of a process that is no more.
_GIVEN_UP = 3600
_DRAWS = 1 << 32
_LEFT = (
    "Milvus marks what is taken away as deleted, so that nobody finds it, but the old bytes stay on the server's disks and in "
    "its log for as long as it likes. Where they must be gone, keep the gallery in a file."
)


class MilvusStore(GalleryStore):
    """A gallery on a Milvus server, for any number of machines.

    Parameters
    ----------
    where : str
        `milvus://[USER:PASSWORD@]HOST[:PORT]/NAME`.
    card : Card, optional
        Of the network; needed to make a new gallery. Another network than the gallery's is for `Gallery` to refuse.
    create : bool, default True
        Make the gallery when it is missing.

    Raises
    ------
    GluonFRError
        No server answers, the gallery is missing, of a later format, or no gallery; pymilvus is not installed.
    """

    def __init__(self, where, card=None, create=True) -> None:
        self._server, self._lock = Server(where), threading.RLock()
        self.where = self._server.where
        # The stamp that was seen last, and the parts there were then: number to (name, photos).
        self._known = "", {}
        try:
            self.card = self._server.open(card, create)
            self._finish_others()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def is_there(where):
        server = Server(where)
        try:
            return server.is_there()
        finally:
            server.close()

    def add(self, people):
        if len(people) > _MOST_PEOPLE:
            raise GluonFRError(f"{len(people):,} people in one change; enroll at most {_MOST_PEOPLE:,} at a time.")
        with self._lock:
            known = self._refresh("Strong")
            new = self._new(people, known)
            if not new:
                return 0
            begun = max([time.time_ns(), *(part + 1 for part in known)])
            parts = {name: begun + number for number, name in enumerate(new, 1)}
            self._write_people([_row(begun, _BEGUN, str(time.time()), len(new))])
            count = sum(map(len, new.values()))
            self._write_photos((parts[name], *each) for name, entries in new.items() for each in enumerate(entries))
            # Waits until all photos are to be found, so that nobody sees a part of them.
            if self._count_photos(_span(begun, len(new), "part")) != count:
                # Not taken away here: between asking which are this part's and deleting them they may become another process's.
                raise GluonFRError(f"{display_path(self.where)}: another process is enrolling some of these photos; try again.")
            self._commit([_row(parts[name], _PART, name, len(entries)) for name, entries in new.items()])
            self._delete_people([begun])
            self._count_again(begun, set(known))
            return count

    def _count_again(self, begun, known) -> None:
        """Correct parts that lost photos to another process, which enrolled the same ones at the same moment.

        A photo is one row, of the part that wrote it last. Either that part's process finds the other one's name when it has
        written its own, or the other one finds its photos gone: both look here, after their names are there.
        """
        parts = {part: each for part, each in self._known[1].items() if part not in known}
        others = [part for part in parts if not begun < part <= begun + _MOST_PEOPLE]
        which = f"{_span(begun, _MOST_PEOPLE, 'part')} or part in {others}" if others else _span(begun, _MOST_PEOPLE, "part")
        if self._count_photos(which) == sum(photos for _, photos in parts.values()):
            return
        left = Counter(row["part"] for row in self._server.everything(self._server.photos, which, ["part"]))
        wrong = {part: name for part, (name, photos) in parts.items() if left[part] != photos}
        # A part without photos is nobody.
        if wrong:
            self._commit([_row(part, _PART, name if left[part] else "", left[part]) for part, name in wrong.items()])

    def remove(self, name):
        with self._lock:
            parts = self._parts_of(name)
            # From here on they are nobody's; who opens the gallery next takes away what a kill leaves of them.
            self._commit([_row(part, _PART, "", 0) for part in parts])
            self._take_away(list(parts))
            return Change(sum(parts.values()), False, _LEFT)

    def rename(self, old, new):
        with self._lock:
            parts = self._parts_of(old)
            if any(name == new for name, _ in self._known[1].values()):
                raise enrolled_already(new)
            return self._give(parts, new)

    def merge(self, name, into):
        with self._lock:
            parts, _ = self._parts_of(name), self._parts_of(into)
            if name == into:
                raise same_person(name)
            return self._give(parts, into)

    def people(self):
        photos = {}
        for _, (name, count) in sorted(self._refresh().items()):
            photos[name] = photos.get(name, 0) + count
        return [Person(*each) for each in photos.items()]

    def count(self):
        parts = self._refresh().values()
        return len({name for name, _ in parts}), sum(photos for _, photos in parts)

    def owners(self, digests):
        return self._owners(digests, self._refresh())

    def entries(self, name=None):
        known = self._refresh()
        parts = sorted((part, count) for part, (owner, count) in known.items() if name in (None, owner))
        if name is not None and not parts:
            raise not_here(name, self.where)
        for chosen in _portions(parts):
            rows = self._photos(chosen, ["part", "place", "digest", "source", "embedding"])
            for row in sorted(rows, key=lambda row: (row["part"], row["place"])):
                embedding = np.array(row["embedding"], np.float32)
                yield known[row["part"]][0], Entry(embedding, bytes.fromhex(row["digest"]), row["source"])

    def search(self, queries, k):
        """Also float32 sums, as Milvus adds them: people whose similarities differ by less than 1e-6 may change places."""
        parts = self._refresh()
        queries, k = np.ascontiguousarray(queries, np.float32), min(k, len({name for name, _ in parts.values()}))
        found = [[] for _ in queries]
        waiting, photos = list(range(len(queries) if k else 0)), _PHOTOS_EACH * k
        while waiting:
            again, limit = [], min(photos, MOST_ROWS)
            step = max(1, min(_QUERIES, _FOUND // limit))
            for start in range(0, len(waiting), step):
                some = waiting[start : start + step]
                for query, hits in zip(some, self._nearest(queries[some], limit)):
                    found[query] = _people_of(hits, parts, {}, k)
                    if len(found[query]) < k and len(hits) == limit:
                        again.append(query)
            if limit == MOST_ROWS:
                for query in again:
                    found[query] = self._beyond(queries[query], parts, k)
                again = []
            waiting, photos = again, 4 * photos
        return found

    def sample(self, limit):
        parts = self._refresh()
        total = max(1, sum(photos for _, photos in parts.values()))
        # More than wanted, because chance decides how many there are below a bound.
        bound = min(_DRAWS, int(_DRAWS * (limit + 6 * limit**0.5 + 10) / total) + 1)
        rows = self._photos(f"draw < {bound}", ["part", "draw", "digest", "embedding"])
        rows = sorted((row for row in rows if row["part"] in parts), key=lambda row: (row["draw"], row["digest"]))[:limit]
        embeddings = np.array([row["embedding"] for row in rows], np.float32).reshape(len(rows), self.card.embedding_size)
        return [parts[row["part"]][0] for row in rows], embeddings

    def note(self, key, text) -> None:
        if len(text.encode()) > LONGEST_TEXT:
            return
        try:
            self._write_people([_row(_note_id(key), _NOTE, text, 0)])
        except GluonFRError as error:
            logger.debug("%s", error)

    def notes(self, key):
        rows = self._server.ask("query", self._server.people, f"id == {_note_id(key)}", output_fields=["text"])
        return rows[0]["text"] if rows else None

    def close(self) -> None:
        self._server.close()

    def _new(self, people, known):
        """What of it is not there yet: dict of name to list of Entry, without empty ones."""
        owners = self._owners([entry.digest for entries in people.values() for entry in entries], known, "Strong")
        new = {}
        for name, entries in people.items():
            for entry in entries:
                owner = owners.get(entry.digest)
                if owner is None:
                    owners[entry.digest] = name
                    new.setdefault(name, []).append(entry)
                elif owner != name:
                    raise taken(entry, name, owner)
        return new

    def _owners(self, digests, known, level="Bounded"):
        owners = {}
        for some in _some(list(digests), _DIGESTS):
            listed = ", ".join(f'"{digest.hex()}"' for digest in some)
            rows = self._photos(f"digest in [{listed}]", ["part", "digest"], level)
            owners.update({bytes.fromhex(row["digest"]): known[row["part"]][0] for row in rows if row["part"] in known})
        return owners

    def _parts_of(self, name):
        """Part to number of photos of somebody who is there."""
        parts = {part: count for part, (owner, count) in self._refresh("Strong").items() if owner == name}
        if not parts:
            raise not_here(name, self.where)
        return parts

    def _give(self, parts, name):
        self._commit([_row(part, _PART, name, count) for part, count in parts.items()])
        # A photo's path is one row with its embedding, and is not written anew.
        return Change(sum(parts.values()), False, f"{_LEFT} {PATHS_KEEP_IT}")

    def _refresh(self, level="Bounded"):
        """All parts, read again when the stamp says that something changed."""
        stamp, parts = self._known
        rows = self._server.ask(
            "query", self._server.people, f"id == {_STAMP_ID}", output_fields=["text"], consistency_level=level
        )
        seen = rows[0]["text"] if rows else ""
        if seen == stamp:
            return parts
        # The stamp again: it must be that of these rows.
        which = f"id == {_STAMP_ID} or (kind == {_PART} and photos > 0)"
        rows = self._server.everything(self._server.people, which, ["id", "kind", "text", "photos"])
        stamps = [row["text"] for row in rows if row["kind"] == _STAMP]
        # Another dict, because a search may be using the one before.
        parts = {row["id"]: (row["text"], row["photos"]) for row in rows if row["kind"] == _PART}
        self._known = stamps[0] if stamps else "", parts
        return parts

    def _commit(self, rows) -> None:
        """Write parts in one request; returns when every reader sees them."""
        stamp = uuid.uuid4().hex
        self._write_people([_row(_STAMP_ID, _STAMP, stamp, 0), *rows])
        self._refresh("Strong")

    def _write_people(self, rows) -> None:
        self._server.ask("upsert", self._server.people, rows)

    def _write_photos(self, photos) -> None:
        rows = []
        for part, place, entry in photos:
            draw = int.from_bytes(hashlib.sha256(entry.digest).digest()[:4], "big")
            values = {"digest": entry.digest.hex(), "part": part, "place": place, "draw": draw, "source": entry.source}
            rows.append({**values, "embedding": np.ascontiguousarray(entry.embedding, np.float32)})
        for some in _some(rows):
            self._server.ask("upsert", self._server.photos, some)

    def _photos(self, which, fields, level="Bounded"):
        return self._server.ask("query", self._server.photos, which, output_fields=fields, consistency_level=level)

    def _count_photos(self, which):
        return self._photos(which, ["count(*)"], "Strong")[0]["count(*)"]

    def _delete_photos(self, which) -> None:
        for some in _some([row["digest"] for row in self._photos(which, ["digest"], "Strong")]):
            self._server.ask("delete", self._server.photos, ids=some)

    def _delete_people(self, numbers) -> None:
        self._server.ask("delete", self._server.people, ids=numbers)

    def _take_away(self, parts) -> None:
        for some in _some(parts):
            self._delete_photos(f"part in {some}")
            self._delete_people(some)

    def _finish_others(self) -> None:
        """Take away what killed processes left: people whose removal had begun, and photos whose names never came."""
        which = f"kind == {_BEGUN} or (kind == {_PART} and photos == 0)"
        rows = self._server.everything(self._server.people, which, ["id", "kind", "text", "photos"])
        self._take_away([row["id"] for row in rows if row["kind"] == _PART])
        for row in rows:
            if row["kind"] == _BEGUN and float(row["text"]) < time.time() - _GIVEN_UP:
                came = self._server.everything(self._server.people, _span(row["id"], row["photos"], "id"), ["id"])
                if not came:
                    self._delete_photos(_span(row["id"], row["photos"], "part"))
                self._delete_people([row["id"]])

    def _nearest(self, queries, limit, which=""):
        return self._server.ask(
            "search",
            self._server.photos,
            list(queries),
            which,
            limit=limit,
            output_fields=["part", "source"],
            search_params={"metric_type": "IP"},
        )

    def _beyond(self, query, parts, k):
        """People of one query where more photos than Milvus gives are more like it than the k-th person."""
        best, seen = {}, set()
        while True:
            (hits,) = self._nearest(query[None], MOST_ROWS, f"part not in {sorted(seen)}" if seen else "")
            found = _people_of(hits, parts, best, k)
            if len(found) == k or len(hits) < MOST_ROWS:
                return found
            seen.update(hit["entity"]["part"] for hit in hits)


def _row(number, kind, text, photos):
    return {"id": number, "kind": kind, "text": text, "photos": photos, "vector": [0.0, 0.0]}


def _note_id(key):
    return -1 - zlib.crc32(key.encode())


def _span(begun, parts, field) -> str:
    return f"{field} > {begun} and {field} <= {begun + parts}"


def _some(values, size=_ROWS):
    return [values[start : start + size] for start in range(0, len(values), size)]


def _people_of(hits, parts, best, k):
    """The first k Match of the people of hits, which come best first; `best`, by name, is filled up."""
    for hit in hits:
        part = hit["entity"]["part"]
        if part in parts:
            name = parts[part][0]
            best.setdefault(name, Match(name, float(hit["distance"]), hit["entity"]["source"]))
    return list(best.values())[:k]


def _portions(parts):
    """Filters that together give the photos of all (part, number of photos), in order, some at a time."""
    some, total = [], 0
    for part, count in parts:
        if some and total + count > _ROWS:
            yield f"part in {some}"
            some, total = [], 0
        if count > _ROWS:
            yield from (f"part == {part} and place >= {at} and place < {at + _ROWS}" for at in range(0, count, _ROWS))
        else:
            some.append(part)
            total += count
    if some:
        yield f"part in {some}"
