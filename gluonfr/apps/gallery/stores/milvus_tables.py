"""The collections of a gallery on a Milvus server: reads, atomic commits, and repair of interrupted changes."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from typing import Any, Dict, Iterable

import numpy as np

from gluonfr.apps.gallery.stores.base import Entry
from gluonfr.apps.gallery.stores.milvus_rows import (
    PART,
    STAMP,
    STAMP_ID,
    STARTED,
    Hits,
    Part,
    batches,
    in_change,
    person_row,
    photo_row,
    with_digests,
)
from gluonfr.apps.gallery.stores.milvus_server import MilvusServer

# People in one change, whose names are sent in one message.
MOST_PEOPLE = 10_000
# Digests in one query, each of which waits for the server's clock.
_DIGESTS = 10_000
# Seconds after which an unfinished change is assumed to be of a process that has ended.
_ABANDONED_AFTER = 3600

Parts = Dict[int, Part]


class MilvusTables:
    """The two collections of a gallery.

    Parameters
    ----------
    server : MilvusServer

    Attributes
    ----------
    server : MilvusServer

    Examples
    --------
    >>> MilvusTables(MilvusServer("milvus://10.0.0.5:19530/staff")).refresh()  # doctest: +SKIP
    {1795939200000000001: ('Ann', 3)}
    """

    def __init__(self, server: MilvusServer) -> None:
        self.server = server
        # The latest stamp and the parts at that time, replaced together because searches read them without a lock.
        self._known: tuple[str, Parts] = "", {}

    def __repr__(self) -> str:
        return f"MilvusTables({self.server.where!r})"

    @property
    def parts(self) -> Parts:
        """Name and photo count of each part, as read by the latest `refresh`."""
        return self._known[1]

    def start_change(self, known: Parts, parts: int) -> int:
        """Record that a change has started, and return its number; the numbers of its parts follow it."""
        started = max([time.time_ns(), *(part + 1 for part in known)])
        self.write_people([person_row(started, STARTED, str(time.time()), parts)])
        return started

    def correct_counts(self, started: int, known: set[int]) -> None:
        """Correct the counts of parts that lost photos to a process that enrolled the same photos at the same moment.

        A photo is one row, of the part that wrote it last. Both processes check here after their names are visible: at least
        one of them finds the name of the other one, or finds that its photos are gone.
        """
        parts = {part: values for part, values in self.parts.items() if part not in known}
        others = [part for part in parts if not started < part <= started + MOST_PEOPLE]
        which = in_change(started, MOST_PEOPLE, "part") + (f" or part in {others}" if others else "")
        if self.count_photos(which) == sum(photos for _, photos in parts.values()):
            return
        left = Counter(row["part"] for row in self.server.all_rows(self.server.photos, which, ["part"]))
        wrong = {part: name for part, (name, photos) in parts.items() if left[part] != photos}
        # A part without photos is ignored.
        if wrong:
            self.commit([person_row(part, PART, name if left[part] else "", left[part]) for part, name in wrong.items()])

    def owners(self, digests: Iterable[bytes], known: Parts, level: str = "Bounded") -> dict[bytes, str]:
        """Return the names of the people to whom enrolled digests belong, given the parts."""
        owners = {}
        for batch in batches(list(digests), _DIGESTS):
            rows = self.query_photos(with_digests(batch), ["part", "digest"], level)
            owners.update({bytes.fromhex(row["digest"]): known[row["part"]][0] for row in rows if row["part"] in known})
        return owners

    def refresh(self, level: str = "Bounded") -> Parts:
        """Return all parts; they are read again if the stamp has changed."""
        stamp, parts = self._known
        rows = self.server.ask(
            "query", self.server.people, f"id == {STAMP_ID}", output_fields=["text"], consistency_level=level
        )
        if (rows[0]["text"] if rows else "") == stamp:
            return parts
        # With the stamp, so that it is the stamp of these rows.
        which = f"id == {STAMP_ID} or (kind == {PART} and photos > 0)"
        rows = self.server.all_rows(self.server.people, which, ["id", "kind", "text", "photos"])
        stamps = [row["text"] for row in rows if row["kind"] == STAMP]
        # A new dict, because a search may be using the old one.
        parts = {row["id"]: (row["text"], row["photos"]) for row in rows if row["kind"] == PART}
        self._known = stamps[0] if stamps else "", parts
        return parts

    def commit(self, rows: list[dict[str, Any]]) -> None:
        """Write parts in one request; returns when every reader sees them."""
        self.write_people([person_row(STAMP_ID, STAMP, uuid.uuid4().hex, 0), *rows])
        self.refresh("Strong")

    def write_people(self, rows: list[dict[str, Any]]) -> None:
        """Insert or replace rows of the collection of people."""
        self.server.ask("upsert", self.server.people, rows)

    def write_photos(self, photos: Iterable[tuple[int, int, Entry]]) -> None:
        """Insert or replace photos: (part, place in the part, entry) each."""
        for batch in batches([photo_row(*photo) for photo in photos]):
            self.server.ask("upsert", self.server.photos, batch)

    def query_photos(self, which: str, fields: list[str], level: str = "Bounded") -> list[dict[str, Any]]:
        """Return these fields of the photos that a filter selects."""
        return self.server.ask("query", self.server.photos, which, output_fields=fields, consistency_level=level)

    def count_photos(self, which: str) -> int:
        """Return the number of photos that a filter selects, as of now."""
        return self.query_photos(which, ["count(*)"], "Strong")[0]["count(*)"]

    def delete_people(self, numbers: list[int]) -> None:
        """Delete rows of the collection of people."""
        self.server.ask("delete", self.server.people, ids=numbers)

    def delete_photos(self, which: str) -> None:
        """Delete the photos that a filter selects."""
        for batch in batches([row["digest"] for row in self.query_photos(which, ["digest"], "Strong")]):
            self.server.ask("delete", self.server.photos, ids=batch)

    def delete_parts(self, parts: list[int]) -> None:
        """Delete parts with their photos."""
        for batch in batches(parts):
            self.delete_photos(f"part in {batch}")
            self.delete_people(batch)

    def finish_abandoned_changes(self) -> None:
        """Delete what killed processes left: people that were being removed, and photos without a name."""
        which = f"kind == {STARTED} or (kind == {PART} and photos == 0)"
        rows = self.server.all_rows(self.server.people, which, ["id", "kind", "text", "photos"])
        self.delete_parts([row["id"] for row in rows if row["kind"] == PART])
        for row in rows:
            if row["kind"] == STARTED and float(row["text"]) < time.time() - _ABANDONED_AFTER:
                if not self.server.all_rows(self.server.people, in_change(row["id"], row["photos"], "id"), ["id"]):
                    self.delete_photos(in_change(row["id"], row["photos"], "part"))
                self.delete_people([row["id"]])

    def nearest(self, queries: np.ndarray, limit: int, which: str = "") -> list[Hits]:
        """Return the photos most similar to each query, best first."""
        options = {"output_fields": ["part", "source"], "search_params": {"metric_type": "IP"}}
        return self.server.ask("search", self.server.photos, list(queries), which, limit=limit, **options)
