"""Base of the losses on given pairs and triplets, and how pairs are formed from a labeled batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from mxnet import nd

from gluonfr.core import UsageError
from gluonfr.loss.base.input_checks import check_rows
from gluonfr.loss.base.loss import FRLoss


class TupleLoss(FRLoss):
    """Base of the losses on given pairs or triplets: several embeddings (N, D), row by row.

    Parameters
    ----------
    dtype, weight
        See `FRLoss`.

    Examples
    --------
    >>> class PairDistance(TupleLoss):
    ...     def check_inputs(self, *inputs):
    ...         self.check_embeddings(*inputs)
    ...         return inputs
    ...     def hybrid_forward(self, F, first, second):
    ...         return F.sum(F.square(first - second), axis=1)
    >>> PairDistance()(nd.array([[0, 1]]), nd.array([[3, 1]])).asnumpy().tolist()
    [9.0]
    """

    # Names of the embeddings among the inputs, and number of further inputs.
    embeddings: tuple[str, ...] = ()
    _label_position: int | None = None

    def check_embeddings(self, *embeddings: Any) -> None:
        """Raise `UsageError` unless all embeddings are floating-point arrays of one shape (N, D)."""
        shape = (None, None)
        for embedding in embeddings:
            check_rows(self, "embedding", embedding, *shape)
            shape = embedding.shape

    def reject_inputs(self, forms: str, count: int) -> None:
        """Raise `UsageError` for a wrong number of inputs."""
        raise UsageError(f"{type(self).__name__} takes {forms}, got {count} arrays.")


def next_of_same_label(labels: np.ndarray) -> np.ndarray:
    """Return for each label (N,) the index of the next equal one, cyclically; its own index where it is unique.

    Examples
    --------
    >>> next_of_same_label(np.array([0, 1, 0, 2])).tolist()
    [2, 1, 0, 3]
    """
    partner = np.arange(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        partner[members] = np.roll(members, -1)
    return partner


def next_of_other_label(labels: np.ndarray) -> np.ndarray:
    """Return for each label (N,) the index of the next different one, cyclically; its own index where there is none.

    Examples
    --------
    >>> next_of_other_label(np.array([0, 0, 1])).tolist()
    [2, 2, 0]
    """
    partner = np.arange(len(labels))
    for index, label in enumerate(labels):
        others = np.flatnonzero(labels != label)
        if others.size:
            partner[index] = others[np.searchsorted(others, index) % others.size]
    return partner


def take_rows(embedding: Any, indices: np.ndarray) -> Any:
    """Return rows of an array (N, D) by NumPy indices, differentiable.

    Examples
    --------
    >>> take_rows(nd.array([[1], [2], [3]]), np.array([2, 0])).asnumpy().tolist()
    [[3.0], [1.0]]
    """
    return nd.take(embedding, nd.array(indices, ctx=embedding.context, dtype="int32"), axis=0)


def zero_unless(loss: Any, complete: np.ndarray) -> Any:
    """Return a loss (N,) with 0 where the NumPy array `complete` is False.

    Examples
    --------
    >>> zero_unless(nd.array([5, 6]), np.array([True, False])).asnumpy().tolist()
    [5.0, 0.0]
    """
    return loss if complete.all() else loss * nd.array(complete, ctx=loss.context, dtype=loss.dtype)
