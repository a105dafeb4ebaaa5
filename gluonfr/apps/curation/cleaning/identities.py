"""People as the means of their embeddings."""

from __future__ import annotations

import numpy as np

from gluonfr.core.top_k import top_k

_BLOCK = 1 << 13


class Identities:
    """The people of a set, and how near its images are to them.

    Parameters
    ----------
    embeddings : (n, D) float32, norm 1
    labels : (n,) int64

    Attributes
    ----------
    labels : (people,) int64
        Rising.
    of : (n,) int64
        Whose each image is, a number of `labels`.
    counts : (people,) int64
    centroids : (people, D) float32
        The mean of a person's embeddings, normalized.
    ordered, starts, places
        All images by person; where each person begins there; the place of each image among its person's.
    """

    def __init__(self, embeddings, labels) -> None:
        self.embeddings = embeddings
        self.labels, self.of, self.counts = np.unique(labels, return_inverse=True, return_counts=True)
        self._sums = np.zeros((len(self.labels), embeddings.shape[1]))
        for part in self._parts():
            np.add.at(self._sums, self.of[part], embeddings[part])
        self.centroids = directions(self._sums)
        self.ordered = np.argsort(self.of, kind="stable")
        self.starts = np.append(0, np.cumsum(self.counts))
        self.places = np.empty(len(self.of), np.int64)
        self.places[self.ordered] = np.arange(len(self.of)) - self.starts[self.of[self.ordered]]

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, person):
        """The images of a person: numbers, rising."""
        return self.ordered[self.starts[person] : self.starts[person + 1]]

    def own(self):
        """(n,) float64: how like each image is to the mean of the person's *other* images; NaN where there are none."""
        own = np.full(len(self.of), np.nan)
        for part in self._parts():
            rows = np.asarray(self.embeddings[part], np.float64)
            without = self._sums[self.of[part]] - rows
            own[part] = np.einsum("ij,ij->i", rows, without) / np.maximum(np.linalg.norm(without, axis=1), 1e-12)
        own[self.counts[self.of] < 2] = np.nan
        return own

    def others(self, k, progress=None):
        """The k people whom each image is most like, its own left out: (similarity, people), (n, k) each."""
        return self.nearest(self.embeddings, self.of, k, progress)

    def nearest(self, rows, left_out, k, progress=None):
        """The k people whom each row is most like, except one for each row (or -1)."""
        scores, people = top_k(rows, self.centroids, k + 1, largest_norm=1.001, progress=progress)
        # Whoever is not to count goes to the end.
        mine = people == np.asarray(left_out)[:, None]
        order = np.argsort(mine, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(people, order, 1)

    def _parts(self):
        return [slice(start, start + _BLOCK) for start in range(0, len(self.of), _BLOCK)]


def directions(vectors):
    """float32 rows of norm 1; zeros stay zeros."""
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)).astype(np.float32)
