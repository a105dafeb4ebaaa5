from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from gluonfr.core.top_k import MEMORY, top_k

# Bound of the norms of means of unit vectors, with room for rounding.
_NORM = 1.001
_ROWS = 1 << 14


class AverageLinkage:
    """Exact average-linkage clustering of embeddings without a matrix of all pairs.

    Joins the two groups with the highest mean similarity of their pairs, again and again, while it is above a threshold. The
    mean similarity of two groups is the inner product of their means, so a group is one vector. Two groups that are each
    other's nearest group are joined whatever else is joined before, because a union is never nearer to a third group than the
    nearer of its parts. All such pairs are therefore joined at once, and only groups whose nearest group was joined search
    again. The result equals joining one pair at a time. Memory is that of the rows.

    Parameters
    ----------
    rows : np.ndarray, (N, D) float32
        Embeddings of norm 1; may be memory-mapped. **Overwritten** with the means of the groups.
    memory : int, default 256 MiB
        Bytes to use in addition to the rows and some tens of bytes per row.

    Attributes
    ----------
    sizes : np.ndarray, (groups,) int64
        Number of rows in each group.

    Examples
    --------
    >>> linkage = AverageLinkage(np.array([[1, 0], [0, 1], [1, 0]], np.float32))
    >>> linkage.join(0.5)
    >>> linkage.groups()
    array([0, 1, 0])
    """

    def __init__(self, rows: np.ndarray, memory: int = MEMORY) -> None:
        self._means, self._memory = rows, memory
        self._first, self.sizes = np.arange(len(rows)), np.ones(len(rows), np.int64)
        # Index of the most similar group, -1 if unknown; and its similarity, or an upper bound of it.
        self._nearest, self._best = np.full(len(rows), -1), np.full(len(rows), np.inf)
        self._joined: list[np.ndarray] = []

    def __repr__(self) -> str:
        return f"AverageLinkage(rows={len(self._means)}, groups={len(self.sizes)})"

    def join(self, threshold: float, progress: str | None = None) -> None:
        """Join all groups above a mean cosine; may be called again with a lower threshold.

        Parameters
        ----------
        threshold : float
        progress : str, optional
            Text of a progress bar.
        """
        with tqdm(total=len(self._first), desc=progress, unit="face", disable=None if progress else True, leave=False) as bar:
            while True:
                self._find_nearest(threshold)
                places = np.arange(len(self._first))
                mutual = (self._nearest >= 0) & (self._nearest[self._nearest] == places) & (places < self._nearest)
                low = places[mutual & (self._best > threshold)]
                if not len(low):
                    return
                self._unite(low, self._nearest[low])
                bar.update(len(low))

    def groups(self) -> np.ndarray:
        """Return the group of each row, (N,) int64, numbered by the first rows of the groups."""
        pairs = np.concatenate([np.empty((2, 0), np.int64), *self._joined], axis=1)
        graph = coo_matrix((np.ones(pairs.shape[1], bool), pairs), shape=(len(self._means),) * 2)
        # SciPy numbers components by their first rows.
        return connected_components(graph, directed=False)[1].astype(np.int64)

    def _find_nearest(self, threshold: float) -> None:
        """Find the nearest group of each group where it is unknown and may be above the threshold."""
        places = np.flatnonzero((self._nearest < 0) & (self._best > threshold))
        means = self._means[: len(self._first)]
        step = max(1, min(_ROWS, self._memory // (8 * means.shape[1])))
        for start in range(0, len(places), step):
            part = places[start : start + step]
            scores, found = top_k(means[part], means, 2, self._memory, _NORM)
            # The mean of a loose group need not be most similar to itself.
            other = (found[:, 0] == part).astype(np.int64)
            row = np.arange(len(part))
            self._nearest[part], self._best[part] = found[row, other], scores[row, other]

    def _unite(self, low: np.ndarray, high: np.ndarray) -> None:
        self._joined.append(np.stack([self._first[low], self._first[high]]))
        sizes = self.sizes[low] + self.sizes[high]
        weight = (self.sizes[low] / sizes).astype(np.float32)[:, None]
        for start in range(0, len(low), _ROWS):
            part = slice(start, start + _ROWS)
            self._means[low[part]] = self._means[low[part]] * weight[part] + self._means[high[part]] * (1 - weight[part])
        self.sizes[low] = sizes
        changed = np.zeros(len(self._first), bool)
        changed[low] = changed[high] = True
        # The similarity to the former nearest group remains an upper bound.
        self._nearest[changed | ((self._nearest >= 0) & changed[self._nearest])] = -1
        changed[low] = False
        self._keep(np.flatnonzero(~changed))

    def _keep(self, places: np.ndarray) -> None:
        """Move the groups at these increasing places to the front, and drop the others."""
        new = np.full(len(self._first), -1)
        new[places] = np.arange(len(places))
        for start in range(0, len(places), _ROWS):
            part = places[start : start + _ROWS]
            self._means[start : start + len(part)] = self._means[part]
        nearest = self._nearest[places]
        self._nearest = np.where(nearest < 0, -1, new[nearest])
        self._first, self.sizes, self._best = self._first[places], self.sizes[places], self._best[places]
