from __future__ import annotations

import numpy as np
from mxnet import symbol

from gluonfr.core import GluonFRError
from gluonfr.loss.arguments import flag, number
from gluonfr.loss.checks import check_label, check_rows
from gluonfr.loss.embedding_base import EmbeddingLoss
from gluonfr.loss.pairwise import as_mask, masks, only_where, row_max, row_min, safe_sqrt, squared_distances
from gluonfr.loss.partners import other_person, same_person, take_rows, zero_unless
from gluonfr.loss.registry import LOSSES


@LOSSES.register("TripletLoss", "triplet")
class TripletLoss(EmbeddingLoss):
    r"""Triplet loss on given triplets (https://arxiv.org/abs/1503.03832).

    .. math:: L = \max(0, \|a - p\|^2 - \|a - n\|^2 + m)

    Use it for triplets chosen beforehand; within a batch `SemiHardTriplet` and `BatchHardTriplet` choose better ones.

    Parameters
    ----------
    margin : float, default 0.2
        m, the paper's, for embeddings of unit length; squared distances then lie in [0, 4].

    Inputs:
        - **anchor**, **positive**, **negative**: (N, D), of the same person, the same, another.
        - or **embedding**, **label**: (N, D), (N,): every image with the next one of its person in the batch and the next
          of another; who lacks either has loss 0.
        - **sample_weight**: (N,), keyword only.
    Outputs:
        - **loss**: (N,).
    """

    takes = "triplets"
    feature_norm = True

    def __init__(self, margin=0.2, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(None, None, dtype, weight, **kwargs)
        self.margin = number(self, "margin", margin)

    def __call__(self, anchor, positive, *args, sample_weight=None):
        if len(args) > 1:
            raise GluonFRError(
                f"TripletLoss takes (anchor, positive, negative) or (embedding, label), got {2 + len(args)} arrays."
            )
        if isinstance(anchor, symbol.Symbol):
            return self._compute(anchor, positive, *args, sample_weight=sample_weight)
        check_rows(self, "embedding", anchor, None)
        if not args:
            return self._form(anchor, positive, sample_weight)
        for each in (positive, args[0]):
            check_rows(self, "embedding", each, *anchor.shape)
        return self._compute(anchor, self._precise(positive), *args, sample_weight=sample_weight)

    def _form(self, embedding, label, sample_weight):
        check_label(self, label, embedding.shape[0])
        labels = label.asnumpy().ravel()
        positives, negatives = same_person(labels), other_person(labels)
        embedding = self._precise(embedding)
        others = (take_rows(embedding, each) for each in (positives, negatives))
        place = np.arange(len(labels))
        loss = self._compute(embedding, *others, sample_weight=sample_weight)
        return zero_unless(loss, (positives != place) & (negatives != place))

    def _compute(self, *given, sample_weight):
        # Straight to the grandparent: its order of arguments fits, the checks of (embedding, label) do not.
        return super(EmbeddingLoss, self).__call__(*given, sample_weight=sample_weight)

    def _check(self, output, label) -> None:
        """Done in `__call__`, for all three."""

    def hybrid_forward(self, F, anchor, positive, negative):
        near, far = (F.sum(F.square(anchor - each), axis=1) for each in (positive, negative))
        return F.relu(near - far + self.margin)


@LOSSES.register("BatchHardTriplet", "batchhard", "hard triplet", "BatchHardTripletLoss")
class BatchHardTriplet(EmbeddingLoss):
    r"""Batch-hard triplet loss (https://arxiv.org/abs/1703.07737): the farthest positive and the nearest negative of each.

    .. math:: L_i = \max\left(0, m + \max_{y_j = y_i, j \ne i} d_{ij} - \min_{y_j \ne y_i} d_{ij}\right)

    Use it on batches of P people x K images, from a network that already tells people apart: from scratch it tends to draw
    all embeddings into one point.

    Parameters
    ----------
    margin : float, default 0.2
    squared : bool, default True
        d is the squared distance, as in `TripletLoss`; False takes the Euclidean one, as that paper prefers.

    Inputs and outputs as `EmbeddingLoss`. A sample without a positive or without a negative has loss 0 and gradient 0.
    """

    needs_groups = True
    feature_norm = True

    def __init__(self, margin=0.2, squared=True, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(None, None, dtype, weight, **kwargs)
        self.margin = number(self, "margin", margin)
        self._squared = flag(self, "squared", squared)

    def hybrid_forward(self, F, embedding, label):
        distance = squared_distances(F, embedding)
        if not self._squared:
            distance = safe_sqrt(F, distance)
        positives, negatives = masks(F, label, distance)
        # Without a positive or a negative the difference is far below 0, and so is the hinge's gradient 0.
        return F.relu(row_max(F, distance, positives) - row_min(F, distance, negatives) + self.margin)


@LOSSES.register("SemiHardTriplet", "semihard", "facenet", "SemiHardTripletLoss")
class SemiHardTriplet(EmbeddingLoss):
    r"""FaceNet's semi-hard triplet loss (https://arxiv.org/abs/1503.03832): all pairs of one person, each with a negative
    drawn at random among the semi-hard ones.

    .. math:: L_{ap} = d_{ap} - d_{an} + \alpha, \quad d_{ap} < d_{an} < d_{ap} + \alpha

    d is the squared distance. The loss of a sample is the mean over its pairs that have a semi-hard negative. The usual
    triplet loss from scratch: the hardest negatives, often mislabeled or misaligned, stay out.

    Parameters
    ----------
    margin : float, default 0.2
        :math:`\alpha`, the paper's, for embeddings of unit length.

    Inputs and outputs as `EmbeddingLoss`. A sample without such a triplet has loss 0 and gradient 0. All triplets of a batch
    are looked at, so that time and memory grow with N^3: 0.2 GB and about half a second at N = 256 on one CPU core.
    """

    needs_groups = True
    feature_norm = True

    def __init__(self, margin=0.2, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(None, None, dtype, weight, **kwargs)
        self.margin = number(self, "margin", margin, open_end=True)

    def hybrid_forward(self, F, embedding, label):
        distance = squared_distances(F, embedding)
        positives, negatives = masks(F, label, distance)
        chosen, found = self._draw(F, F.BlockGrad(distance), positives, negatives)
        pairs = positives * found
        hinge = distance - _take_in_row(F, distance, chosen) + self.margin
        total = F.sum(only_where(F, pairs, hinge), axis=1)
        return total / F.maximum(F.sum(pairs, axis=1), 1)

    def _draw(self, F, distance, positives, negatives):
        """For each anchor and positive the place of a semi-hard negative (N, N), and whether there is one (N, N)."""
        # more[a, p, n] = d(a, n) - d(a, p)
        more = F.broadcast_sub(F.expand_dims(distance, axis=1), F.expand_dims(distance, axis=2))
        semi = F.broadcast_mul((more > 0) * (more < self.margin), F.expand_dims(negatives, axis=1))
        # The largest of independent uniform numbers falls on each candidate with equal probability.
        lots = semi * (1 + F.random.uniform_like(semi))
        return F.argmax(lots, axis=2), as_mask(F, F.max(semi, axis=2), positives)


def _take_in_row(F, values, places):
    """values[a, places[a, p]] of (N, N) and (N, N): (N, N)."""
    rows = F.broadcast_add(F.zeros_like(places), F.expand_dims(F.contrib.arange_like(places, axis=0), axis=1))
    return F.gather_nd(values, F.stack(rows, places, axis=0))
