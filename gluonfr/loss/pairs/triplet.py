"""Triplet losses: on given triplets, batch-hard and semi-hard."""

from __future__ import annotations

from typing import Any

import numpy as np
from mxnet import symbol

from gluonfr.core import check_flag, check_number
from gluonfr.loss.base.batch_pairs import as_mask, masks, only_where, row_max, row_min, safe_sqrt, squared_distances
from gluonfr.loss.base.embedding import EmbeddingLoss
from gluonfr.loss.base.input_checks import check_label, check_rows
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.base.tuples import TupleLoss, next_of_other_label, next_of_same_label, take_rows, zero_unless
from gluonfr.loss.registry import LOSSES


@LOSSES.register("TripletLoss", "triplet")
class TripletLoss(TupleLoss):
    r"""Triplet loss on given triplets (https://arxiv.org/abs/1503.03832).

    .. math:: L = \max(0, \|a - p\|^2 - \|a - n\|^2 + m)

    Use it for given triplets; within a batch `SemiHardTriplet` and `BatchHardTriplet` select better ones.

    Parameters
    ----------
    margin : float, default 0.2
        m, the paper's, for embeddings of unit length, where squared distances are in [0, 4].
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **anchor**, **positive**, **negative**: (N, D), of a person, the same person, another person.
        - or **embedding**, **label**: (N, D), (N,): every image with the next one of its person in the batch and the next one
          of another person; images that lack either have loss 0.
        - **sample_weight**: (N,), keyword only, optional.
    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> import mxnet as mx
    >>> a, p, n = mx.nd.array([[1, 0]]), mx.nd.array([[0, 1]]), mx.nd.array([[-1, 0]])
    >>> TripletLoss(margin=3)(a, p, n).asnumpy().tolist()
    [1.0]
    """

    spec = LossSpec("triplets", feature_norm=True, batch="identities")

    def __init__(self, margin: float = 0.2, dtype: str = "float32", weight: float | None = None, **kwargs: Any) -> None:
        super().__init__(dtype, weight, **kwargs)
        self.margin = check_number("margin", margin, minimum=0, owner=self)

    def __call__(self, *inputs: Any, sample_weight: Any = None) -> Any:
        """Return the losses (N,)."""
        if len(inputs) != 2 or isinstance(inputs[0], symbol.Symbol):
            return super().__call__(*inputs, sample_weight=sample_weight)
        embedding, label = inputs
        check_rows(self, "embedding", embedding, None)
        check_label(self, label, embedding.shape[0])
        labels, index = label.asnumpy().ravel(), np.arange(embedding.shape[0])
        positives, negatives = next_of_same_label(labels), next_of_other_label(labels)
        others = (take_rows(embedding, rows) for rows in (positives, negatives))
        loss = super().__call__(embedding, *others, sample_weight=sample_weight)
        return zero_unless(loss, (positives != index) & (negatives != index))

    def check_inputs(self, *inputs: Any) -> tuple[Any, ...]:
        """Return anchors, positives and negatives."""
        if len(inputs) != 3:
            self.reject_inputs("(anchor, positive, negative) or (embedding, label)", len(inputs))
        self.check_embeddings(*inputs)
        return inputs

    def hybrid_forward(self, F: Any, anchor: Any, positive: Any, negative: Any) -> Any:
        """Return the losses (N,)."""
        near, far = (F.sum(F.square(anchor - other), axis=1) for other in (positive, negative))
        return F.relu(near - far + self.margin)


