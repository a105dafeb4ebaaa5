from __future__ import annotations

from typing import Any

import mxnet as mx
import numpy as np
from mxnet import nd

from gluonfr.engine.distributed.group import Group


def gather_labels(group: Group, labels: Any) -> tuple[np.ndarray, list[int]]:
    """Return the labels of the batches of all ranks, int64 (N,), and their number per rank.

    `labels` is a list with one entry per device. In a group without shards, only the labels of this rank are returned.

    Examples
    --------
    >>> labels, counts = gather_labels(Group(), [nd.array([0, 1]), nd.array([2])])
    >>> labels.tolist(), counts
    ([0, 1, 2], [3])
    """
    own = np.concatenate([label.asnumpy().astype(np.int64).ravel() for label in labels])
    if group.size == 1:
        return own, [len(own)]
    if not group.shards:
        # No part of such a group needs the labels of other ranks.
        return own, group.gather_values(len(own))
    received = group.gather(nd.array([len(own), *own], mx.cpu(), "int32"), "labels").asnumpy().astype(np.int64)
    counts, all_labels = [], []
    while len(received):
        counts.append(int(received[0]))
        all_labels.append(received[1 : 1 + counts[-1]])
        received = received[1 + counts[-1] :]
    return np.concatenate(all_labels), counts
