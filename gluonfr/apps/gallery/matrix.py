"""The embeddings of a gallery in memory, and the exact search in them."""

from __future__ import annotations

import numpy as np

from gluonfr.core.top_k import MEMORY, top_k

# Lengths of unit vectors in float32, with room for rounding: saves a pass over all rows.
_NORM = 1.001
# More than the people asked for, because a person has several photos.
_PHOTOS_EACH = 4


class Matrix:
    """Rows of unit embeddings, and the number of the person each belongs to.

    What a search took with `snapshot` stays as it is while rows are added or removed, so that searches need no lock.
    """

    def __init__(self, size) -> None:
        self.ids, self.people = np.empty(0, np.int64), np.empty(0, np.int64)
        self._space, self._size = np.empty((0, size), np.float32), size

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def rows(self):
        """(N, D) float32, a view."""
        return self._space[: len(self)]

    def reserve(self, rows) -> None:
        """Make room, so that adding so many rows copies nothing."""
        if len(self._space) < rows:
            space = np.empty((rows, self._size), np.float32)
            space[: len(self)] = self.rows
            self._space = space

    def add(self, ids, people, rows) -> None:
        """Append rows."""
        count = len(self) + len(ids)
        if count > len(self._space):
            self.reserve(count + count // 4)
        self._space[len(self) : count] = rows
        self.ids, self.people = np.concatenate([self.ids, ids]), np.concatenate([self.people, people])

    def keep(self, ids, people) -> None:
        """Keep the rows with these ids, which rise, and note whose they are now; rows of other ids are let go."""
        place = np.minimum(np.searchsorted(ids, self.ids), max(len(ids) - 1, 0))
        alive = ids[place] == self.ids if len(ids) else np.zeros(len(self), bool)
        if not alive.all():
            # Another array: a search may be reading this one.
            self._space = self.rows[alive]
        self.ids, self.people = self.ids[alive], people[place[alive]]

    def snapshot(self):
        """(rows, people, ids) that no later change touches."""
        return self.rows, self.people, self.ids


def search_people(queries, rows, people, k, count, memory=MEMORY):
    """The k people with the best photo, exactly: (scores, row numbers), each a list of Q arrays of at most k, best first.

    `count` is how many people there are in all.
    """
    wanted = min(k, count, len(rows))
    found = [(np.empty(0), np.empty(0, np.int64))] * len(queries)
    open_queries, photos = np.arange(len(queries)), _PHOTOS_EACH * k
    while wanted and len(open_queries):
        photos = min(photos, len(rows))
        scores, numbers = top_k(queries[open_queries], rows, photos, memory, _NORM)
        again = []
        for query, score, number in zip(open_queries, scores, numbers):
            # Photos come best first, so that the first of a person is the best.
            first = np.sort(np.unique(people[number], return_index=True)[1])[:wanted]
            found[query] = score[first], number[first]
            if len(first) < wanted and photos < len(rows):
                again.append(query)
        open_queries, photos = np.array(again, dtype=np.int64), 4 * photos
    return [each[0] for each in found], [each[1] for each in found]
