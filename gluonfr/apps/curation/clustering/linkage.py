"""Groups of embeddings: average linkage, exactly, without a matrix of all pairs."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from gluonfr.core.top_k import MEMORY, top_k

# Lengths of means of unit vectors, with room for rounding.
_NORM = 1.001
_ROWS = 1 << 14


class AverageLinkage:
    """Joins the two most similar groups again and again while the mean similarity of their pairs is above a threshold.

    The mean similarity of two groups is the inner product of their means, so that a group is one vector and nothing else has
    to be kept. Two groups that are each other's nearest will be joined whatever else is joined before, because a union is
    never nearer to a third group than the nearer of its parts; so all such pairs are joined at once, and only groups whose
    nearest one was joined look for another. The result is that of joining one by one. Memory is that of the rows.

    Parameters
    ----------
    rows : (N, D) float32, norm 1
        May be memory-mapped. **Overwritten**: it serves as the space for the means.
    memory : int, default 256 MiB
        Bytes beside the rows and some tens for each.

    Attributes
    ----------
    sizes : (groups,) int64
        How many rows each group has.
    """

    def __init__(self, rows, memory=MEMORY) -> None:
        self._means, self._memory = rows, memory
        self._first, self.sizes = np.arange(len(rows)), np.ones(len(rows), np.int64)
        # The place of the most similar group, -1 where it is not known, and the similarity, or one that it cannot exceed.
        self._nearest, self._best = np.full(len(rows), -1), np.full(len(rows), np.inf)
        self._joined = []

    def join(self, threshold, progress=None) -> None:
        """Join all there is to join above a mean cosine; may be called again with a lower one.

        `progress` is the text of a progress bar.
        """
        with tqdm(total=len(self._first), desc=progress, unit="face", disable=None if progress else True, leave=False) as bar:
            while True:
                self._look(threshold)
                places = np.arange(len(self._first))
                mutual = (self._nearest >= 0) & (self._nearest[self._nearest] == places) & (places < self._nearest)
                low = places[mutual & (self._best > threshold)]
                if not len(low):
                    return
                self._unite(low, self._nearest[low])
                bar.update(len(low))

    def groups(self):
        """(N,) int64: the group of each row, numbered from 0 by the groups' first rows."""
        pairs = np.concatenate([np.empty((2, 0), np.int64), *self._joined], axis=1)
        graph = coo_matrix((np.ones(pairs.shape[1], bool), pairs), shape=(len(self._means),) * 2)
        # SciPy numbers components by their first rows.
        return connected_components(graph, directed=False)[1].astype(np.int64)

    def _look(self, threshold) -> None:
        """Find the nearest group of those that do not know it and may have one above the threshold."""
        places = np.flatnonzero((self._nearest < 0) & (self._best > threshold))
        means = self._means[: len(self._first)]
        step = max(1, min(_ROWS, self._memory // (8 * means.shape[1])))
        for start in range(0, len(places), step):
            part = places[start : start + step]
            scores, found = top_k(means[part], means, 2, self._memory, _NORM)
            # A group that is no tight one need not be the most similar to itself.
            other = (found[:, 0] == part).astype(np.int64)
            every = np.arange(len(part))
            self._nearest[part], self._best[part] = found[every, other], scores[every, other]

    def _unite(self, low, high) -> None:
        self._joined.append(np.stack([self._first[low], self._first[high]]))
        sizes = self.sizes[low] + self.sizes[high]
        share = (self.sizes[low] / sizes).astype(np.float32)[:, None]
        for start in range(0, len(low), _ROWS):
            part = slice(start, start + _ROWS)
            self._means[low[part]] = self._means[low[part]] * share[part] + self._means[high[part]] * (1 - share[part])
        self.sizes[low] = sizes
        changed = np.zeros(len(self._first), bool)
        changed[low] = changed[high] = True
        # What was the similarity to the nearest stays the most there can be.
        self._nearest[changed | ((self._nearest >= 0) & changed[self._nearest])] = -1
        changed[low] = False
        self._keep(np.flatnonzero(~changed))

    def _keep(self, places) -> None:
        """Move the groups at these places, which rise, to the front."""
        new = np.full(len(self._first), -1)
        new[places] = np.arange(len(places))
        for start in range(0, len(places), _ROWS):
            part = places[start : start + _ROWS]
            self._means[start : start + len(part)] = self._means[part]
        nearest = self._nearest[places]
        self._nearest = np.where(nearest < 0, -1, new[nearest])
        self._first, self.sizes, self._best = self._first[places], self.sizes[places], self._best[places]
