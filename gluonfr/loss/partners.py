from __future__ import annotations

import numpy as np
from mxnet import nd


def same_person(labels):
    """For each of labels (N,) the place of the next one equal to it, for the last the first; its own place if alone."""
    partner = np.arange(len(labels))
    for each in np.unique(labels):
        members = np.flatnonzero(labels == each)
        partner[members] = np.roll(members, -1)
    return partner


def other_person(labels):
    """For each of labels (N,) the place of the next one that differs, from the beginning again; its own place if none does."""
    partner = np.arange(len(labels))
    for place, each in enumerate(labels):
        others = np.flatnonzero(labels != each)
        if others.size:
            partner[place] = others[np.searchsorted(others, place) % others.size]
    return partner


def take_rows(embedding, places):
    """Rows of (N, D) by a NumPy array of places, differentiable."""
    return nd.take(embedding, nd.array(places, ctx=embedding.context, dtype="int32"), axis=0)


def zero_unless(loss, complete):
    """Loss (N,), 0 where the NumPy array `complete` is False."""
    return loss if complete.all() else loss * nd.array(complete, ctx=loss.context, dtype=loss.dtype)


def is_label(array, rows):
    return isinstance(array, nd.NDArray) and array.shape in ((rows,), (rows, 1))
