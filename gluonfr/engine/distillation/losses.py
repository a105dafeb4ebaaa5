"""Losses (N,) between embeddings of a student (N, D) and those of a teacher for the same images."""

from __future__ import annotations

from typing import Any

import numpy as np
from mxnet import autograd, nd

# Rows among which angles are compared; all triplets of more rows do not fit into memory.
_ANGLE_ROWS = 64
_EPSILON = 1e-6


def cosine_loss(student: Any, teacher: Any) -> Any:
    """Return 1 - cosine.

    Examples
    --------
    >>> cosine_loss(nd.array([[2, 0], [0, 1]]), nd.array([[1, 0], [1, 0]])).asnumpy()
    array([0., 1.], dtype=float32)
    """
    return 1 - (unit(student) * unit(teacher)).sum(axis=1)


def l2_loss(student: Any, teacher: Any) -> Any:
    """Return the mean squared difference of the D numbers of an embedding.

    Examples
    --------
    >>> l2_loss(nd.array([[3, 0]]), nd.array([[1, 0]])).asnumpy()
    array([2.], dtype=float32)
    """
    return nd.square(student - teacher).mean(axis=1)


def relational_loss(student: Any, teacher: Any) -> Any:
    """Return relational knowledge distillation (https://arxiv.org/abs/1904.05068): distances, and twice the angles.

    Distances within the batch are divided by their mean and compared by the Huber loss, and so are the cosines of the angles at
    each sample, among 64 neighbors in the batch.

    Examples
    --------
    >>> rows = nd.array([[0, 0], [1, 0], [0, 1]])
    >>> relational_loss(rows, 5 * rows).asnumpy().round(4)
    array([0., 0., 0.], dtype=float32)
    """
    distances = _huber(_relative_distances(student) - _constant(_relative_distances, teacher)).mean(axis=1)
    angles = []
    for begin in range(0, len(student), _ANGLE_ROWS):
        rows = slice(begin, begin + _ANGLE_ROWS)
        difference = _angles(student[rows]) - _constant(_angles, teacher[rows])
        angles.append(_huber(difference).mean(axis=(1, 2)))
    return distances + 2 * nd.concat(*angles, dim=0)


def logit_loss(student: Any, teacher: Any, means: Any, scale: float) -> Any:
    """Return the Kullback-Leibler divergence of softmax(scale * cosine to each class mean), student from teacher.

    Parameters
    ----------
    student, teacher : NDArray (N, D)
    means : NDArray (C, D)
        The teacher's mean embedding of each class, of norm 1.
    scale : float

    Examples
    --------
    >>> means = nd.array([[1, 0], [0, 1]])
    >>> logit_loss(nd.array([[2, 2]]), nd.array([[1, 1]]), means, 8.0).asnumpy().round(4)
    array([0.], dtype=float32)
    """
    target = nd.log_softmax(scale * nd.dot(unit(teacher), means, transpose_b=True), axis=1)
    output = nd.log_softmax(scale * nd.dot(unit(student), means, transpose_b=True), axis=1)
    return (nd.exp(target) * (target - output)).sum(axis=1)


def unit(rows: Any) -> Any:
    """Return rows of norm 1.

    Examples
    --------
    >>> unit(nd.array([[3, 4]])).asnumpy()
    array([[0.6, 0.8]], dtype=float32)
    """
    return nd.L2Normalization(rows, mode="instance")


def _constant(function: Any, rows: Any) -> Any:
    with autograd.pause():
        return function(rows)


def _huber(difference: Any) -> Any:
    size = nd.abs(difference)
    return nd.where(size < 1, 0.5 * nd.square(difference), size - 0.5)


def _relative_distances(rows: Any) -> Any:
    """Return the distances (N, N) between rows, divided by the mean of those between different rows."""
    count = len(rows)
    squares = nd.square(rows).sum(axis=1)
    distances = nd.sqrt(
        nd.maximum(squares.reshape((-1, 1)) + squares.reshape((1, -1)) - 2 * nd.dot(rows, rows, transpose_b=True), _EPSILON)
    )
    distances = distances * nd.array(1 - np.eye(count, dtype=np.float32), ctx=rows.context)
    return distances * (count * max(1, count - 1) / (distances.sum() + _EPSILON))


def _angles(rows: Any) -> Any:
    """Return the cosines (N, N, N) of the angles at row i between rows j and k."""
    differences = nd.expand_dims(rows, 0) - nd.expand_dims(rows, 1)
    lengths = nd.sqrt(nd.square(differences).sum(axis=2, keepdims=True) + _EPSILON)
    directions = differences / lengths
    return nd.batch_dot(directions, directions, transpose_b=True)
