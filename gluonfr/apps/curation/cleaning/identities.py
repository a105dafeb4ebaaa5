"""The people of a set as the means of their embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np

from gluonfr.core.top_k import top_k

_BLOCK = 1 << 13


class Identities:
    """The people of a set, and the similarity of its images to them.

    Parameters
    ----------
    embeddings : np.ndarray, (n, D) float32
        Norm 1.
    labels : np.ndarray, (n,) int64

    Attributes
    ----------
    labels : np.ndarray, (people,) int64
        Increasing labels.
    of : np.ndarray, (n,) int64
        Person of each image, an index of `labels`.
    counts : np.ndarray, (people,) int64
        Number of images of each person.
    centroids : np.ndarray, (people, D) float32
        Normalized mean embedding of each person.
    ordered : np.ndarray, (n,) int64
        All images, sorted by person.
    starts : np.ndarray, (people + 1,) int64
        Where the images of each person start in `ordered`.
    places : np.ndarray, (n,) int64
        Place of each image among the images of its person.

    Examples
    --------
    >>> people = Identities(np.eye(3, dtype=np.float32), np.array([5, 9, 5]))
    >>> people, people.images(0)
    (Identities(images=3, people=2), array([0, 2]))
    """

    def __init__(self, embeddings: np.ndarray, labels: np.ndarray) -> None:
        self.embeddings = embeddings
        self.labels, self.of, self.counts = np.unique(labels, return_inverse=True, return_counts=True)
        self._sums = np.zeros((len(self.labels), embeddings.shape[1]))
        for part in self._parts():
            np.add.at(self._sums, self.of[part], embeddings[part])
        self.centroids = normalized(self._sums)
        self.ordered = np.argsort(self.of, kind="stable")
        self.starts = np.append(0, np.cumsum(self.counts))
        self.places = np.empty(len(self.of), np.int64)
        self.places[self.ordered] = np.arange(len(self.of)) - self.starts[self.of[self.ordered]]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"Identities(images={len(self.of)}, people={len(self)})"

    def images(self, person: int) -> np.ndarray:
        """Return the images of a person, in increasing order."""
        return self.ordered[self.starts[person] : self.starts[person + 1]]

    def own_similarity(self) -> np.ndarray:
        """Return the cosine of each image to the mean of the *other* images of its person, (n,) float64.

        NaN for the only image of a person.
        """
        own = np.full(len(self.of), np.nan)
        for part in self._parts():
            rows = np.asarray(self.embeddings[part], np.float64)
            without = self._sums[self.of[part]] - rows
            own[part] = np.einsum("ij,ij->i", rows, without) / np.maximum(np.linalg.norm(without, axis=1), 1e-12)
        own[self.counts[self.of] < 2] = np.nan
        return own

    def nearest_others(self, k: int, progress: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the k people most similar to each image except its own: (similarity, person), both (n, k)."""
        return self.nearest(self.embeddings, self.of, k, progress)

    def nearest(self, rows: Any, left_out: Any, k: int, progress: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return the k people most similar to each row: (similarity, person), both (rows, k).

        Parameters
        ----------
        rows : np.ndarray, (rows, D) float32
        left_out : array-like, (rows,) int
            Person to leave out for each row, or -1.
        k : int
        progress : str, optional
            Text of a progress bar.
        """
        scores, people = top_k(rows, self.centroids, k + 1, largest_norm=1.001, progress=progress)
        # The person to leave out moves to the end.
        is_left_out = people == np.asarray(left_out)[:, None]
        order = np.argsort(is_left_out, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(people, order, 1)

    def _parts(self) -> list[slice]:
        return [slice(start, start + _BLOCK) for start in range(0, len(self.of), _BLOCK)]


def normalized(vectors: np.ndarray) -> np.ndarray:
    """Return float32 rows of norm 1; zeros stay zeros.

    Examples
    --------
    >>> normalized(np.array([[3.0, 4.0]])).round(4).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)).astype(np.float32)
