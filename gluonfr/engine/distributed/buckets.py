"""Gradients joined into larger arrays for their exchange, always in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from mxnet import nd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Callable, Iterable, Sequence

    import mxnet as mx

# Number of elements that are summed at once: large enough to make the overhead of an exchange small, and small enough to start
# the first exchanges while the last gradients are computed.
_BUCKET = 1 << 22


def plain(array: mx.nd.NDArray) -> mx.nd.NDArray:
    """Return a copy in row-major layout.

    oneDNN stores the arrays of convolutions in layouts that only MXNet's operators understand.

    Examples
    --------
    >>> plain(nd.ones((2, 3))).shape
    (2, 3)
    """
    return nd.reshape(dense(array), shape=array.shape)


def dense(array: mx.nd.NDArray) -> mx.nd.NDArray:
    """Return the array; raise TypeError if it is sparse, which Horovod would silently turn into NaN.

    Examples
    --------
    >>> dense(nd.ones((2, 3))).shape
    (2, 3)
    """
    if array.stype != "default":
        raise TypeError(f"an array of {array.shape} is {array.stype}; only dense ones go between processes")
    return array


def sum_joined(gradients: Sequence[mx.nd.NDArray], sum_in_place: Callable[[int, mx.nd.NDArray], None]) -> None:
    """Replace gradients by sums, without waiting for the device.

    Parameters
    ----------
    gradients : list of NDArray
    sum_in_place : callable
        `sum_in_place(number, array)`, array (n,), replaces it by its sum over the ranks.

    Examples
    --------
    >>> gradients = [nd.ones((2,)), nd.ones((3,))]
    >>> def double(number, array):
    ...     array *= 2
    >>> sum_joined(gradients, double)
    >>> gradients[1].asnumpy().tolist()
    [2.0, 2.0, 2.0]
    """
    for number, bucket in enumerate(_buckets([dense(array) for array in gradients])):
        joined = nd.concat(*[nd.reshape(array, shape=(-1,)) for array in bucket], dim=0)
        sum_in_place(number, joined)
        ends = np.cumsum([array.size for array in bucket]).tolist()
        for gradient, begin, end in zip(bucket, [0, *ends], ends):
            joined[begin:end].reshape(gradient.shape).copyto(gradient)


def _buckets(gradients: Iterable[mx.nd.NDArray]) -> Iterator[list[mx.nd.NDArray]]:
    """Yield lists of gradients of one type that are summed together, in order."""
    bucket: list[Any] = []
    elements = 0
    for gradient in gradients:
        if bucket and (elements + gradient.size > _BUCKET or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket, elements = [], 0
        bucket.append(gradient)
        elements += gradient.size
    if bucket:
        yield bucket
