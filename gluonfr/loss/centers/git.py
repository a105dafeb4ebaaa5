from __future__ import annotations

from typing import Any

from gluonfr.core import check_number
from gluonfr.loss.base.batch_pairs import as_mask, other_samples
from gluonfr.loss.base.class_centers import ClassCentersLoss
from gluonfr.loss.base.functions import cross_entropy
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.registry import LOSSES


@LOSSES.register("GitLoss", "git")
class GitLoss(ClassCentersLoss):
    r"""Git loss (https://arxiv.org/abs/1807.08512): center loss, and every sample away from the others' centers.

    .. math:: L_i = L_{softmax} + \frac{\lambda_c}{2} \|x_i - c_{y_i}\|^2
        + \frac{\lambda_g}{B - 1} \sum_{j \ne i} \frac{1}{1 + \|x_i - c_{y_j}\|^2}

    Use it where the center loss moves all classes together instead of making each compact.

    Parameters
    ----------
    classes, embedding_size : int
        C and D.
    lamda_c : float, default 0.003
        Weight of the center term, as in `CenterLoss`.
    lamda_g : float, default 1
        Weight of the term between samples, which is between 0 and 1 and vanishes as the classes separate.
    batch_size_per_gpu : int, optional
        Accepted for gluon-face's scripts and ignored: any batch size works.
    alpha : float, default 0.5
        Rate of the centers, 0 <= alpha <= 1.
    weight_initializer : Initializer or str, optional
        Initializer of the centers; default Xavier(magnitude=2.24).
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `SoftmaxAndEmbedding`; call `step` after each `trainer.step`. In a batch of one sample the term
    between samples is 0.

    Examples
    --------
    >>> GitLoss(classes=10, embedding_size=4).spec.compares_samples
    True
    """

    spec = LossSpec(needs_embedding=True, batch="all devices")

    def __init__(
        self,
        classes: int,
        embedding_size: int,
        lamda_c: float = 0.003,
        lamda_g: float = 1.0,
        batch_size_per_gpu: int | None = None,
        alpha: float = 0.5,
        weight_initializer: Any = None,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, embedding_size, weight_initializer, dtype, weight, **kwargs)
        self.lamda_c = check_number("lamda_c", lamda_c, minimum=0, owner=self)
        self.lamda_g = check_number("lamda_g", lamda_g, minimum=0, owner=self)
        self.alpha = check_number("alpha", alpha, minimum=0, maximum=1, owner=self)

    def hybrid_forward(self, F: Any, output: Any, label: Any, embedding: Any, centers: Any) -> Any:
        """Return the losses (N,)."""
        label = F.reshape(label, shape=(-1,))
        own = F.take(centers, label, axis=0)
        distance = F.sum(F.square(embedding - own), axis=1)
        near = 1 / (1 + F.relu(_squared_distances(F, embedding, own)))
        other = as_mask(F, other_samples(F, label), near)
        git = F.sum(near * other, axis=1) / F.maximum(F.sum(other, axis=1), 1)
        return cross_entropy(F, output, label) + 0.5 * self.lamda_c * distance + self.lamda_g * git


def _squared_distances(F: Any, x: Any, c: Any) -> Any:
    """Return the squared distances between the rows of two (N, D): (N, N)."""
    sums = F.broadcast_add(F.sum(F.square(x), axis=1, keepdims=True), F.reshape(F.sum(F.square(c), axis=1), shape=(1, -1)))
    return sums - 2 * F.dot(x, c, transpose_b=True)
