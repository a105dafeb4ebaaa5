"""Functions on rows that several losses share; `F` is `mx.nd` or `mx.sym`."""

from __future__ import annotations

from typing import Any


def row_norm(F: Any, x: Any) -> Any:
    """Return the Euclidean norms of the rows, (N, D) -> (N,), with a finite gradient at 0.

    Examples
    --------
    >>> import mxnet as mx
    >>> row_norm(mx.nd, mx.nd.array([[3, 4]])).asscalar()
    5.0
    """
    return F.sqrt(F.maximum(F.sum(F.square(x), axis=1), 1e-12))


def unit_rows(F: Any, x: Any) -> Any:
    """Return x (N, D) with rows of length 1; a row of zeros stays zero and gets a finite gradient.

    Examples
    --------
    >>> import mxnet as mx
    >>> unit_rows(mx.nd, mx.nd.array([[3, 4]])).asnumpy().round(1)
    array([[0.6, 0.8]], dtype=float32)
    """
    return F.broadcast_div(x, F.sqrt(F.maximum(F.sum(F.square(x), axis=1, keepdims=True), 1e-12)))


def cross_entropy(F: Any, logits: Any, label: Any) -> Any:
    """Return the softmax cross-entropy of each row, (N, C), (N,) -> (N,).

    Examples
    --------
    >>> import mxnet as mx
    >>> round(cross_entropy(mx.nd, mx.nd.zeros((1, 4)), mx.nd.array([2])).asscalar(), 4)
    1.3863
    """
    return -F.pick(F.log_softmax(logits, axis=1), label, axis=1)


def replace_target(F: Any, logits: Any, label: Any, target: Any, classes: int) -> Any:
    """Return logits (N, C) with the entry at each row's label replaced by target (N,), differentiable in both.

    As an exported or static symbol it serves any batch size, which `scatter_nd` does not, and in float32 it is exact for any
    number of classes, unlike subtracting the target's term from the log-sum-exp.

    Examples
    --------
    >>> import mxnet as mx
    >>> replace_target(mx.nd, mx.nd.zeros((1, 3)), mx.nd.array([1]), mx.nd.array([5]), 3).asnumpy().tolist()
    [[0.0, 5.0, 0.0]]
    """
    row = F.contrib.arange_like(label, axis=0).astype("int64")
    flat = F.contrib.index_copy(
        F.reshape(logits, shape=(-1, 1)), row * classes + label.astype("int64"), F.reshape(target, shape=(-1, 1))
    )
    return F.reshape(flat, shape=(-1, classes))


def log_sum_exp(F: Any, logits: Any, column: Any) -> Any:
    """Return the log of the sum of exponentials of each row, (N, C) -> (N,).

    It is computed through `log_softmax` at any `column` (N,) with a finite logit, in a third of the time of a maximum,
    exponentials and a sum, and as exactly.

    Examples
    --------
    >>> import mxnet as mx
    >>> round(log_sum_exp(mx.nd, mx.nd.zeros((1, 4)), mx.nd.array([2])).asscalar(), 4)
    1.3863
    """
    return F.pick(logits, column, axis=1) - F.pick(F.log_softmax(logits, axis=1), column, axis=1)


def log_sum_exp_of_others(F: Any, logits: Any, label: Any, classes: int) -> Any:
    """Return the log of the sum of exponentials of each row without the label's, (N, C), (N,) -> (N,).

    Examples
    --------
    >>> import mxnet as mx
    >>> round(log_sum_exp_of_others(mx.nd, mx.nd.zeros((1, 4)), mx.nd.array([2]), 4).asscalar(), 4)
    1.0986
    """
    return exact_log_sum_exp(F, replace_target(F, logits, label, F.pick(logits, label, axis=1) * 0 - 1e30, classes))


def exact_log_sum_exp(F: Any, x: Any, axis: int = 1) -> Any:
    """Return the log of the sum of exponentials along an axis of a matrix, relative to its largest number.

    Examples
    --------
    >>> import mxnet as mx
    >>> exact_log_sum_exp(mx.nd, mx.nd.array([[1000, 0]])).asscalar()
    1000.0
    """
    largest = F.max(x, axis=axis, keepdims=True)
    return F.log(F.sum(F.exp(F.broadcast_sub(x, largest)), axis=axis)) + F.reshape(largest, shape=(-1,))
