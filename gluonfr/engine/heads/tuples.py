"""Pairs and triplets of a batch, for the losses that are given them."""

from __future__ import annotations

from typing import Any

import numpy as np


def form_triplets(labels: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Form triplets of each image, each other image of its person, and a different negative for each of these.

    The negatives of an anchor are spread evenly over the images of other people, and different for the images of one person.
    Nothing is random here, because the sampler has shuffled people and images. In a batch of P people with K images, every
    anchor has K - 1 triplets.

    Parameters
    ----------
    labels : array (N,)

    Returns
    -------
    positives, negatives : int64 (N, T)
        Positions in the batch for each anchor. T is the largest number of positives; anchors with fewer repeat theirs.
    weights : float32 (N, T)
        1 / T; 0 where an anchor has no positive or no negative.

    Examples
    --------
    >>> positives, negatives, weights = form_triplets(np.array([0, 0, 1, 1]))
    >>> positives.ravel().tolist()
    [1, 0, 3, 2]
    """
    positives, negatives, some_positive, some_negative = _neighbors(labels)
    weights = np.full(positives.shape, 1 / positives.shape[1], np.float32)
    return positives, negatives, weights * (some_positive & some_negative)[:, None]


def form_pairs(labels: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Form pairs of each image with the positives and the negatives of its triplets, the same number of both.

    Returns
    -------
    others : int64 (N, 2 T)
    issame : float32 (N, 2 T)
        1 in the first half.
    weights : float32 (N, 2 T)
        Sum to 1 for each image that has a partner; 0 for missing partners.

    Examples
    --------
    >>> others, issame, weights = form_pairs(np.array([0, 0, 1, 1]))
    >>> others.shape, issame[0].tolist()
    ((4, 2), [1.0, 0.0])
    """
    positives, negatives, some_positive, some_negative = _neighbors(labels)
    there = np.repeat(np.stack([some_positive, some_negative], axis=1), positives.shape[1], axis=1).astype(np.float32)
    issame = np.concatenate([np.ones(positives.shape), np.zeros(negatives.shape)], axis=1).astype(np.float32)
    return np.concatenate([positives, negatives], axis=1), issame, there / np.maximum(there.sum(axis=1, keepdims=True), 1)


def _neighbors(labels: Any) -> Any:
    """Return positives and negatives (N, T), and which images have any (N,)."""
    labels = np.asarray(labels).ravel()
    count = len(labels)
    # Row i: the rest of the batch in order, starting after i; images of the same person first.
    after = (np.arange(count)[:, None] + np.arange(1, count)) % count
    same = labels[after] == labels[:, None]
    after = np.take_along_axis(after, np.argsort(~same, axis=1, kind="stable"), axis=1)
    alike = same.sum(axis=1)
    different = count - 1 - alike
    turns = np.arange(max(1, alike.max()))
    before = np.tril(labels[:, None] == labels, -1).sum(axis=1)
    positive = turns % np.maximum(alike, 1)[:, None]
    negative = (before[:, None] + turns * different[:, None] // len(turns)) % np.maximum(different, 1)[:, None]
    last = max(count - 2, 0)
    after = after if count > 1 else np.zeros((count, 1), np.int64)
    positives = np.take_along_axis(after, positive, axis=1)
    negatives = np.take_along_axis(after, np.minimum(alike[:, None] + negative, last), axis=1)
    return positives, negatives, alike > 0, different > 0
