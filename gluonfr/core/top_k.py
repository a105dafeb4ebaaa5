"""Exact search by inner product in blocks, for MegaFace, galleries, clusters and overlaps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Iterator, NamedTuple

import numpy as np
from tqdm import tqdm

from gluonfr.core.candidates import MEMORY, BestPairs, Pairs, exact_scores, screening_error
from gluonfr.core.cpu import cores
from gluonfr.core.errors import UsageError

__all__ = ["MEMORY", "as_vectors", "exact_scores", "screening_error", "search", "top_k"]

# Bytes of a block of scores that stays in the processor's cache until it is read again; a product with this many columns is
# faster than several with fewer, up to the second number of bytes.
_CACHED, _COLUMNS, _BLOCK = 4 << 20, 2048, 32 << 20
# Number of queries of one pass over the rows.
_QUERIES = 4096
# Up to this many queries, products row by row are faster than a product of matrices.
_FEW = 4
# Number of rows in the first block.
_FIRST = 256
# Numbers in the rows for which a thread pays off, and the number of threads that saturate the memory.
_MANY, _THREADS = 1 << 22, 8
# Numbers in the rows that stay in the cache for several queries.
_CACHED_ROWS = 1 << 17


class _Scan(NamedTuple):
    """One pass of some queries over the rows."""

    queries: np.ndarray
    rows: np.ndarray
    skip: np.ndarray | None
    error: np.ndarray
    overall: BestPairs
    bar: Any


def top_k(
    queries: Any,
    rows: Any,
    k: int,
    memory: int = MEMORY,
    largest_norm: float | None = None,
    progress: str | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k rows with the largest inner product for each query, exactly.

    Scores are screened as float32 matrix products, block by block. Where rounding could change the result they are computed
    again in float64, always in the same order of additions, so that equal rows have equal scores at any place. The result is
    that of a full search in float64 and does not depend on the size of the blocks.

    Parameters
    ----------
    queries : array-like, (Q, D) float
        Finite; used as float32.
    rows : array-like, (N, D) float
        Finite; used as float32, and not copied when they are float32 already, so that they may be memory-mapped.
    k : int
        At least 1. Where N < k, the missing entries have score -inf and index -1.
    memory : int, default 256 MiB
        Bytes of working memory beside queries, rows and result.
    largest_norm : float, optional
        Largest norm of the rows, where it is known (1.001 for unit vectors, which covers rounding); saves a pass over the
        rows, which then must be finite.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    scores : (Q, k) float64, descending
    indices : (Q, k) int64
        Indices of the rows; of equal scores the lower index comes first.

    Raises
    ------
    UsageError
        Arrays are not two-dimensional, do not fit each other or contain NaN or infinity; k or memory is too small.

    Examples
    --------
    >>> scores, indices = top_k([[1, 0]], [[0, 1], [2, 0], [1, 0]], 2)
    >>> scores.tolist(), indices.tolist()
    ([[2.0, 1.0]], [[1, 2]])
    """
    found, _ = search(queries, rows, k, 0, memory, largest_norm, progress)
    return found