@LOSSES.register("BatchHardTriplet", "batchhard", "hard triplet", "BatchHardTripletLoss")
class BatchHardTriplet(EmbeddingLoss):
    r"""Batch-hard triplet loss (https://arxiv.org/abs/1703.07737): the farthest positive and the nearest negative.

    .. math:: L_i = \max\left(0, m + \max_{y_j = y_i, j \ne i} d_{ij} - \min_{y_j \ne y_i} d_{ij}\right)

    Use it on batches of P people x K images, from a network that already separates people: from scratch it tends to collapse
    all embeddings to one point.

    Parameters
    ----------
    margin : float, default 0.2
        Margin m.
    squared : bool, default True
        Whether d is the squared distance, as in `TripletLoss`, or the Euclidean one, which the paper prefers.
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `EmbeddingLoss`. A sample without a positive or without a negative has loss 0 and gradient 0.

    Examples
    --------
    >>> import mxnet as mx
    >>> x, label = mx.nd.array([[0, 0], [1, 0], [2, 0]]), mx.nd.array([0, 0, 1])
    >>> BatchHardTriplet(margin=1)(x, label).asnumpy().tolist()
    [0.0, 1.0, 0.0]
    """

    spec = LossSpec("embedding", feature_norm=True, batch="identities")

    def __init__(
        self, margin: float = 0.2, squared: bool = True, dtype: str = "float32", weight: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(None, None, dtype, weight, **kwargs)
        self.margin = check_number("margin", margin, minimum=0, owner=self)
        self.squared = check_flag("squared", squared, self)

    def hybrid_forward(self, F: Any, embedding: Any, label: Any) -> Any:
        """Return the losses (N,)."""
        distance = squared_distances(F, embedding)
        if not self.squared:
            distance = safe_sqrt(F, distance)
        positives, negatives = masks(F, label, distance)
        # Without a positive or a negative the difference is far below 0, and the gradient of the hinge is 0.
        return F.relu(row_max(F, distance, positives) - row_min(F, distance, negatives) + self.margin)


@LOSSES.register("SemiHardTriplet", "semihard", "facenet", "SemiHardTripletLoss")
class SemiHardTriplet(EmbeddingLoss):
    r"""FaceNet's semi-hard triplet loss (https://arxiv.org/abs/1503.03832).

    All pairs of one person, each with a negative drawn at random among the semi-hard ones:

    .. math:: L_{ap} = d_{ap} - d_{an} + \alpha, \quad d_{ap} < d_{an} < d_{ap} + \alpha

    d is the squared distance. The loss of a sample is the mean over its pairs that have a semi-hard negative. The usual
    triplet loss from scratch: the hardest negatives, often mislabeled or misaligned, are not used.

    Parameters
    ----------
    margin : float, default 0.2
        :math:`\alpha`, the paper's, for embeddings of unit length.
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `EmbeddingLoss`. A sample without such a triplet has loss 0 and gradient 0. All triplets of a batch
    are examined, so time and memory grow with N^3: 0.2 GB and about half a second at N = 256 on one CPU core.

    Examples
    --------
    >>> import mxnet as mx
    >>> x, label = mx.nd.array([[0, 0], [1, 0], [1.2, 0]]), mx.nd.array([0, 0, 1])
    >>> SemiHardTriplet(margin=1)(x, label).asnumpy().round(2)
    array([0.56, 0.  , 0.  ], dtype=float32)
    """

    spec = LossSpec("embedding", feature_norm=True, batch="identities")

    def __init__(self, margin: float = 0.2, dtype: str = "float32", weight: float | None = None, **kwargs: Any) -> None:
        super().__init__(None, None, dtype, weight, **kwargs)
        self.margin = check_number("margin", margin, above=0, owner=self)

    def hybrid_forward(self, F: Any, embedding: Any, label: Any) -> Any:
        """Return the losses (N,)."""
        distance = squared_distances(F, embedding)
        positives, negatives = masks(F, label, distance)
        chosen, found = self._draw(F, F.BlockGrad(distance), positives, negatives)
        pairs = positives * found
        hinge = distance - _take_in_row(F, distance, chosen) + self.margin
        total = F.sum(only_where(F, pairs, hinge), axis=1)
        return total / F.maximum(F.sum(pairs, axis=1), 1)

    def _draw(self, F: Any, distance: Any, positives: Any, negatives: Any) -> tuple[Any, Any]:
        """Return for each anchor and positive the index of a semi-hard negative, and whether there is one: two (N, N)."""
        # more[a, p, n] = d(a, n) - d(a, p)
        more = F.broadcast_sub(F.expand_dims(distance, axis=1), F.expand_dims(distance, axis=2))
        semi = F.broadcast_mul((more > 0) * (more < self.margin), F.expand_dims(negatives, axis=1))
        # The largest of independent uniform numbers is at each candidate with equal probability.
        lots = semi * (1 + F.random.uniform_like(semi))
        return F.argmax(lots, axis=2), as_mask(F, F.max(semi, axis=2), positives)


def _take_in_row(F: Any, values: Any, places: Any) -> Any:
    """Return values[a, places[a, p]] of two (N, N): (N, N)."""
    rows = F.broadcast_add(F.zeros_like(places), F.expand_dims(F.contrib.arange_like(places, axis=0), axis=1))
    return F.gather_nd(values, F.stack(rows, places, axis=0))


BatchHardTripletLoss = BatchHardTriplet
SemiHardTripletLoss = SemiHardTriplet
