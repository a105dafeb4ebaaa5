"""The embeddings of a gallery in memory, and the exact search over them."""

from __future__ import annotations

import numpy as np

from gluonfr.core.top_k import MEMORY, top_k

# Bound of the norms of unit vectors in float32; saves a pass over all rows.
_NORM = 1.001
# Photos to search per wanted person, because a person has several photos.
_PHOTOS_PER_PERSON = 4


class Matrix:
    """Unit embeddings, with the number of the person of each row.

    The arrays of a `snapshot` do not change while rows are added or removed, so that searches need no lock.

    Parameters
    ----------
    size : int
        Embedding size D.

    Attributes
    ----------
    ids : np.ndarray, (N,) int64
        Increasing row ids.
    people : np.ndarray, (N,) int64
        Number of the person of each row.

    Examples
    --------
    >>> matrix = Matrix(2)
    >>> matrix.add(np.array([1, 2]), np.array([7, 8]), np.eye(2, dtype=np.float32))
    >>> matrix
    Matrix(rows=2, size=2)
    """

    def __init__(self, size: int) -> None:
        self.ids, self.people = np.empty(0, np.int64), np.empty(0, np.int64)
        self._space, self._size = np.empty((0, size), np.float32), size

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"Matrix(rows={len(self)}, size={self._size})"

    @property
    def rows(self) -> np.ndarray:
        """View of the embeddings, (N, D) float32."""
        return self._space[: len(self)]

    def reserve(self, rows: int) -> None:
        """Allocate space for this number of rows, so that adding them copies nothing."""
        if len(self._space) < rows:
            space = np.empty((rows, self._size), np.float32)
            space[: len(self)] = self.rows
            self._space = space

    def add(self, ids: np.ndarray, people: np.ndarray, rows: np.ndarray) -> None:
        """Append rows."""
        count = len(self) + len(ids)
        if count > len(self._space):
            self.reserve(count + count // 4)
        self._space[len(self) : count] = rows
        self.ids, self.people = np.concatenate([self.ids, ids]), np.concatenate([self.people, people])

    def keep(self, ids: np.ndarray, people: np.ndarray) -> None:
        """Drop all rows except those with these increasing ids, and set their people."""
        place = np.minimum(np.searchsorted(ids, self.ids), max(len(ids) - 1, 0))
        alive = ids[place] == self.ids if len(ids) else np.zeros(len(self), bool)
        if not alive.all():
            # A new array, because a search may be reading this one.
            self._space = self.rows[alive]
        self.ids, self.people = self.ids[alive], people[place[alive]]

    def snapshot(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (rows, people, ids), which later changes do not affect."""
        return self.rows, self.people, self.ids


def search_people(
    queries: np.ndarray, rows: np.ndarray, people: np.ndarray, k: int, count: int, memory: int = MEMORY
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Find the k people with the most similar photo, exactly.

    Parameters
    ----------
    queries : np.ndarray, (Q, D) float32
    rows : np.ndarray, (N, D) float32
    people : np.ndarray, (N,) int64
        Person of each row.
    k : int
        Number of people to find.
    count : int
        Number of all people.
    memory : int, default 256 MiB
        Bytes to use at most.

    Returns
    -------
    scores, numbers : lists of Q np.ndarray
        Similarities and row numbers of the best photos of at most k people, best first.

    Examples
    --------
    >>> rows = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    >>> scores, numbers = search_people(rows[:1], rows, np.array([4, 4, 5]), 2, 2)
    >>> numbers
    [array([0, 2])]
    """
    wanted = min(k, count, len(rows))
    found = [(np.empty(0), np.empty(0, np.int64))] * len(queries)
    open_queries, photos = np.arange(len(queries)), _PHOTOS_PER_PERSON * k
    while wanted and len(open_queries):
        photos = min(photos, len(rows))
        scores, numbers = top_k(queries[open_queries], rows, photos, memory, _NORM)
        again = []
        for query, score, number in zip(open_queries, scores, numbers):
            # Photos are sorted, best first: the first photo of a person is the best one.
            first = np.sort(np.unique(people[number], return_index=True)[1])[:wanted]
            found[query] = score[first], number[first]
            if len(first) < wanted and photos < len(rows):
                again.append(query)
        open_queries, photos = np.array(again, dtype=np.int64), 4 * photos
    return [score for score, _ in found], [number for _, number in found]
