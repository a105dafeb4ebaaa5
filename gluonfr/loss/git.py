from __future__ import annotations

from gluonfr.loss.arguments import number, share
from gluonfr.loss.base import cross_entropy
from gluonfr.loss.centers import ClassCenters
from gluonfr.loss.embedding_base import SoftmaxAndEmbedding
from gluonfr.loss.pairwise import as_mask
from gluonfr.loss.registry import LOSSES


@LOSSES.register("GitLoss", "git")
class GitLoss(ClassCenters, SoftmaxAndEmbedding):
    r"""Git loss (https://arxiv.org/abs/1807.08512): center loss, and every sample away from the others' centers.

    .. math:: L_i = L_{softmax} + \frac{\lambda_c}{2} \|x_i - c_{y_i}\|^2
        + \frac{\lambda_g}{B - 1} \sum_{j \ne i} \frac{1}{1 + \|x_i - c_{y_j}\|^2}

    Use it where the center loss draws all classes together instead of each.

    Parameters
    ----------
    classes, embedding_size : int
        C and D.
    lamda_c : float, default 0.003
        Weight of the center term, as in `CenterLoss`.
    lamda_g : float, default 1
        Weight of the term between samples, which lies between 0 and 1 and vanishes by itself as the classes part.
    batch_size_per_gpu : int, optional
        Accepted for old callers; any batch size will do.
    alpha : float, default 0.5
        Rate of the centers, 0 <= alpha <= 1.
    weight_initializer : Initializer, default Xavier(magnitude=2.24)
        Of the centers.

    Inputs and outputs as `SoftmaxAndEmbedding`; call `step` after each `trainer.step`. A batch of one has no pairs, and that
    term is 0.
    """

    # A training run on several devices shows each of them the samples of all.
    whole_batch = True

    def __init__(
        self,
        classes,
        embedding_size,
        lamda_c=0.003,
        lamda_g=1.0,
        batch_size_per_gpu=None,
        alpha=0.5,
        weight_initializer=None,
        dtype="float32",
        weight=None,
        **kwargs,
    ) -> None:
        super().__init__(classes, embedding_size, dtype, weight, **kwargs)
        self.lamda_c = number(self, "lamda_c", lamda_c)
        self.lamda_g = number(self, "lamda_g", lamda_g)
        self.alpha = share(self, "alpha", alpha)
        self._add_centers(weight_initializer)

    def hybrid_forward(self, F, output, label, embedding, centers):
        label = F.reshape(label, shape=(-1,))
        own = F.take(centers, label, axis=0)
        apart = F.sum(F.square(embedding - own), axis=1)
        near = 1 / (1 + F.relu(_between(F, embedding, own)))
        place = F.contrib.arange_like(label, axis=0)
        other = as_mask(F, F.broadcast_not_equal(F.reshape(place, shape=(-1, 1)), F.reshape(place, shape=(1, -1))), near)
        git = F.sum(near * other, axis=1) / F.maximum(F.sum(other, axis=1), 1)
        return cross_entropy(F, output, label) + 0.5 * self.lamda_c * apart + self.lamda_g * git


def _between(F, x, c):
    """Squared distances between the rows of two (N, D): (N, N)."""
    sums = F.broadcast_add(F.sum(F.square(x), axis=1, keepdims=True), F.reshape(F.sum(F.square(c), axis=1), shape=(1, -1)))
    return sums - 2 * F.dot(x, c, transpose_b=True)
