from __future__ import annotations

import math
from typing import Any

from mxnet import init, nd

from gluonfr.core import check_number
from gluonfr.loss.base.functions import row_norm
from gluonfr.loss.base.loss import set_state
from gluonfr.loss.base.margin import MarginLoss, clip_cosine
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.registry import LOSSES

# Angles keep this distance from 0 and pi, as in the authors' code.
_SMALLEST_ANGLE = 1e-3


@LOSSES.register("AdaFace", "ada", "AdaFaceLoss")
class AdaFace(MarginLoss):
    r"""AdaFace (https://arxiv.org/abs/2204.00964): a margin that is larger for images of good quality.

    .. math:: \psi(\cos\theta) = \cos(\theta - m \hat z) - (m \hat z + m), \quad
        \hat z = \min\left(1, \max\left(-1, h \frac{\|x\| - \mu}{\sigma}\right)\right)

    The norm of the embedding represents the quality, without gradient. :math:`\mu, \sigma` are running statistics of it,
    20 and 100 at first as in the authors' code, updated by `loss.step()` over all devices, so a batch is judged by the batches
    before it. :math:`\theta - m \hat z` is clipped to :math:`[0, \pi]`. For training sets of mixed quality and strong
    augmentation.

    Parameters
    ----------
    classes : int
        Number of classes C.
    m : float, default 0.4
        Margin, 0 <= m < pi / 2: the angle moves by up to m, the cosine by up to 2m.
    h : float, default 0.333
        Concentration, above 0: a norm 1/h standard deviations from the mean has the full effect.
    s : float, default 64
        Scale.
    momentum : float, default 0.99
        Weight of the old statistics in an update.
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **output**: cosines (N, C).
        - **label**: (N,).
        - **embedding**: (N, D), not normalized.
    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> AdaFace(classes=10).spec.needs_embedding
    True
    """

    spec = LossSpec("cosine", weight_norm=True, feature_norm=True, needs_embedding=True)

    def __init__(
        self,
        classes: int,
        m: float = 0.4,
        h: float = 0.333,
        s: float = 64.0,
        momentum: float = 0.99,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m = check_number("m", m, minimum=0, below=math.pi / 2, owner=self)
        self.h = check_number("h", h, above=0, owner=self)
        self.momentum = check_number("momentum", momentum, minimum=0, below=1, owner=self)
        self.mean = self.params.get("mean", shape=(1,), init=init.Constant(20), dtype=self.dtype, grad_req="null")
        self.std = self.params.get("std", shape=(1,), init=init.Constant(100), dtype=self.dtype, grad_req="null")

    def target(self, F: Any, cos_y: Any, norm: Any, mean: Any, std: Any) -> Any:
        """Return the target's cosine after the quality-adaptive margin."""
        z = F.broadcast_div(F.broadcast_sub(F.stop_gradient(norm), mean), std + 1e-3)
        z = F.clip(z * self.h, -1, 1)
        angle = F.clip(F.arccos(clip_cosine(F, cos_y)) - self.m * z, _SMALLEST_ANGLE, math.pi - _SMALLEST_ANGLE)
        return F.cos(angle) - self.m * (z + 1)

    def target_statistics(self, output_y: Any, others: Any, embedding: Any) -> tuple[Any, ...]:
        """Return the norms of the embeddings (N,)."""
        return (row_norm(nd, embedding),)

    def advance(self, *statistics: Any) -> None:
        """Update mean and standard deviation of the norm."""
        (norm,) = statistics
        mean = norm.mean()
        self._update(self.mean, mean)
        if len(norm) > 1:
            self._update(self.std, nd.sqrt(nd.square(norm - mean).sum() / (len(norm) - 1)))

    def _update(self, parameter: Any, value: Any) -> None:
        set_state(parameter, self.momentum * parameter.data(value.context) + (1 - self.momentum) * value)


AdaFaceLoss = AdaFace
