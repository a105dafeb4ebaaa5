from __future__ import annotations

from typing import Any

import mxnet as mx

from gluonfr.core import UsageError, check_number
from gluonfr.loss.base.embedding import EmbeddingLoss
from gluonfr.loss.base.functions import cross_entropy, replace_target
from gluonfr.loss.registry import LOSSES


@LOSSES.register("LGMLoss", "lgm", "LGM", "GaussianMixture")
class LGMLoss(EmbeddingLoss):
    r"""Large-margin Gaussian mixture loss (https://arxiv.org/abs/1803.02988): one diagonal Gaussian per class.

    With :math:`d_k = \frac12 (x - \mu_k)^T \Sigma_k^{-1} (x - \mu_k)`:

    .. math:: L = -\log \frac{|\Sigma_y|^{-1/2} e^{-(1 + \alpha) d_y}}
        {|\Sigma_y|^{-1/2} e^{-(1 + \alpha) d_y} + \sum_{k \ne y} |\Sigma_k|^{-1/2} e^{-d_k}}
        + \lambda \left( d_y + \tfrac12 \log |\Sigma_y| \right)

    The variance is learned as its logarithm, so it is always positive. Use it where the likelihood of a sample is needed too,
    for example to detect strangers and damaged crops.

    Parameters
    ----------
    classes, embedding_size : int
        C and D.
    alpha : float, default 0.1
        Margin, at least 0. Distances grow with D, and the margin with them: for large embeddings use a small one.
    lamda : float, default 0.01
        Weight of the likelihood term, at least 0.
    lr_mult : float, default 0.1
        Learning-rate factor of the variances, which have to move more slowly than the means.
    num_classes : int, optional
        gluon-face's name of `classes`.
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `EmbeddingLoss`. Parameters: `mean` (C, D) and `log_var` (C, D), without weight decay.

    Examples
    --------
    >>> LGMLoss(classes=10, embedding_size=4).mean.shape
    (10, 4)
    """

    def __init__(
        self,
        classes: int | None = None,
        embedding_size: int | None = None,
        alpha: float = 0.1,
        lamda: float = 0.01,
        lr_mult: float = 0.1,
        num_classes: int | None = None,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        if None not in (classes, num_classes) and classes != num_classes:
            raise UsageError(f"LGMLoss: classes is {classes!r} and num_classes is {num_classes!r}; give one of them.")
        classes = num_classes if classes is None else classes
        if classes is None or embedding_size is None:
            raise UsageError("LGMLoss needs classes and embedding_size; give both.")
        super().__init__(classes, embedding_size, dtype, weight, **kwargs)
        self.alpha = check_number("alpha", alpha, minimum=0, owner=self)
        self.lamda = check_number("lamda", lamda, minimum=0, owner=self)
        shape, lr_mult = (self.classes, self.embedding_size), check_number("lr_mult", lr_mult, minimum=0, owner=self)
        with self.name_scope():
            self.mean = self.params.get("mean", shape=shape, init=mx.init.Xavier(), dtype=self.dtype, wd_mult=0.0)
            self.log_var = self.params.get(
                "log_var", shape=shape, init=mx.init.Zero(), dtype=self.dtype, wd_mult=0.0, lr_mult=lr_mult
            )

    def hybrid_forward(self, F: Any, embedding: Any, label: Any, mean: Any, log_var: Any) -> Any:
        """Return the losses (N,)."""
        label = F.reshape(label, shape=(-1,))
        precision = F.exp(-log_var)
        half_log = 0.5 * F.sum(log_var, axis=1)
        # (x - mu)^2 / var for all samples and classes, expanded, because an array (N, C, D) would be too large.
        quadratic = F.dot(F.square(embedding), precision, transpose_b=True)
        cross = F.dot(embedding, mean * precision, transpose_b=True)
        own = F.reshape(F.sum(F.square(mean) * precision, axis=1), shape=(1, -1))
        distance = 0.5 * F.broadcast_add(quadratic - 2 * cross, own)
        apart = F.square(embedding - F.take(mean, label, axis=0)) * F.take(precision, label, axis=0)
        distance_y = 0.5 * F.sum(apart, axis=1)
        half_log_y = F.take(half_log, label, axis=0)
        logits = -F.broadcast_add(distance, F.reshape(half_log, shape=(1, -1)))
        logits = replace_target(F, logits, label, -(1 + self.alpha) * distance_y - half_log_y, self.classes)
        return cross_entropy(F, logits, label) + self.lamda * (distance_y + half_log_y)
