"""Candidates of an exact search by inner product: pairs of a query and a row, with bounds of their scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gluonfr.core.errors import UsageError

# Bytes of working memory beside the vectors, unless a caller passes another number.
MEMORY = 256 << 20
# Number of pairs that are sorted in at a time, unless k needs more.
_PAIRS = 1 << 14
# Norms whose products stay below the largest float32, 3.4e38.
_LARGEST_NORM_PRODUCT = 1e37


def exact_scores(
    queries: np.ndarray, rows: np.ndarray, query_numbers: np.ndarray, row_numbers: np.ndarray, memory: int = MEMORY
) -> np.ndarray:
    """Return inner products of selected pairs in float64, summed in an order that depends on D only.

    Parameters
    ----------
    queries : (Q, D) float
        Queries.
    rows : (N, D) float
        Rows.
    query_numbers, row_numbers : (M,) int
        Pairs.
    memory : int, default 256 MiB
        Bytes of working memory.

    Returns
    -------
    (M,) float64

    Examples
    --------
    >>> exact_scores(np.eye(2), np.eye(2), np.array([0, 1]), np.array([0, 0])).tolist()
    [1.0, 0.0]
    """
    scores = np.empty(len(query_numbers))
    step = max(1, memory // (32 * queries.shape[1]))
    for start in range(0, len(scores), step):
        part = slice(start, start + step)
        products = queries[query_numbers[part]].astype(np.float64) * rows[row_numbers[part]]
        scores[part] = products.sum(axis=1)
    return scores


def screening_error(queries: np.ndarray, largest_norm: float) -> np.ndarray:
    """Return bounds (Q,) of the error of a float32 matrix product, for rows of at most this norm.

    In any order of summation, a sum of D products is wrong by at most D * 2**-24 times the product of the two norms, and by
    what float32 loses of very small numbers.

    Examples
    --------
    >>> bool(screening_error(np.ones((1, 4), np.float32), 1.0)[0] < 1e-6)
    True
    """
    norms = np.linalg.norm(queries.astype(np.float64), axis=1) * largest_norm
    if norms.max(initial=0) > _LARGEST_NORM_PRODUCT:
        raise UsageError("queries and rows are so large that their products overflow; normalize them first.")
    return queries.shape[1] * (2.0**-24 * 1.01 * norms + 2.0**-125)


@dataclass
class Pairs:
    """Pairs of a query and a row; `score` is within `error` of the exact score, and exact where the error is 0.

    Examples
    --------
    >>> len(Pairs.empty())
    0
    """

    query: np.ndarray
    row: np.ndarray
    score: np.ndarray
    error: np.ndarray

    def __len__(self) -> int:
        return len(self.query)

    def take(self, chosen: np.ndarray) -> Pairs:
        """Return the pairs at some indices, or where a mask is True."""
        return Pairs(self.query[chosen], self.row[chosen], self.score[chosen], self.error[chosen])

    @staticmethod
    def join(parts: list[Pairs]) -> Pairs:
        """Concatenate several sets of pairs."""
        names = Pairs.__dataclass_fields__
        return Pairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    @staticmethod
    def empty() -> Pairs:
        """Return no pairs."""
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))


class BestPairs:
    """The k best pairs of each group (each query, or all queries together), and those that may prove as good.

    Parameters
    ----------
    groups : int
        Number of groups: the number of queries, or 1.
    k : int
        Number of pairs in demand for each group.
    queries, rows : (Q, D) and (N, D) float32
        Vectors.
    memory : int
        Bytes of working memory.

    Attributes
    ----------
    floors : (groups,) float64
        Pairs of a group with a lower score are not needed any more.

    Examples
    --------
    >>> best = BestPairs(1, 1, np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32), 1 << 20)
    >>> best.add(Pairs(np.array([0, 1]), np.array([0, 0]), np.array([1.0, 0.0]), np.zeros(2)))
    >>> best.settle()
    >>> best.values().tolist()
    [1.0]
    """

    def __init__(self, groups: int, k: int, queries: np.ndarray, rows: np.ndarray, memory: int) -> None:
        self.queries = queries
        self.floors = np.full(groups, -np.inf if k else np.inf)
        self._groups, self._k, self._rows, self._memory = groups, k, rows, memory
        self._sorted, self._waiting = Pairs.empty(), 0
        self._new: list[Pairs] = []
        # Number of new pairs that are sorted in at a time: few enough that the floors rise soon, and enough that sorting takes
        # little time in comparison with finding them.
        self._patience = max(min(_PAIRS, 16 * groups * k), groups * k)

    def copy_empty(self) -> BestPairs:
        """Return an object for the same groups without pairs."""
        return BestPairs(self._groups, self._k, self.queries, self._rows, self._memory)

    def pairs(self) -> Pairs:
        """Return all pairs that may prove to be among the best."""
        return Pairs.join([self._sorted, *self._new])

    def add(self, pairs: Pairs) -> None:
        """Add pairs; those below the floor of their group are dropped."""
        if not self._k:
            return
        pairs = pairs.take(pairs.score + pairs.error >= self.floors[self._group(pairs)])
        self._new.append(pairs)
        self._waiting += len(pairs)
        if self._waiting >= self._patience or not np.isfinite(self.floors).all():
            self._sort_in()

    def settle(self) -> None:
        """Compute all scores exactly and reduce each group to its best k pairs."""
        if not self._k:
            return
        if self._new:
            self._merge(self.pairs())
        pairs = self._sorted
        rough = np.flatnonzero(pairs.error)
        pairs.score[rough] = exact_scores(self.queries, self._rows, pairs.query[rough], pairs.row[rough], self._memory)
        pairs.error[rough] = 0
        order, rank = self._ranked(pairs)
        self._merge(pairs.take(order[rank < self._k]))

    def table(self) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and rows (groups, k), best first, filled with -inf and -1."""
        scores = np.full((self._groups, self._k), -np.inf)
        rows = np.full((self._groups, self._k), -1, dtype=np.int64)
        self.settle()
        pairs = self._sorted
        order, rank = self._ranked(pairs)
        scores[pairs.query[order], rank], rows[pairs.query[order], rank] = pairs.score[order], pairs.row[order]
        return scores, rows

    def values(self) -> np.ndarray:
        """Return all scores, in descending order."""
        return -np.sort(-self._sorted.score)

    def _group(self, pairs: Pairs) -> np.ndarray:
        return pairs.query if self._groups > 1 else np.zeros(len(pairs), dtype=np.int64)

    def _sort_in(self) -> None:
        self._merge(self.pairs())
        if len(self._sorted) > 4 * max(_PAIRS, self._patience):
            # Almost all scores are equal: only exact ones decide.
            self.settle()

    def _merge(self, pairs: Pairs) -> None:
        self._new, self._waiting = [], 0
        group, lower = self._group(pairs), pairs.score - pairs.error
        order = np.lexsort((-lower, group))
        counts = np.bincount(group, minlength=self._groups)
        ends = np.cumsum(counts)
        full = counts >= self._k
        self.floors[full] = lower[order[(ends - counts + self._k - 1)[full]]]
        self._sorted = pairs.take(pairs.score + pairs.error >= self.floors[group])

    def _ranked(self, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
        """Return the order by group, descending score and row, and the rank of each pair of that order in its group."""
        group = self._group(pairs)
        counts = np.bincount(group, minlength=self._groups)
        rank = np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.lexsort((pairs.row, -pairs.score, group)), rank
