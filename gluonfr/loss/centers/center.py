from __future__ import annotations

from typing import Any

from gluonfr.core import check_number
from gluonfr.loss.base.class_centers import ClassCentersLoss
from gluonfr.loss.base.functions import cross_entropy
from gluonfr.loss.registry import LOSSES


@LOSSES.register("CenterLoss", "center")
class CenterLoss(ClassCentersLoss):
    r"""Softmax and center loss (https://ydwen.github.io/papers/WenECCV16.pdf).

    .. math:: L = L_{softmax} + \frac{\lambda}{2} \|x - c_y\|^2

    `step` moves the centers towards their classes, at a rate of their own; only this depends on the number of samples of a
    class. Use it to make classes more compact that a softmax classifier separates already.

    Parameters
    ----------
    classes, embedding_size : int
        C and D.
    lamda : float, default 0.003
        Weight of the center term; the paper's best on faces, for embeddings that are not normalized.
    alpha : float, default 0.5
        Rate of the centers, 0 <= alpha <= 1; the paper's.
    weight_initializer : Initializer or str, optional
        Initializer of the centers; default Xavier(magnitude=2.24).
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `SoftmaxAndEmbedding`; call `step` after each `trainer.step`.

    Examples
    --------
    >>> CenterLoss(classes=10, embedding_size=4).centers.shape
    (10, 4)
    """

    def __init__(
        self,
        classes: int,
        embedding_size: int,
        lamda: float = 0.003,
        alpha: float = 0.5,
        weight_initializer: Any = None,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, embedding_size, weight_initializer, dtype, weight, **kwargs)
        self.lamda = check_number("lamda", lamda, minimum=0, owner=self)
        self.alpha = check_number("alpha", alpha, minimum=0, maximum=1, owner=self)

    def hybrid_forward(self, F: Any, output: Any, label: Any, embedding: Any, centers: Any) -> Any:
        """Return the losses (N,)."""
        label = F.reshape(label, shape=(-1,))
        distance = F.sum(F.square(embedding - F.take(centers, label, axis=0)), axis=1)
        return cross_entropy(F, output, label) + 0.5 * self.lamda * distance
