from __future__ import annotations

import math
from typing import Any

import mxnet as mx

from gluonfr.core import check_integer, check_number
from gluonfr.loss.base.arguments import check_initializer
from gluonfr.loss.base.embedding import EmbeddingLoss
from gluonfr.loss.base.functions import cross_entropy, unit_rows
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
        Scale. By default :math:`\frac12 \log\frac{C - 1}{\epsilon}` with :math:`\epsilon = 10^{-5}`: the smallest for which the
        loss of a sample at its centroid, opposite to the others, is :math:`\epsilon`.
    weight_initializer : Initializer or str, optional
        Initializer of the centroids, an ordinary Parameter `centers` (C, D); default Xavier(magnitude=2.24).
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `EmbeddingLoss`.

    Examples
    --------
    >>> round(COCOLoss(classes=1000, embedding_size=4).alpha, 2)
    9.21
    """

    def __init__(
        self,
        classes: int,
        embedding_size: int,
        alpha: float | None = None,
        weight_initializer: Any = None,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        classes = check_integer("classes", classes, minimum=2, owner=self)
        embedding_size = check_integer("embedding_size", embedding_size, minimum=1, owner=self)
        super().__init__(classes, embedding_size, dtype, weight, **kwargs)
        bound = 0.5 * math.log((classes - 1) / 1e-5)
        self.alpha = bound if alpha is None else check_number("alpha", alpha, above=0, owner=self)
        start = check_initializer(self, "weight_initializer", weight_initializer, mx.init.Xavier(magnitude=2.24))
        with self.name_scope():
            self.centers = self.params.get("centers", shape=(classes, embedding_size), init=start, dtype=self.dtype)

    def hybrid_forward(self, F: Any, embedding: Any, label: Any, centers: Any) -> Any:
        """Return the losses (N,)."""
        cosines = F.dot(unit_rows(F, embedding), unit_rows(F, centers), transpose_b=True)
        return cross_entropy(F, self.alpha * cosines, F.reshape(label, shape=(-1,)))
