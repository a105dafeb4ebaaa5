from __future__ import annotations

from typing import Any

from gluonfr.core import check_integer, check_number
from gluonfr.loss.base.batch_pairs import as_mask, has_positive_and_negative, masks, row_min, squared_distances
from gluonfr.loss.base.embedding import EmbeddingLoss
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.registry import LOSSES

# Smaller distances count as this one in the harmonic mean, so that equal embeddings have a finite gradient.
_SMALLEST_DISTANCE = 1e-8


@LOSSES.register("RangeLoss", "range")
class RangeLoss(EmbeddingLoss):
    r"""Range loss (https://arxiv.org/abs/1611.08976): the widest pairs of each class, and the two closest class centers.

    .. math:: L = \alpha \sum_c \frac{k}{\sum_{j=1}^k 1 / D_{c,j}} + \beta \max(0, m - D_{center})

    :math:`D_{c,j}` is the j-th largest squared distance within class c, :math:`D_{center}` the smallest between the centers of
    two classes in this batch. The mean over the samples of a batch is L: each sample has the term of its class, divided by the
    size of the class and multiplied by N. A class with fewer than k pairs uses those it has. Add it to a softmax loss, as the
    paper does, where most people have few images: every class has the same weight. Alone it separates two classes per step,
    which is slow.

    Parameters
    ----------
    alpha : float, default 0.1
        Weight within classes; with it ten classes weigh as much as the one pair of centers.
    beta : float, default 1
        Weight between classes.
    top_k : int, default 2
        k; the paper's.
    num_class, num_in_class, feature_dim : int, optional
        Accepted for gluon-face's scripts and ignored: the labels define the classes, in any order.
    margin : float, default 1
        m, as a squared distance; those of unit vectors are in [0, 4]. The paper's 2e4 is for embeddings of length 100 and more.
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `EmbeddingLoss`. A batch without a pair of one person, or of one person only, has loss 0 and
    gradient 0.

    Examples
    --------
    >>> RangeLoss(margin=2).margin
    2.0
    """

    spec = LossSpec("embedding", feature_norm=True, batch="identities")

    def __init__(
        self,
        alpha: float = 0.1,
        beta: float = 1.0,
        top_k: int = 2,
        num_class: int | None = None,
        num_in_class: int | None = None,
        feature_dim: int | None = None,
        margin: float = 1.0,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(None, None, dtype, weight, **kwargs)
        self.alpha = check_number("alpha", alpha, minimum=0, owner=self)
        self.beta = check_number("beta", beta, minimum=0, owner=self)
        self.margin = check_number("margin", margin, minimum=0, owner=self)
        self.top_k = check_integer("top_k", top_k, minimum=1, owner=self)

    def hybrid_forward(self, F: Any, embedding: Any, label: Any) -> Any:
        """Return the losses (N,)."""
        distance = squared_distances(F, embedding)
        positives, negatives = masks(F, label, distance)
        same = 1 - negatives
        size = F.sum(same, axis=1, keepdims=True)
        widest = self._widest(F, distance, positives, same, label)
        inside = F.broadcast_mul(widest / F.reshape(size, shape=(-1,)), F.sum(F.ones_like(size), axis=0))
        centers = F.dot(F.broadcast_div(same, size), embedding)
        closest = F.reshape(row_min(F, squared_distances(F, centers), negatives), shape=(1, -1))
        closest = -F.pick(-closest, F.argmax(-closest, axis=1), axis=1)
        between = F.broadcast_mul(F.relu(self.margin - closest), F.ones_like(inside))
        return F.broadcast_mul(self.alpha * inside + self.beta * between, has_positive_and_negative(F, positives, negatives))

    def _widest(self, F: Any, distance: Any, positives: Any, same: Any, label: Any) -> Any:
        """Return the harmonic mean of the k largest distances in the class of each sample (N,), 0 without any."""
        place = F.contrib.arange_like(F.reshape(label, shape=(-1,)), axis=0)
        after = F.broadcast_lesser(F.reshape(place, shape=(-1, 1)), F.reshape(place, shape=(1, -1)))
        # The largest distances of a class are among the largest of its samples; each pair counts once, at its first sample.
        rows = _largest(F, F.where(after, distance * positives - (1 - positives), -F.ones_like(distance)), self.top_k)
        pool = [F.broadcast_add(F.zeros_like(same), F.reshape(row, shape=(1, -1))) for row in rows]
        pool = F.concat(*[F.where(same, row, -F.ones_like(row)) for row in pool], dim=1)
        top = _largest(F, pool, self.top_k)
        there = [as_mask(F, largest >= 0, largest) for largest in top]
        inverse = sum(mask / F.maximum(largest, _SMALLEST_DISTANCE) for largest, mask in zip(top, there))
        count = sum(there)
        return F.where(count > 0, count / F.where(count > 0, inverse, F.ones_like(count)), F.zeros_like(count))


def _largest(F: Any, values: Any, k: int) -> list[Any]:
    """Return the k largest values of each row (N, M) as k arrays (N,), -1 where fewer are positive."""
    found, left = [], values
    for _ in range(k):
        place = F.argmax(left, axis=1)
        found.append(F.pick(left, place, axis=1))
        used = F.broadcast_equal(F.reshape(place, shape=(-1, 1)), F.expand_dims(F.contrib.arange_like(left, axis=1), axis=0))
        left = F.where(used, -F.ones_like(left), left)
    return found
