"""Blocked exact search by inner product: MegaFace, galleries, clusters and overlaps share it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from gluonfr.core.cpu import cores
from gluonfr.core.errors import GluonFRError

# Bytes of working memory beside the vectors, unless a caller says otherwise.
MEMORY = 256 << 20
# A block of scores of this size is read again while it is still near the processor; but a product of this many columns is
# quicker than several of fewer, up to this size.
_NEAR, _COLUMNS, _BLOCK = 4 << 20, 2048, 32 << 20
_QUERIES = 4096
_FEW = 4
_FIRST = 256
# Numbers of rows for which a thread pays, and the threads that use up what memory gives.
_MANY, _THREADS = 1 << 22, 8
# Numbers of rows that stay near while several queries meet them.
_CLOSE = 1 << 17
_PAIRS = 1 << 14
# A float32 ends at 3.4e38.
_LARGEST = 1e37


def top_k(queries, rows, k, memory=MEMORY, largest_norm=None, progress=None):
    """The k rows with the largest inner product for each query, exactly.

    Scores are screened as float32 matrix products, block by block; what rounding could change is worked out again in
    float64, always in the same order of additions, so that equal rows have equal scores wherever they stand. The result is
    that of a full search in float64 and does not depend on the size of the blocks.

    Parameters
    ----------
    queries : array-like, (Q, D) float
        Finite; used as float32.
    rows : array-like, (N, D) float
        Finite; used as float32, and never copied when they are float32 already, so that they may be memory-mapped.
    k : int
        At least 1. Where N < k, the missing places have score -inf and index -1.
    memory : int, default 256 MiB
        Bytes of working memory beside queries, rows and result.
    largest_norm : float, optional
        Of the rows, where it is known (1.001 covers what rounding does to unit vectors); saves a pass over them, which then
        must be finite.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    scores : (Q, k) float64, falling
    indices : (Q, k) int64
        Of rows; of equal scores the lower index first.

    Raises
    ------
    GluonFRError
        Arrays that are not two-dimensional, do not fit or hold NaN or infinity; k or memory too small.
    """
    found, _ = search(queries, rows, k, 0, memory, largest_norm, progress)
    return found


def search(queries, rows, k, largest=0, memory=MEMORY, largest_norm=None, progress=None, skip=None):
    """`top_k` and, in the same pass, the largest scores of all pairs of a query and a row together.

    Parameters
    ----------
    queries, rows, k, memory, largest_norm, progress
        As :func:`top_k`; here k may be 0.
    largest : int, default 0
        How many of the largest scores of all.
    skip : (N,) bool, optional
        Rows that are not to be found.

    Returns
    -------
    (scores, indices) : (Q, k) float64 and int64
    largest : (min(largest, Q * N),) float64, falling
    """
    queries, rows, norm = _checked(queries, rows, k, memory, largest_norm)
    scores = np.full((len(queries), k), -np.inf)
    indices = np.full((len(queries), k), -1, dtype=np.int64)
    total = len(queries) * len(rows)
    everything = _Best(1, min(largest, total), queries, rows, memory // 4)
    # What is kept for each query takes a part of the memory too.
    step = max(1, min(_QUERIES, memory // (512 * max(k, 1))))
    blocks = [slice(start, start + step) for start in range(0, len(queries), step)]
    with tqdm(total=total, desc=progress, unit="pair", unit_scale=True, disable=None if progress else True, leave=False) as bar:
        for block in blocks:
            part = queries[block]
            each = _Best(len(part), min(k, len(rows)), part, rows, memory // 4)
            everything.queries = part
            error = screening_error(part, norm)
            spans = [slice(0, len(rows))] if largest else _spans(len(part), rows)
            _scan_all(spans, part, rows, skip, error, each, everything, memory, bar)
            # Later queries meet scores of these, which must be exact by then, because the queries are gone.
            everything.settle()
            scores[block, : len(rows)], indices[block, : len(rows)] = each.table()
    return (scores, indices), everything.values()


def _spans(queries, rows):
    """Rows in one span, or where memory decides in one for each thread: a product of matrices uses all cores by itself."""
    threads = min(cores(), _THREADS, rows.size // _MANY) if queries <= _FEW else 1
    ends = np.linspace(0, len(rows), max(1, threads) + 1).astype(int).tolist()
    return [slice(*each) for each in zip(ends, ends[1:])]


def _scan_all(spans, queries, rows, skip, error, each, everything, memory, bar) -> None:
    """Hand all that may count in some spans of rows to `each` and `everything`."""
    bests = [each] + [each.another() for _ in spans[1:]]
    work = [(span, queries, rows, skip, error, best, everything, memory // len(spans), bar) for span, best in zip(spans, bests)]
    if len(spans) == 1:
        _scan(*work[0])
        return
    with ThreadPoolExecutor(len(spans) - 1) as pool:
        others = [pool.submit(_scan, *more) for more in work[1:]]
        _scan(*work[0])
        for other, best in zip(others, bests[1:]):
            other.result()
            each.add(best.pairs())


def _scan(span, queries, rows, skip, error, each, everything, memory, bar) -> None:
    for start, scores in _score_blocks(queries, rows[span], memory):
        start += span.start
        if skip is not None:
            scores[:, skip[start : start + scores.shape[1]]] = -np.inf
        _screen(start, scores, error, each, everything, memory)
        bar.update(scores.size)


def exact_scores(queries, rows, query_numbers, row_numbers, memory=MEMORY):
    """Inner products of chosen pairs in float64, added up in an order that depends on D alone.

    Inputs:
        - **queries**: (Q, D) float; **rows**: (N, D) float.
        - **query_numbers**, **row_numbers**: (M,) int.

    Outputs:
        - **scores**: (M,) float64.
    """
    scores = np.empty(len(query_numbers))
    step = max(1, memory // (32 * queries.shape[1]))
    for start in range(0, len(scores), step):
        part = slice(start, start + step)
        products = queries[query_numbers[part]].astype(np.float64) * rows[row_numbers[part]]
        scores[part] = products.sum(axis=1)
    return scores


def screening_error(queries, largest_norm):
    """(Q,) float64: how far a float32 matrix product may be from the truth for any row of at most this norm.

    A sum of D products, whatever its order, is off by no more than D * 2**-24 times the product of the two norms, and what
    numbers too small for float32 lose.
    """
    norms = np.linalg.norm(queries.astype(np.float64), axis=1) * largest_norm
    if norms.max(initial=0) > _LARGEST:
        raise GluonFRError("queries and rows are so large that their products overflow; normalize them first.")
    return queries.shape[1] * (2.0**-24 * 1.01 * norms + 2.0**-125)


def _checked(queries, rows, k, memory, largest_norm):
    queries, rows = as_vectors(queries, "queries"), as_vectors(rows, "rows")
    if queries.shape[1] != rows.shape[1]:
        raise GluonFRError(
            f"queries have {queries.shape[1]} dimensions and rows {rows.shape[1]}; compare embeddings of one network."
        )
    if k < 0 or memory < 1 << 20:
        raise GluonFRError(f"k must not be negative and memory at least 1 MiB, got {k} and {memory}.")
    if not np.isfinite(queries).all():
        raise GluonFRError("queries hold NaN or infinity; check the network and its input.")
    norm = largest_norm
    if norm is None:
        norm = max((_norm(rows[start : start + 4096]) for start in range(0, len(rows), 4096)), default=0.0)
    if not np.isfinite(norm):
        raise GluonFRError("rows hold NaN or infinity, or numbers too large; check the network and its input.")
    return queries, rows, float(norm)


def _norm(rows):
    rows = rows.astype(np.float64)
    return float(np.sqrt(np.einsum("ij,ij->i", rows, rows).max()))


def as_vectors(values, name):
    """`values` as (N, D) float32, without a copy where they are that; GluonFRError where they are not two-dimensional."""
    values = np.asarray(values)
    if values.ndim != 2 or not values.shape[1] or values.dtype.kind not in "fiu":
        raise GluonFRError(f"{name} {values.dtype} {values.shape}: an array (N, D) of real numbers is needed; give one a face.")
    return values if values.dtype == np.float32 else values.astype(np.float32)


def _score_blocks(queries, rows, memory):
    """(first row, scores (Q, n) float32) for consecutive blocks of rows; the array is used again for the next block."""
    # A quarter goes into scores, the rest into candidates and what sorts them.
    near = max(_NEAR, 4 * len(queries) * _COLUMNS) if len(queries) > _FEW else _NEAR // 4
    most = max(1, min(near, _BLOCK, memory // 4) // (4 * len(queries))) if len(queries) else 1
    start, size = 0, min(_FIRST, most)
    space = np.empty(len(queries) * min(most, max(len(rows), 1)), dtype=np.float32)
    while start < len(rows):
        part = rows[start : start + size]
        scores = space[: len(queries) * len(part)].reshape(len(queries), len(part))
        if len(queries) > _FEW:
            np.matmul(queries, part.T, out=scores)
        else:
            _few_products(queries, part, scores)
        yield start, scores
        start += len(part)
        # Small at first, when nothing is known yet that a score must exceed.
        size = min(2 * size, most)


def _few_products(queries, rows, scores) -> None:
    # Reads the rows as fast as memory gives them, which a product of matrices does not for few queries; for several, once.
    step = len(rows) if len(queries) == 1 else max(1, _CLOSE // rows.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        for query, row in zip(queries, scores):
            np.einsum("ij,j->i", rows[part], query, out=row[part])


def _screen(start, scores, error, each, everything, memory) -> None:
    """Hand every score that may still count to whom it may count for."""
    wanted = np.minimum(each.floors, everything.floors) - error
    # Rounded down, so that the comparison in float32 lets nothing slip.
    wanted = np.nextafter(wanted.astype(np.float32), np.float32(-np.inf))
    # What is skipped never counts, not even when nothing is known yet.
    wanted = np.maximum(wanted, np.finfo(np.float32).min)
    hits = np.flatnonzero(scores.max(axis=1) >= wanted)
    # Few scores count as a rule, but where all are alike all may.
    step = max(1, (memory >> 8) // scores.shape[1])
    for first in range(0, len(hits), step):
        part = hits[first : first + step]
        chosen = scores if len(part) == len(scores) else scores[part]
        places = np.flatnonzero(chosen >= wanted[part, None])
        numbers, columns = np.divmod(places, scores.shape[1])
        found = _Pairs(part[numbers], start + columns, chosen.reshape(-1)[places].astype(np.float64), error[part[numbers]])
        each.add(found)
        everything.add(found)


@dataclass
class _Pairs:
    """Pairs of a query and a row: `score` is within `error` of the truth, and the truth itself where the error is 0."""

    query: np.ndarray
    row: np.ndarray
    score: np.ndarray
    error: np.ndarray

    def __len__(self) -> int:
        return len(self.query)

    def take(self, chosen):
        return _Pairs(self.query[chosen], self.row[chosen], self.score[chosen], self.error[chosen])

    @staticmethod
    def join(parts):
        names = _Pairs.__dataclass_fields__
        return _Pairs(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _no_pairs():
    return _Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0))


class _Best:
    """The k best pairs of each group (each query, or all together), and those that may turn out to be as good.

    Attributes
    ----------
    floors : (groups,) float64
        Below this no pair of the group counts any more.
    """

    def __init__(self, groups, k, queries, rows, memory) -> None:
        self.queries = queries
        self.floors = np.full(groups, -np.inf if k else np.inf)
        self._groups, self._k, self._rows, self._memory = groups, k, rows, memory
        self._kept, self._new, self._waiting = _no_pairs(), [], 0
        # So many new pairs are sorted in at a time: few enough that the floors rise soon, and enough that sorting stays cheap
        # beside finding them.
        self._patience = max(min(_PAIRS, 16 * groups * k), groups * k)

    def another(self):
        """One for the same groups, of which nothing is known yet."""
        return _Best(self._groups, self._k, self.queries, self._rows, self._memory)

    def pairs(self):
        """All that may turn out to be among the best."""
        return _Pairs.join([self._kept, *self._new])

    def add(self, pairs) -> None:
        if not self._k:
            return
        pairs = pairs.take(pairs.score + pairs.error >= self.floors[self._group(pairs)])
        self._new.append(pairs)
        self._waiting += len(pairs)
        if self._waiting >= self._patience or not np.isfinite(self.floors).all():
            self._sort_in()

    def _group(self, pairs):
        return pairs.query if self._groups > 1 else np.zeros(len(pairs), dtype=np.int64)

    def _sort_in(self) -> None:
        self._merge(self.pairs())
        if len(self._kept) > 4 * max(_PAIRS, self._patience):
            # Almost all scores are alike: only exact ones tell which to keep.
            self.settle()

    def _merge(self, pairs) -> None:
        self._new, self._waiting = [], 0
        group, sure = self._group(pairs), pairs.score - pairs.error
        order = np.lexsort((-sure, group))
        counts = np.bincount(group, minlength=self._groups)
        ends = np.cumsum(counts)
        full = counts >= self._k
        self.floors[full] = sure[order[(ends - counts + self._k - 1)[full]]]
        self._kept = pairs.take(pairs.score + pairs.error >= self.floors[group])

    def settle(self) -> None:
        """Make all scores exact and keep exactly k of each group."""
        if not self._k:
            return
        if self._new:
            self._merge(self.pairs())
        kept = self._kept
        rough = np.flatnonzero(kept.error)
        kept.score[rough] = exact_scores(self.queries, self._rows, kept.query[rough], kept.row[rough], self._memory)
        kept.error[rough] = 0
        order, place = self._ranked(kept)
        self._merge(kept.take(order[place < self._k]))

    def _ranked(self, pairs):
        """The order by group, falling score and row, and the place that each then has in its group."""
        group = self._group(pairs)
        counts = np.bincount(group, minlength=self._groups)
        place = np.arange(len(pairs)) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.lexsort((pairs.row, -pairs.score, group)), place

    def table(self):
        """(groups, k) scores and rows, best first, filled up with -inf and -1."""
        scores = np.full((self._groups, self._k), -np.inf)
        rows = np.full((self._groups, self._k), -1, dtype=np.int64)
        self.settle()
        kept = self._kept
        order, place = self._ranked(kept)
        scores[kept.query[order], place], rows[kept.query[order], place] = kept.score[order], kept.row[order]
        return scores, rows

    def values(self):
        """All scores kept, falling."""
        return -np.sort(-self._kept.score)
