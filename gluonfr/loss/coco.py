from __future__ import annotations

import math

import mxnet as mx

from gluonfr.loss.arguments import initializer, number, whole
from gluonfr.loss.base import cross_entropy
from gluonfr.loss.embedding_base import EmbeddingLoss
from gluonfr.loss.pairwise import unit_rows
from gluonfr.loss.registry import LOSSES


@LOSSES.register("COCOLoss", "coco")
class COCOLoss(EmbeddingLoss):
    r"""Congenerous cosine loss (https://arxiv.org/abs/1710.00870): softmax on cosines to learned class centroids.

    .. math:: L = -\log \frac{e^{\alpha \cos(x, c_y)}}{\sum_j e^{\alpha \cos(x, c_j)}}

    Much like NormFace, with the classifier inside the loss. Use it when the network has no classifier of its own.

    Parameters
    ----------
    classes, embedding_size : int
        C and D.
    alpha : float, optional
        Scale. By default :math:`\frac12 \log\frac{C - 1}{\epsilon}` with :math:`\epsilon = 10^{-5}`: the smallest at which the
        loss of a sample that points at its centroid, and away from the others, falls to :math:`\epsilon`.
    weight_initializer : Initializer, default Xavier(magnitude=2.24)
        Of the centroids, an ordinary Parameter `centers` (C, D).

    Inputs and outputs as `EmbeddingLoss`.
    """

    def __init__(
        self, classes, embedding_size, alpha=None, weight_initializer=None, dtype="float32", weight=None, **kwargs
    ) -> None:
        classes, embedding_size = whole(self, "classes", classes, 2), whole(self, "embedding_size", embedding_size)
        super().__init__(classes, embedding_size, dtype, weight, **kwargs)
        least = 0.5 * math.log((self._classes - 1) / 1e-5)
        self.alpha = least if alpha is None else number(self, "alpha", alpha, open_end=True)
        start = initializer(self, weight_initializer, mx.init.Xavier(magnitude=2.24))
        with self.name_scope():
            self.centers = self.params.get("centers", shape=(classes, embedding_size), init=start, dtype=self._dtype)

    def hybrid_forward(self, F, embedding, label, centers):
        cosines = F.dot(unit_rows(F, embedding), unit_rows(F, centers), transpose_b=True)
        return cross_entropy(F, self.alpha * cosines, F.reshape(label, shape=(-1,)))