def search(
    queries: Any,
    rows: Any,
    k: int,
    largest: int = 0,
    memory: int = MEMORY,
    largest_norm: float | None = None,
    progress: str | None = None,
    skip: np.ndarray | None = None,
) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """Do the work of `top_k` and, in the same pass, find the largest scores over all pairs of a query and a row.

    Parameters
    ----------
    queries, rows, k, memory, largest_norm, progress
        As in `top_k`; here k may be 0.
    largest : int, default 0
        How many of the largest scores over all pairs.
    skip : (N,) bool, optional
        Rows that are not to be found.

    Returns
    -------
    (scores, indices) : (Q, k) float64 and int64
    largest : (min(largest, Q * N),) float64, descending

    Examples
    --------
    >>> search([[1, 0]], [[0, 1], [2, 0], [1, 0]], 1, largest=2)[1].tolist()
    [2.0, 1.0]
    """
    queries, rows, norm = _checked(queries, rows, k, memory, largest_norm)
    scores = np.full((len(queries), k), -np.inf)
    indices = np.full((len(queries), k), -1, dtype=np.int64)
    total = len(queries) * len(rows)
    overall = BestPairs(1, min(largest, total), queries, rows, memory // 4)
    # What is stored for each query takes a part of the memory too.
    step = max(1, min(_QUERIES, memory // (512 * max(k, 1))))
    blocks = [slice(start, start + step) for start in range(0, len(queries), step)]
    with tqdm(total=total, desc=progress, unit="pair", unit_scale=True, disable=None if progress else True, leave=False) as bar:
        for block in blocks:
            part = queries[block]
            best = BestPairs(len(part), min(k, len(rows)), part, rows, memory // 4)
            overall.queries = part
            scan = _Scan(part, rows, skip, screening_error(part, norm), overall, bar)
            _scan_all([slice(0, len(rows))] if largest else _spans(len(part), rows), scan, best, memory)
            # Later queries are compared with these scores, which must be exact before their queries are dropped.
            overall.settle()
            scores[block, : len(rows)], indices[block, : len(rows)] = best.table()
    return (scores, indices), overall.values()


def as_vectors(values: Any, name: str) -> np.ndarray:
    """Return values as (N, D) float32, without a copy where they are that, or raise `UsageError`.

    Examples
    --------
    >>> as_vectors([[1, 2]], "embeddings").dtype
    dtype('float32')
    """
    values = np.asarray(values)
    if values.ndim != 2 or not values.shape[1] or values.dtype.kind not in "fiu":
        raise UsageError(
            f"{name} must be an array (N, D) of real numbers, one row per face, got {values.dtype} {values.shape}."
        )
    return values if values.dtype == np.float32 else values.astype(np.float32)


def _checked(queries: Any, rows: Any, k: int, memory: int, largest_norm: float | None) -> tuple[np.ndarray, np.ndarray, float]:
    queries, rows = as_vectors(queries, "queries"), as_vectors(rows, "rows")
    if queries.shape[1] != rows.shape[1]:
        raise UsageError(
            f"queries have {queries.shape[1]} dimensions and rows {rows.shape[1]}; compare embeddings of one network."
        )
    if k < 0 or memory < 1 << 20:
        raise UsageError(f"k must not be negative and memory at least 1 MiB, got {k} and {memory}.")
    if not np.isfinite(queries).all():
        raise UsageError("queries contain NaN or infinity; check the network and its input.")
    norm = largest_norm
    if norm is None:
        norm = max((_largest_norm(rows[start : start + 4096]) for start in range(0, len(rows), 4096)), default=0.0)
    if not np.isfinite(norm):
        raise UsageError("rows contain NaN, infinity or too large numbers; check the network and its input.")
    return queries, rows, float(norm)


def _largest_norm(rows: np.ndarray) -> float:
    rows = rows.astype(np.float64)
    return float(np.sqrt(np.einsum("ij,ij->i", rows, rows).max()))


def _spans(queries: int, rows: np.ndarray) -> list[slice]:
    """Return all rows as one span, or one span per thread where the memory is the limit: matrix products use all cores."""
    threads = min(cores(), _THREADS, rows.size // _MANY) if queries <= _FEW else 1
    ends = np.linspace(0, len(rows), max(1, threads) + 1).astype(int).tolist()
    return [slice(begin, end) for begin, end in zip(ends, ends[1:])]


def _scan_all(spans: list[slice], scan: _Scan, best: BestPairs, memory: int) -> None:
    """Add all candidates of some spans of rows to `best` and to `scan.overall`."""
    bests = [best] + [best.copy_empty() for _ in spans[1:]]
    if len(spans) == 1:
        _scan_span(spans[0], scan, best, memory)
        return
    with ThreadPoolExecutor(len(spans) - 1) as pool:
        others = [pool.submit(_scan_span, span, scan, part, memory // len(spans)) for span, part in zip(spans[1:], bests[1:])]
        _scan_span(spans[0], scan, best, memory // len(spans))
        for other, part in zip(others, bests[1:]):
            other.result()
            best.add(part.pairs())


def _scan_span(span: slice, scan: _Scan, best: BestPairs, memory: int) -> None:
    for start, scores in _score_blocks(scan.queries, scan.rows[span], memory):
        start += span.start
        if scan.skip is not None:
            scores[:, scan.skip[start : start + scores.shape[1]]] = -np.inf
        _screen(start, scores, scan.error, best, scan.overall, memory)
        scan.bar.update(scores.size)


def _score_blocks(queries: np.ndarray, rows: np.ndarray, memory: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first row, scores (Q, n) float32) for consecutive blocks of rows; the next block overwrites the array."""
    # A quarter of the memory is for scores, the rest for candidates and for sorting them.
    cached = max(_CACHED, 4 * len(queries) * _COLUMNS) if len(queries) > _FEW else _CACHED // 4
    most = max(1, min(cached, _BLOCK, memory // 4) // (4 * len(queries))) if len(queries) else 1
    start, size = 0, min(_FIRST, most)
    space = np.empty(len(queries) * min(most, max(len(rows), 1)), dtype=np.float32)
    while start < len(rows):
        part = rows[start : start + size]
        scores = space[: len(queries) * len(part)].reshape(len(queries), len(part))
        if len(queries) > _FEW:
            np.matmul(queries, part.T, out=scores)
        else:
            _products_row_by_row(queries, part, scores)
        yield start, scores
        start += len(part)
        # Small at first, when no score is known yet that a candidate must exceed.
        size = min(2 * size, most)


def _products_row_by_row(queries: np.ndarray, rows: np.ndarray, scores: np.ndarray) -> None:
    # For few queries this reads the rows at the speed of the memory, which a product of matrices does not reach.
    step = len(rows) if len(queries) == 1 else max(1, _CACHED_ROWS // rows.shape[1])
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        for query, row in zip(queries, scores):
            np.einsum("ij,j->i", rows[part], query, out=row[part])


def _screen(start: int, scores: np.ndarray, error: np.ndarray, best: BestPairs, overall: BestPairs, memory: int) -> None:
    """Add every score that may still be needed to `best` and `overall`."""
    required = np.minimum(best.floors, overall.floors) - error
    # Rounded down, so that the comparison in float32 drops no candidate.
    required = np.nextafter(required.astype(np.float32), np.float32(-np.inf))
    # Skipped rows, with -inf, are never candidates, not even when no score is known yet.
    required = np.maximum(required, np.finfo(np.float32).min)
    hits = np.flatnonzero(scores.max(axis=1) >= required)
    # Usually few scores are candidates, but where all are equal all may be.
    step = max(1, (memory >> 8) // scores.shape[1])
    for first in range(0, len(hits), step):
        part = hits[first : first + step]
        chosen = scores if len(part) == len(scores) else scores[part]
        places = np.flatnonzero(chosen >= required[part, None])
        numbers, columns = np.divmod(places, scores.shape[1])
        found = Pairs(part[numbers], start + columns, chosen.reshape(-1)[places].astype(np.float64), error[part[numbers]])
        best.add(found)
        overall.add(found)
