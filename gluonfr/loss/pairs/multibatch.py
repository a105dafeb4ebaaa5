from __future__ import annotations

from typing import Any

import mxnet as mx

from gluonfr.core import check_number
from gluonfr.loss.base.batch_pairs import has_positive_and_negative, masks, squared_distances
from gluonfr.loss.base.embedding import EmbeddingLoss
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.registry import LOSSES


@LOSSES.register("MultiBatchLoss", "multibatch", "PairLoss")
class MultiBatchLoss(EmbeddingLoss):
    r"""Multi-Batch loss, or PairLoss (https://arxiv.org/abs/1605.07270): all pairs of a batch, and a learned threshold.

    .. math:: L = \frac{1}{k^2 - k} \sum_{i \ne j} \max\left(0, 1 - y_{ij} (\theta - \|f_i - f_j\|^2)\right)

    with :math:`y_{ij}` = 1 for one person, else -1. The loss of sample i is the mean over its k - 1 pairs, so that the mean
    over the batch is L. Use it to train a small network on large batches: the paper uses 16 people x 16 images and an
    embedding of size 128.

    Parameters
    ----------
    theta : float, default 1
        Initial threshold: the squared distance below which two embeddings are considered the same person's. It is a Parameter
        `theta` (1,) for the Trainer, without weight decay.
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `EmbeddingLoss`. A batch without a pair of one person, or of one person only, has loss 0 and
    gradient 0: it would move the threshold in one direction without bound.

    Examples
    --------
    >>> MultiBatchLoss().spec.needs_identities
    True
    """

    spec = LossSpec("embedding", feature_norm=True, batch="identities")

    def __init__(self, theta: float = 1.0, dtype: str = "float32", weight: float | None = None, **kwargs: Any) -> None:
        super().__init__(None, None, dtype, weight, **kwargs)
        start = mx.init.Constant(check_number("theta", theta, minimum=0, owner=self))
        with self.name_scope():
            self.theta = self.params.get("theta", shape=(1,), init=start, dtype=self.dtype, wd_mult=0.0)

    def hybrid_forward(self, F: Any, embedding: Any, label: Any, theta: Any) -> Any:
        """Return the losses (N,)."""
        distance = squared_distances(F, embedding)
        positives, negatives = masks(F, label, distance)
        inside = F.broadcast_sub(F.reshape(theta, shape=(1, 1)), distance)
        hinges = positives * F.relu(1 - inside) + negatives * F.relu(1 + inside)
        pairs = F.maximum(F.sum(positives + negatives, axis=1), 1)
        return F.broadcast_mul(F.sum(hinges, axis=1) / pairs, has_positive_and_negative(F, positives, negatives))
