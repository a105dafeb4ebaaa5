"""Rows of the two Milvus collections of a gallery, and filters that select them."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any, Iterable, Iterator, List, Mapping, Sequence, Tuple

import numpy as np

from gluonfr.apps.gallery.stores.base import Entry, Match

# Kinds of rows in the collection of people: the stamp, which changes with every change; parts of people; notes; and changes
# that have started.
STAMP, PART, NOTE, STARTED = range(4)
STAMP_ID = 0
# Photos to send or fetch in one request.
ROWS = 1000

Row = Mapping[str, Any]
Part = Tuple[str, int]
Hits = List[Row]


def person_row(number: int, kind: int, text: str, photos: int) -> dict[str, Any]:
    """Return a row of the collection of people.

    Examples
    --------
    >>> person_row(7, PART, "Ann", 3)
    {'id': 7, 'kind': 1, 'text': 'Ann', 'photos': 3, 'vector': [0.0, 0.0]}
    """
    return {"id": number, "kind": kind, "text": text, "photos": photos, "vector": [0.0, 0.0]}


def photo_row(part: int, place: int, entry: Entry) -> dict[str, Any]:
    """Return a row of the collection of photos: photo number `place` of a part.

    Examples
    --------
    >>> row = photo_row(7, 0, Entry(np.array([1, 0], np.float32), b"d" * 32, "1.jpg"))
    >>> row["part"], row["place"], row["source"]
    (7, 0, '1.jpg')
    """
    draw = int.from_bytes(hashlib.sha256(entry.digest).digest()[:4], "big")
    values = {"digest": entry.digest.hex(), "part": part, "place": place, "draw": draw, "source": entry.source}
    return {**values, "embedding": np.ascontiguousarray(entry.embedding, np.float32)}


def entry_of(row: Row) -> Entry:
    """Return the entry of a row of the collection of photos.

    Examples
    --------
    >>> entry_of({"embedding": [1, 0], "digest": "64" * 32, "source": "1.jpg"}).source
    '1.jpg'
    """
    return Entry(np.array(row["embedding"], np.float32), bytes.fromhex(row["digest"]), row["source"])


def note_id(key: str) -> int:
    """Return the id of the row of a note, which is negative.

    Examples
    --------
    >>> note_id("a") < 0
    True
    """
    return -1 - zlib.crc32(key.encode())


def in_change(started: int, parts: int, field: str) -> str:
    """Return the filter for the parts of one change.

    Examples
    --------
    >>> in_change(100, 3, "part")
    'part > 100 and part <= 103'
    """
    return f"{field} > {started} and {field} <= {started + parts}"


def with_digests(digests: Iterable[bytes]) -> str:
    """Return the filter for photos with these digests.

    Examples
    --------
    >>> with_digests([bytes([1]), bytes([2])])
    'digest in ["01", "02"]'
    """
    listed = ", ".join(f'"{digest.hex()}"' for digest in digests)
    return f"digest in [{listed}]"


def batches(values: Sequence[Any], size: int = ROWS) -> list[Any]:
    """Split a sequence into parts of at most `size` values.

    Examples
    --------
    >>> batches([1, 2, 3], 2)
    [[1, 2], [3]]
    """
    return [values[start : start + size] for start in range(0, len(values), size)]


def photo_filters(parts: Iterable[tuple[int, int]], size: int = ROWS) -> Iterator[str]:
    """Yield filters that together select the photos of all parts, in order, at most `size` per filter.

    Parameters
    ----------
    parts : iterable of (int, int)
        Number and photo count of each part.
    size : int, default 1000

    Examples
    --------
    >>> list(photo_filters([(1, 3), (2, 3), (9, 12)], 10))
    ['part in [1, 2]', 'part == 9 and place >= 0 and place < 10', 'part == 9 and place >= 10 and place < 20']
    """
    together: list[int] = []
    total = 0
    for part, count in parts:
        if together and total + count > size:
            yield f"part in {together}"
            together, total = [], 0
        if count > size:
            yield from (f"part == {part} and place >= {at} and place < {at + size}" for at in range(0, count, size))
        else:
            together.append(part)
            total += count
    if together:
        yield f"part in {together}"


def people_of_hits(hits: Hits, parts: Mapping[int, Part], best: dict[str, Match], k: int) -> list[Match]:
    """Return the first k people of search hits, which come best first.

    Parameters
    ----------
    hits : list of dict
    parts : dict of int to (str, int)
        Name and photo count of each part.
    best : dict of str to Match
        People found before; extended.
    k : int

    Examples
    --------
    >>> hits = [{"distance": 0.9, "entity": {"part": 1, "source": "a"}}, {"distance": 0.8, "entity": {"part": 2, "source": ""}}]
    >>> people_of_hits(hits, {1: ("Ann", 1), 2: ("Ann", 1)}, {}, 5)
    [Match(name='Ann', similarity=0.9, source='a')]
    """
    for hit in hits:
        part = hit["entity"]["part"]
        if part in parts:
            name = parts[part][0]
            best.setdefault(name, Match(name, float(hit["distance"]), hit["entity"]["source"]))
    return list(best.values())[:k]
