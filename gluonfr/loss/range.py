from __future__ import annotations

from gluonfr.loss.arguments import number, whole
from gluonfr.loss.embedding_base import EmbeddingLoss
from gluonfr.loss.pairwise import as_mask, masks, row_min, squared_distances, trainable
from gluonfr.loss.registry import LOSSES

# Distances below it count as it in the harmonic mean, so that equal embeddings give a finite gradient.
_LEAST = 1e-8


@LOSSES.register("RangeLoss", "range")
class RangeLoss(EmbeddingLoss):
    r"""Range loss (https://arxiv.org/abs/1611.08976): the widest pairs of each class, and the two closest class centers.

    .. math:: L = \alpha \sum_c \frac{k}{\sum_{j=1}^k 1 / D_{c,j}} + \beta \max(0, m - D_{center})

    :math:`D_{c,j}` is the j-th largest squared distance within class c, :math:`D_{center}` the smallest between the centers,
    in this batch, of two classes. The mean over the samples of a batch is L: a sample bears its class's part, divided by the
    class's size and multiplied by N. A class with fewer than k pairs takes those it has. Use it added to a softmax loss, as
    the paper does, where most people have few images: every class counts alike. Alone it parts two classes a step, and slowly.

    Parameters
    ----------
    alpha : float, default 0.1
        Weight within classes; with it ten classes weigh as much as the one pair of centers.
    beta : float, default 1
        Weight between classes.
    top_k : int, default 2
        k; the paper's.
    margin : float, default 1
        m, in squared distance; unit embeddings lie within [0, 4]. The paper's 2e4 is for embeddings of length 100 and more.
    num_class, num_in_class, feature_dim : int, optional
        Accepted for old callers: the labels say which samples belong together, in any order.

    Inputs and outputs as `EmbeddingLoss`. A batch without a pair of one person, or of one person only, has loss 0 and
    gradient 0.
    """

    needs_groups = True
    feature_norm = True

    def __init__(
        self,
        alpha=0.1,
        beta=1.0,
        top_k=2,
        num_class=None,
        num_in_class=None,
        feature_dim=None,
        margin=1.0,
        dtype="float32",
        weight=None,
        **kwargs,
    ) -> None:
        super().__init__(None, None, dtype, weight, **kwargs)
        self.alpha, self.beta = number(self, "alpha", alpha), number(self, "beta", beta)
        self.margin, self.top_k = number(self, "margin", margin), whole(self, "top_k", top_k)

    def hybrid_forward(self, F, embedding, label):
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
        return F.broadcast_mul(self.alpha * inside + self.beta * between, trainable(F, positives, negatives))

    def _widest(self, F, distance, positives, same, label):
        """Of each sample's class the harmonic mean of its k largest distances (N,), 0 without any."""
        place = F.contrib.arange_like(F.reshape(label, shape=(-1,)), axis=0)
        after = F.broadcast_lesser(F.reshape(place, shape=(-1, 1)), F.reshape(place, shape=(1, -1)))
        # A class's largest are among the largest of its samples; each pair counts once, at the first of the two.
        rows = _largest(F, F.where(after, distance * positives - (1 - positives), -F.ones_like(distance)), self.top_k)
        pool = [F.broadcast_add(F.zeros_like(same), F.reshape(each, shape=(1, -1))) for each in rows]
        pool = F.concat(*[F.where(same, each, -F.ones_like(each)) for each in pool], dim=1)
        top = _largest(F, pool, self.top_k)
        there = [as_mask(F, each >= 0, each) for each in top]
        inverse = sum(mask / F.maximum(each, _LEAST) for each, mask in zip(top, there))
        count = sum(there)
        return F.where(count > 0, count / F.where(count > 0, inverse, F.ones_like(count)), F.zeros_like(count))


def _largest(F, values, k):
    """The k largest of each row (N, M), as k arrays (N,); places that are used up, or negative, give -1."""
    found, left = [], values
    for _ in range(k):
        place = F.argmax(left, axis=1)
        found.append(F.pick(left, place, axis=1))
        used = F.broadcast_equal(F.reshape(place, shape=(-1, 1)), F.expand_dims(F.contrib.arange_like(left, axis=1), axis=0))
        left = F.where(used, -F.ones_like(left), left)
    return found
