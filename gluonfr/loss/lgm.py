from __future__ import annotations

import mxnet as mx

from gluonfr.core import GluonFRError
from gluonfr.loss.arguments import number
from gluonfr.loss.base import cross_entropy, replace_target
from gluonfr.loss.embedding_base import EmbeddingLoss
from gluonfr.loss.registry import LOSSES


@LOSSES.register("LGMLoss", "lgm", "LGM", "GaussianMixture")
class LGMLoss(EmbeddingLoss):
    r"""Large-margin Gaussian mixture loss (https://arxiv.org/abs/1803.02988): one Gaussian a class, with diagonal variance.

    With :math:`d_k = \frac12 (x - \mu_k)^T \Sigma_k^{-1} (x - \mu_k)`:

    .. math:: L = -\log \frac{|\Sigma_y|^{-1/2} e^{-(1 + \alpha) d_y}}
        {|\Sigma_y|^{-1/2} e^{-(1 + \alpha) d_y} + \sum_{k \ne y} |\Sigma_k|^{-1/2} e^{-d_k}}
        + \lambda \left( d_y + \tfrac12 \log |\Sigma_y| \right)

    The variance is learned as its logarithm, so that it stays positive. Use it where a sample's likelihood is wanted too, as
    for telling strangers and broken crops from the people trained on.

    Parameters
    ----------
    classes, embedding_size : int
        C and D.
    alpha : float, default 0.1
        Margin, at least 0. Distances grow with D, and the margin with them: for large embeddings keep it small.
    lamda : float, default 0.01
        Weight of the likelihood term, at least 0.
    lr_mult : float, default 0.1
        Of the variances, which have to move slower than the means.
    num_classes : int, optional
        Another name of `classes`.

    Inputs and outputs as `EmbeddingLoss`. Parameters: `mean` (C, D) and `log_var` (C, D), without weight decay.
    """

    def __init__(
        self,
        classes=None,
        embedding_size=None,
        alpha=0.1,
        lamda=0.01,
        lr_mult=0.1,
        num_classes=None,
        dtype="float32",
        weight=None,
        **kwargs,
    ) -> None:
        if None not in (classes, num_classes) and classes != num_classes:
            raise GluonFRError(f"LGMLoss: classes is {classes!r} and num_classes {num_classes!r}; give one of them.")
        classes = num_classes if classes is None else classes
        if classes is None or embedding_size is None:
            raise GluonFRError("LGMLoss needs classes and embedding_size; give both.")
        super().__init__(classes, embedding_size, dtype, weight, **kwargs)
        self.alpha = number(self, "alpha", alpha)
        self.lamda = number(self, "lamda", lamda)
        shape, lr_mult = (self._classes, self._embedding_size), number(self, "lr_mult", lr_mult)
        with self.name_scope():
            self.mean = self.params.get("mean", shape=shape, init=mx.init.Xavier(), dtype=self._dtype, wd_mult=0.0)
            self.log_var = self.params.get(
                "log_var", shape=shape, init=mx.init.Zero(), dtype=self._dtype, wd_mult=0.0, lr_mult=lr_mult
            )

    def hybrid_forward(self, F, embedding, label, mean, log_var):
        label = F.reshape(label, shape=(-1,))
        precision = F.exp(-log_var)
        half_log = 0.5 * F.sum(log_var, axis=1)
        # (x - mu)^2 / var of all samples and classes, multiplied out: (N, C, D) numbers would be too many.
        quadratic = F.dot(F.square(embedding), precision, transpose_b=True)
        cross = F.dot(embedding, mean * precision, transpose_b=True)
        own = F.reshape(F.sum(F.square(mean) * precision, axis=1), shape=(1, -1))
        distance = 0.5 * F.broadcast_add(quadratic - 2 * cross, own)
        apart = F.square(embedding - F.take(mean, label, axis=0)) * F.take(precision, label, axis=0)
        distance_y = 0.5 * F.sum(apart, axis=1)
        half_log_y = F.take(half_log, label, axis=0)
        logits = -F.broadcast_add(distance, F.reshape(half_log, shape=(1, -1)))
        logits = replace_target(F, logits, label, -(1 + self.alpha) * distance_y - half_log_y, self._classes)
        return cross_entropy(F, logits, label) + self.lamda * (distance_y + half_log_y)
