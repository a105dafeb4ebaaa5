from __future__ import annotations

import mxnet as mx

from gluonfr.loss.arguments import number
from gluonfr.loss.embedding_base import EmbeddingLoss
from gluonfr.loss.pairwise import masks, squared_distances, trainable
from gluonfr.loss.registry import LOSSES


@LOSSES.register("MultiBatchLoss", "multibatch", "PairLoss")
class MultiBatchLoss(EmbeddingLoss):
    r"""Multi-Batch loss, or PairLoss (https://arxiv.org/abs/1605.07270): all ordered pairs of a batch, and a learned threshold.

    .. math:: L = \frac{1}{k^2 - k} \sum_{i \ne j} \max\left(0, 1 - y_{ij} (\theta - \|f_i - f_j\|^2)\right)

    with :math:`y_{ij}` = 1 for one person, else -1. The loss of sample i is the mean over its k - 1 pairs, so that the mean
    over the batch is L. Use it to train a small network on large batches: the paper takes 16 people x 16 images and an
    embedding of 128.

    Parameters
    ----------
    theta : float, default 1
        Where the threshold starts: the squared distance at which two embeddings are taken for one person's. It is a Parameter
        `theta` (1,) for the Trainer, without weight decay.

    Inputs and outputs as `EmbeddingLoss`. A batch without a pair of one person, or of one person only, has loss 0 and
    gradient 0: it would move the threshold one way without end.
    """

    needs_groups = True
    feature_norm = True

    def __init__(self, theta=1.0, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(None, None, dtype, weight, **kwargs)
        start = mx.init.Constant(number(self, "theta", theta))
        with self.name_scope():
            self.theta = self.params.get("theta", shape=(1,), init=start, dtype=self._dtype, wd_mult=0.0)

    def hybrid_forward(self, F, embedding, label, theta):
        distance = squared_distances(F, embedding)
        positives, negatives = masks(F, label, distance)
        inside = F.broadcast_sub(F.reshape(theta, shape=(1, 1)), distance)
        hinges = positives * F.relu(1 - inside) + negatives * F.relu(1 + inside)
        pairs = F.maximum(F.sum(positives + negatives, axis=1), 1)
        return F.broadcast_mul(F.sum(hinges, axis=1) / pairs, trainable(F, positives, negatives))
