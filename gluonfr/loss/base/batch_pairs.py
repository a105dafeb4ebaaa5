"""Distances and masks between all samples of a batch, without knowing its size, so that hybridized graphs serve any size."""

from __future__ import annotations

from typing import Any

# Replaces infinity where a masked entry must never be selected: infinity itself gives NaN in gradients.
_FAR = 1e30


def squared_distances(F: Any, x: Any) -> Any:
    """Return the squared distances between all rows of x (N, D): (N, N), at least 0, with gradient 0 on the diagonal.

    Examples
    --------
    >>> import mxnet as mx
    >>> squared_distances(mx.nd, mx.nd.array([[0, 0], [3, 4]])).asnumpy().tolist()
    [[0.0, 25.0], [25.0, 0.0]]
    """
    square = F.sum(F.square(x), axis=1, keepdims=True)
    sums = F.broadcast_add(square, F.transpose(square))
    return F.relu(sums - 2 * F.dot(x, x, transpose_b=True))


def safe_sqrt(F: Any, square: Any) -> Any:
    """Return the square root, with gradient 0 at 0 instead of infinity.

    Examples
    --------
    >>> import mxnet as mx
    >>> safe_sqrt(mx.nd, mx.nd.array([0, 9])).asnumpy().tolist()
    [0.0, 3.0]
    """
    positive = square > 0
    ones = F.ones_like(square)
    return F.where(positive, F.sqrt(F.where(positive, square, ones)), F.zeros_like(square))


def masks(F: Any, label: Any, like: Any) -> tuple[Any, Any]:
    """Return the masks of positives (same label, another sample) and negatives: two (N, N) of the type of `like`.

    Examples
    --------
    >>> import mxnet as mx
    >>> label, distances = mx.nd.array([4, 4, 7]), mx.nd.zeros((3, 3))
    >>> positives, negatives = masks(mx.nd, label, distances)
    >>> positives.asnumpy().tolist()
    [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    >>> negatives.asnumpy().tolist()
    [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    """
    column, row = F.reshape(label, shape=(-1, 1)), F.reshape(label, shape=(1, -1))
    same = F.broadcast_equal(column, row)
    return as_mask(F, same * other_samples(F, label), like), as_mask(F, 1 - same, like)


def other_samples(F: Any, label: Any) -> Any:
    """Return (N, N) with 0 on the diagonal and 1 elsewhere, for labels (N,) or (N, 1).

    Examples
    --------
    >>> import mxnet as mx
    >>> other_samples(mx.nd, mx.nd.array([4, 4])).asnumpy().tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    place = F.contrib.arange_like(F.reshape(label, shape=(-1,)), axis=0)
    return F.broadcast_not_equal(F.reshape(place, shape=(-1, 1)), F.reshape(place, shape=(1, -1)))


def as_mask(F: Any, condition: Any, like: Any) -> Any:
    """Return a condition of any type as zeros and ones of the type of `like`.

    Examples
    --------
    >>> import mxnet as mx
    >>> as_mask(mx.nd, mx.nd.array([0, 2], dtype="int32"), mx.nd.zeros(2)).asnumpy().tolist()
    [0.0, 1.0]
    """
    return F.where(condition, F.ones_like(like), F.zeros_like(like))


def any_in_row(F: Any, mask: Any) -> Any:
    """Return 1 for each row of a mask (N, M) that has an entry, else 0: (N,).

    Examples
    --------
    >>> import mxnet as mx
    >>> any_in_row(mx.nd, mx.nd.array([[0, 1], [0, 0]])).asnumpy().tolist()
    [1.0, 0.0]
    """
    return F.max(mask, axis=1)


def has_positive_and_negative(F: Any, positives: Any, negatives: Any) -> Any:
    """Return 1 when the batch has two images of one person and two people, else 0: (1,).

    Examples
    --------
    >>> import mxnet as mx
    >>> positives, negatives = masks(mx.nd, mx.nd.array([4, 4]), mx.nd.zeros((2, 2)))
    >>> has_positive_and_negative(mx.nd, positives, negatives).asnumpy().tolist()
    [0.0]
    """
    return F.reshape(F.max(positives) * F.max(negatives), shape=(1,))


def row_max(F: Any, values: Any, mask: Any) -> Any:
    """Return the largest value of each row (N, M) under the mask: (N,), -1e30 for empty rows. Of ties one gets the gradient.

    Examples
    --------
    >>> import mxnet as mx
    >>> row_max(mx.nd, mx.nd.array([[5, 9, 7]]), mx.nd.array([[1, 0, 1]])).asnumpy().tolist()
    [7.0]
    """
    masked = F.where(mask, values, F.ones_like(values) * -_FAR)
    return F.pick(masked, F.argmax(masked, axis=1), axis=1)


def row_min(F: Any, values: Any, mask: Any) -> Any:
    """Return the smallest value of each row (N, M) under the mask: (N,), 1e30 for empty rows.

    Examples
    --------
    >>> import mxnet as mx
    >>> row_min(mx.nd, mx.nd.array([[5, 9, 7]]), mx.nd.array([[0, 1, 1]])).asnumpy().tolist()
    [7.0]
    """
    return -row_max(F, -values, mask)


def row_log_sum_exp(F: Any, values: Any, mask: Any) -> Any:
    """Return the log of the sum of exp over each row under the mask: (N,), a large negative number for empty rows.

    Examples
    --------
    >>> import mxnet as mx
    >>> row_log_sum_exp(mx.nd, mx.nd.array([[2, 2, 50]]), mx.nd.array([[1, 1, 0]])).asnumpy().round(3)
    array([2.693], dtype=float32)
    """
    masked = F.where(mask, values, F.ones_like(values) * -_FAR)
    largest = F.BlockGrad(F.max(masked, axis=1, keepdims=True))
    inside = F.sum(F.exp(F.broadcast_sub(masked, largest)) * mask, axis=1)
    empty = 1 - any_in_row(F, mask)
    return F.log(inside + empty) + F.reshape(largest, shape=(-1,))


def only_where(F: Any, mask: Any, values: Any) -> Any:
    """Return values where the mask is 1, else 0 with gradient 0, even where a value overflows.

    Examples
    --------
    >>> import mxnet as mx
    >>> only_where(mx.nd, mx.nd.array([1, 0]), mx.nd.array([3, float("inf")])).asnumpy().tolist()
    [3.0, 0.0]
    """
    return F.where(mask, values, F.zeros_like(values))
