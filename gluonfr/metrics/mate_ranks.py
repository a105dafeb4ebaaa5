"""The rank of each probe's mate among the people of a gallery, exactly and in blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
from tqdm import tqdm

from gluonfr.core.top_k import exact_scores, screening_error

_QUERIES = 4096
# Rounding may bring the norm of a unit vector to this.
_UNIT_NORM = 1.001


def mate_ranks(
    gallery: np.ndarray,
    starts: np.ndarray,
    probes: np.ndarray,
    people: np.ndarray,
    max_rank: int,
    memory: int,
    progress: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute the score and the rank of each probe's mate.

    Parameters
    ----------
    gallery : (N, D) float32
        Rows of norm 1, the images of one person side by side.
    starts : (people + 1,) int
        Row where each person's images begin, and N.
    probes : (P, D) float32
        Rows of norm 1.
    people : (P,) int
        The person in the gallery that each probe shows.
    max_rank : int
        Ranks above this are returned as `max_rank + 1`.
    memory : int
        Bytes of working memory.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    scores : (P,) float64
        Exact cosine to the best image of the mate.
    ranks : (P,) int64
        1 + number of other people with at least this score.

    Examples
    --------
    >>> import numpy as np
    >>> gallery = np.eye(3, dtype=np.float32)
    >>> probe = np.array([[0.6, 0.8, 0]], dtype=np.float32)
    >>> scores, ranks = mate_ranks(gallery, np.arange(4), probe, np.array([0]), 5, 1 << 20)
    >>> ranks
    array([2])
    """
    scores, ranks = np.empty(len(probes)), np.empty(len(probes), dtype=np.int64)
    with tqdm(
        total=len(probes) * len(gallery),
        desc=progress,
        unit="pair",
        unit_scale=True,
        leave=False,
        disable=None if progress else True,
    ) as bar:
        for start in range(0, len(probes), _QUERIES):
            part = slice(start, start + _QUERIES)
            counter = _Counter(gallery, starts, probes[part], people[part], max_rank, memory)
            step = max(1, min(memory // 4, 32 << 20) // (4 * len(people[part])))
            for begin in range(0, len(gallery), step):
                end = min(begin + step, len(gallery))
                counter.count(begin, end)
                bar.update((end - begin) * len(people[part]))
            scores[part], ranks[part] = counter.mates, counter.ranks()
    return scores, ranks


class _Counter:
    """Counts, for some probes, the other people whose score is at least that of the mate."""

    def __init__(
        self, gallery: np.ndarray, starts: np.ndarray, probes: np.ndarray, people: np.ndarray, max_rank: int, memory: int
    ) -> None:
        self._gallery, self._starts, self._probes, self._people = gallery, starts, probes, people
        self._max_rank, self._memory = max_rank, memory
        self.mates = self._best(np.arange(len(probes)), people)
        self._error = screening_error(probes, _UNIT_NORM)
        self._above = np.zeros(len(probes), dtype=np.int64)
        self._near: list[tuple[np.ndarray, np.ndarray]] = []
        self._waiting = 0
        self._unfinished: np.ndarray | None = None

    def count(self, begin: int, end: int) -> None:
        """Add the gallery's rows from `begin` to before `end`; blocks must be consecutive."""
        first = int(np.searchsorted(self._starts, begin, side="right")) - 1
        last = int(np.searchsorted(self._starts, end, side="left"))
        scores = self._probes @ self._gallery[begin:end].T
        if end - begin > last - first:
            scores = np.maximum.reduceat(scores, np.maximum(self._starts[first:last], begin) - begin, axis=1)
        if self._unfinished is not None:
            np.maximum(scores[:, 0], self._unfinished, out=scores[:, 0])
        # A person with images in the next block too is counted there.
        self._unfinished = scores[:, -1].copy() if self._starts[last] > end else None
        if self._unfinished is not None:
            scores, last = scores[:, :-1], last - 1
        own = np.flatnonzero((self._people >= first) & (self._people < last))
        scores[own, self._people[own] - first] = -np.inf
        above = scores > (self.mates + self._error)[:, None]
        near = (scores >= (self.mates - self._error)[:, None]) & ~above
        self._above += np.count_nonzero(above, axis=1)
        # Beyond the largest requested rank, the exact count has no effect.
        near[self._above >= self._max_rank] = False
        probes, others = np.nonzero(near)
        self._near.append((probes, others + first))
        self._waiting += len(probes)
        if self._waiting > max(1 << 14, self._memory >> 12):
            self._settle()

    def ranks(self) -> np.ndarray:
        """Return the rank of each mate, (P,) int64, at most `max_rank + 1`."""
        self._settle()
        return np.minimum(self._above, self._max_rank) + 1

    def _settle(self) -> None:
        """Compare in float64 the scores that rounding in float32 may have ordered differently."""
        if self._near:
            probes, others = (np.concatenate(parts) for parts in zip(*self._near))
            tied = self._best(probes, others) >= self.mates[probes]
            self._above += np.bincount(probes[tied], minlength=len(self._above))
        self._near, self._waiting = [], 0

    def _best(self, probes: np.ndarray, people: np.ndarray) -> np.ndarray:
        """Compute the exact score of each probe to the best image of a person."""
        images = np.cumsum(self._starts[people + 1] - self._starts[people])
        splits: Any = np.searchsorted(images, np.arange(1 << 16, images[-1], 1 << 16)) if len(images) else []
        parts = zip(np.split(probes, splits), np.split(people, splits))
        return np.concatenate([self._best_of_part(*part) for part in parts])

    def _best_of_part(self, probes: np.ndarray, people: np.ndarray) -> np.ndarray:
        images = self._starts[people + 1] - self._starts[people]
        begins = np.cumsum(images) - images
        rows = np.arange(images.sum()) - np.repeat(begins - self._starts[people], images)
        scores = exact_scores(self._probes, self._gallery, np.repeat(probes, images), rows, self._memory)
        return np.maximum.reduceat(scores, begins) if len(begins) else scores
