from __future__ import annotations

from gluonfr.loss.arguments import number, share
from gluonfr.loss.base import cross_entropy
from gluonfr.loss.centers import ClassCenters
from gluonfr.loss.embedding_base import SoftmaxAndEmbedding
from gluonfr.loss.registry import LOSSES


@LOSSES.register("CenterLoss", "center")
class CenterLoss(ClassCenters, SoftmaxAndEmbedding):
    r"""Softmax and center loss (https://ydwen.github.io/papers/WenECCV16.pdf).

    .. math:: L = L_{softmax} + \frac{\lambda}{2} \|x - c_y\|^2

    The centers follow their classes by `step`, at a rate of their own; the number of samples of a class enters there alone.
    Use it to draw each class together when a softmax classifier separates the classes already.

    Parameters
    ----------
    classes, embedding_size : int
        C and D.
    lamda : float, default 0.003
        Weight of the center term; the paper's best on faces, for embeddings that are not normalized.
    alpha : float, default 0.5
        Rate of the centers, 0 <= alpha <= 1; the paper's.
    weight_initializer : Initializer, default Xavier(magnitude=2.24)
        Of the centers.

    Inputs and outputs as `SoftmaxAndEmbedding`; call `step` after each `trainer.step`.
    """

    def __init__(
        self,
        classes,
        embedding_size,
        lamda=0.003,
        alpha=0.5,
        weight_initializer=None,
        dtype="float32",
        weight=None,
        **kwargs,
    ) -> None:
        super().__init__(classes, embedding_size, dtype, weight, **kwargs)
        self.lamda = number(self, "lamda", lamda)
        self.alpha = share(self, "alpha", alpha)
        self._add_centers(weight_initializer)

    def hybrid_forward(self, F, output, label, embedding, centers):
        label = F.reshape(label, shape=(-1,))
        apart = F.sum(F.square(embedding - F.take(centers, label, axis=0)), axis=1)
        return cross_entropy(F, output, label) + 0.5 * self.lamda * apart
