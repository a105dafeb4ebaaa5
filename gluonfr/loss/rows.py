from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from mxnet import autograd, nd
from mxnet.base import _LIB, check_call

from gluonfr.core import GluonFRError, cores

# Between these, sums of exponentials are as exact as others; outside they are taken relative to the largest.
_SMALL, _LARGE = 1e-25, 1e35


class RowwiseMargin(autograd.Function):
    r"""A margin's cross-entropy on the CPU, row by row, for matrices that no cache holds.

    .. math:: L_i = \log\left(e^{t_i} + \sum_{j \ne y_i} e^{s\, o_{ij}}\right) - t_i, \quad t_i = s\, \psi(o_{i y_i})

    Scale, replaced target, exponential and sum of a row are done while it lies in the core's cache, so that the matrix goes
    through memory twice forwards and twice backwards; MXNet's operators take fourteen passes. What is kept for the gradient
    is one matrix, which becomes the gradient.

    Parameters
    ----------
    scale : float
    label : NDArray (N,)
    target : callable
        Target cosines (N,) to those after the margin (N,), each from its own alone.
    spare : dict
        Context to matrix: where the matrix goes in the end and comes from at the beginning. New memory from the system would
        take longer than the whole loss.

    Inputs:
        - **output**: cosines (N, C), float32 on a CPU.
    Outputs:
        - **loss**: (N,).
    """

    def __init__(self, scale, label, target, spare) -> None:
        super().__init__()
        self._scale, self._label, self._target, self._spare = scale, label, target, spare
        self._matrix = None

    def forward(self, output):
        cos_y = nd.pick(output, self._label, axis=1)
        cos_y.attach_grad()
        with autograd.record():
            target = self._target(cos_y) * self._scale
        target.backward()
        self._slope, target, self._columns = cos_y.grad.asnumpy(), target.asnumpy(), self._label.asnumpy().astype(np.int64)
        self._matrix = _take(self._spare, output)
        cosines, kept = _memory(output), _memory(self._matrix)
        self._others, self._sums, loss = np.empty((3, len(kept)), np.float32)

        def exponentials(i, shifted):
            """Fill the row; its target's and the others' sum, and by how much all exponents were lowered."""
            row = np.multiply(cosines[i], self._scale, out=kept[i])
            row[self._columns[i]] = target[i]
            shift = row.max() if shifted else np.float32(0)
            if shifted:
                row -= shift
            np.exp(row, out=row)
            own, row[self._columns[i]] = row[self._columns[i]], 0
            return own, row.sum(), shift

        def work(rows) -> None:
            # What is not finite shows in the loss.
            with np.errstate(all="ignore"):
                for i in rows:
                    # exp(64) is no large number yet, and two passes less a third of the time.
                    own, others, shift = exponentials(i, False)
                    if not _SMALL < own + others < _LARGE:
                        own, others, shift = exponentials(i, True)
                    self._others[i], self._sums[i] = others, own + others
                    # The first form keeps a loss that is far below the rounding of 1.
                    loss[i] = np.log1p(others / own) if others < own else np.log(own + others) + (shift - target[i])

        _share(work, len(kept))
        return nd.array(loss, ctx=output.context)

    def backward(self, gradient):
        if self._matrix is None:
            raise GluonFRError("a margin's gradient is computed once; for retain_graph set loss.rowwise_from = float('inf').")
        matrix, self._matrix = self._matrix, None
        kept, factor = _memory(matrix), gradient.asnumpy()

        def work(rows) -> None:
            for i in rows:
                kept[i] *= factor[i] * self._scale / self._sums[i]
                kept[i, self._columns[i]] = -factor[i] * self._slope[i] * self._others[i] / self._sums[i]

        _share(work, len(kept))
        return _Lent(matrix, self._spare)


class _Lent(tuple):
    """A gradient that goes to `spare` when its taker lets go of it.

    MXNet asks for the copy after `backward` has returned, in a thread of its own; not before that may another batch take the
    matrix, and then `_memory` waits for the copy.
    """

    def __new__(cls, matrix, spare):
        lent = super().__new__(cls, (matrix,))
        lent.spare = spare
        return lent

    def __del__(self) -> None:
        self.spare[self[0].context] = self[0]


def _take(spare, like):
    """A matrix of this shape and place, of unknown content, out of `spare` if it is there."""
    found = spare.pop(like.context, None)
    return nd.empty(like.shape, ctx=like.context) if found is None or found.shape != like.shape else found


def _memory(array):
    """The memory of a float32 array on a CPU, when all that was asked of it is done; valid as long as the array lives."""
    check_call(_LIB.MXNDArrayWaitToWrite(array.handle))
    address = ctypes.c_void_p()
    check_call(_LIB.MXNDArrayGetData(array.handle, ctypes.byref(address)))
    memory = (ctypes.c_float * array.size).from_address(address.value)
    return np.frombuffer(memory, np.float32).reshape(array.shape)


def _share(work, rows) -> None:
    """Do the rows 0..rows-1 in as many threads as MXNet's operators use."""
    threads = min(int(os.environ.get("OMP_NUM_THREADS") or cores()), rows)
    if threads == 1:
        work(range(rows))
    else:
        list(_pool(threads).map(work, [range(first, rows, threads) for first in range(threads)]))


@lru_cache(maxsize=None)
def _pool(threads):
    return ThreadPoolExecutor(threads, "gluonfr-loss")
