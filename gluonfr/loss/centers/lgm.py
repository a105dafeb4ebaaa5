from __future__ import annotations

from typing import Any, Callable

import mxnet as mx
from mxnet import nd

from gluonfr.core import UsageError, check_number
from gluonfr.core.mxnet_internals import view_as
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

    Inputs and outputs as `EmbeddingLoss`. Parameters: `mean` (C, D) and `log_var` (C, D), without weight decay. The result can
    be unpacked as in gluon-face's scripts: ``loss, logits = lgm(embedding, label)``; new code calls `logits`.

    Examples
    --------
    >>> lgm = LGMLoss(classes=10, embedding_size=4)
    >>> lgm.initialize()
    >>> embedding, label = mx.nd.ones((2, 4)), mx.nd.array([3, 7])
    >>> lgm(embedding, label).shape, lgm.logits(embedding).shape
    ((2,), (2, 10))
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

    def __call__(self, *inputs: Any, sample_weight: Any = None) -> Any:
        """Return the losses (N,)."""
        loss = super().__call__(*inputs, sample_weight=sample_weight)
        return LossAndLogits.of(loss, lambda: self.logits(inputs[0])) if isinstance(loss, nd.NDArray) else loss

    def logits(self, embedding: Any) -> Any:
        """Return the log-likelihoods (N, C) of embeddings (N, D) under the Gaussians, up to a constant."""
        x, context = embedding.astype(self.dtype, copy=False), embedding.context
        distance, half_log = self._distances(nd, x, self.mean.data(context), self.log_var.data(context))
        return -nd.broadcast_add(distance, half_log.reshape((1, -1)))

    def _distances(self, F: Any, embedding: Any, mean: Any, log_var: Any) -> tuple[Any, Any]:
        """Return the distances d (N, C), and half the logarithms of the determinants (C,)."""
        precision = F.exp(-log_var)
        # (x - mu)^2 / var for all samples and classes, expanded, because an array (N, C, D) would be too large.
        quadratic = F.dot(F.square(embedding), precision, transpose_b=True)
        cross = F.dot(embedding, mean * precision, transpose_b=True)
        own = F.reshape(F.sum(F.square(mean) * precision, axis=1), shape=(1, -1))
        return 0.5 * F.broadcast_add(quadratic - 2 * cross, own), 0.5 * F.sum(log_var, axis=1)

    def hybrid_forward(self, F: Any, embedding: Any, label: Any, mean: Any, log_var: Any) -> Any:
        """Return the losses (N,)."""
        label = F.reshape(label, shape=(-1,))
        distance, half_log = self._distances(F, embedding, mean, log_var)
        apart = F.square(embedding - F.take(mean, label, axis=0)) * F.take(F.exp(-log_var), label, axis=0)
        distance_y = 0.5 * F.sum(apart, axis=1)
        half_log_y = F.take(half_log, label, axis=0)
        logits = -F.broadcast_add(distance, F.reshape(half_log, shape=(1, -1)))
        logits = replace_target(F, logits, label, -(1 + self.alpha) * distance_y - half_log_y, self.classes)
        return cross_entropy(F, logits, label) + self.lamda * (distance_y + half_log_y)


class LossAndLogits(nd.NDArray):
    """Losses (N,) that can be unpacked as gluon-face's pair: ``loss, logits = value``, or ``value[0]`` and ``value[1]``.

    Examples
    --------
    >>> value = LossAndLogits.of(mx.nd.ones((3,)), lambda: mx.nd.zeros((3, 10)))
    >>> value.mean().asscalar(), [array.shape for array in value]
    (1.0, [(3,), (3, 10)])
    """

    __slots__ = ("_logits",)
    _logits: Callable[[], Any]

    @classmethod
    def of(cls, loss: Any, logits: Callable[[], Any]) -> LossAndLogits:
        """Return the losses together with a function that computes the logits when they are asked for."""
        value = view_as(loss, cls)
        value._logits = logits
        return value

    def __getitem__(self, key: Any) -> Any:
        """Return the losses for 0, the logits for 1, and the losses of a slice."""
        if not isinstance(key, int):
            return super().__getitem__(key)
        if key == 0:
            return view_as(self, nd.NDArray)
        if key == 1:
            return self._logits()
        raise IndexError("the result holds the losses (0) and the logits (1); use a slice to select some of the losses")
