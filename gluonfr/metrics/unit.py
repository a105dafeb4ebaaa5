"""Embeddings normalized to unit length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gluonfr.core import DataError
from gluonfr.core.top_k import as_vectors
from gluonfr.metrics.checks import as_array

# Numbers in one block of rows, which fits into the processor's cache.
_BLOCK = 1 << 16


def unit_rows(embeddings: Any, name: str, ids: Sequence[Any] | np.ndarray | None = None, in_place: bool = False) -> np.ndarray:
    """L2-normalize embeddings; rows that have unit length already are returned unchanged and not copied.

    Parameters
    ----------
    embeddings : array-like, (N, D) float
    name : str
        Name of the array or its file, for messages.
    ids : sequence, (N,), optional
        Names of the rows, for messages.
    in_place : bool, default False
        Overwrite a float32 array.

    Returns
    -------
    (N, D) float32
        Rows of norm 1.

    Raises
    ------
    DataError
        There are no rows, or one is zero or not finite; the message names the first.

    Examples
    --------
    >>> unit_rows([[3.0, 4.0]], "embeddings").round(2).tolist()
    [[0.6000000238418579, 0.800000011920929]]
    """
    embeddings = as_vectors(as_array(embeddings, name), name)
    if not len(embeddings):
        raise DataError(f"{name}: there are no embeddings; give at least one.")
    squares = np.empty(len(embeddings))
    rows = max(1, _BLOCK // embeddings.shape[1])
    for start in range(0, len(embeddings), rows):
        # The order of additions depends on D alone: equal rows have equal norms.
        block = embeddings[start : start + rows].astype(np.float64)
        squares[start : start + rows] = np.multiply(block, block, out=block).sum(axis=1)
    wrong = np.flatnonzero(~((squares > 1e-30) & (squares < 1e30)))
    if len(wrong):
        row = f"row {wrong[0]}" if ids is None else ids[wrong[0]]
        what = "is zero" if not embeddings[wrong[0]].any() else "holds NaN, infinity, or numbers that are too large or small"
        raise DataError(f"{name}: {row} {what} ({len(wrong)} such rows); leave them out or check the network.")
    if np.abs(squares - 1).max() < 1e-6:
        return embeddings
    norms = np.sqrt(squares).astype(np.float32)[:, None]
    return np.divide(embeddings, norms, out=embeddings if in_place else None)
