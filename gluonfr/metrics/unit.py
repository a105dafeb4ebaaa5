from __future__ import annotations

import numpy as np

from gluonfr.core import GluonFRError
from gluonfr.core.top_k import as_vectors

# Numbers in one block of rows, which stays in the processor's cache.
_BLOCK = 1 << 16


def unit_rows(embeddings, name, ids=None, in_place=False):
    """`embeddings` (N, D) as float32 rows of norm 1; NaN, zero or no rows raise GluonFRError with the first such row.

    Rows that are unit already, to float32's precision, are kept as they are and not copied; `in_place` writes the others over
    a float32 array. `ids` (N,) name the rows in the message.
    """
    embeddings = as_vectors(embeddings, name)
    if not len(embeddings):
        raise GluonFRError(f"{name}: there are no embeddings; give at least one.")
    squares = np.empty(len(embeddings))
    rows = max(1, _BLOCK // embeddings.shape[1])
    for start in range(0, len(embeddings), rows):
        # Added up in an order that depends on D alone: equal rows stay equal.
        block = embeddings[start : start + rows].astype(np.float64)
        squares[start : start + rows] = np.multiply(block, block, out=block).sum(axis=1)
    wrong = np.flatnonzero(~((squares > 1e-30) & (squares < 1e30)))
    if len(wrong):
        which = f"row {wrong[0]}" if ids is None else ids[wrong[0]]
        what = "zero" if not embeddings[wrong[0]].any() else "NaN, infinite or too large or small"
        raise GluonFRError(
            f"{name}: {which} is {what}, {len(wrong)} in all are like that; leave them out or check the network."
        )
    if np.abs(squares - 1).max() < 1e-6:
        return embeddings
    norms = np.sqrt(squares).astype(np.float32)[:, None]
    return np.divide(embeddings, norms, out=embeddings if in_place else None)
