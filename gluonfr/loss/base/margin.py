"""Base of the margin losses, and functions of angles."""

from __future__ import annotations

import math
from typing import Any

from gluonfr.core import check_number
from gluonfr.loss.base.classifier import ClassifierLoss
from gluonfr.loss.base.spec import LossSpec

# Distance that cosines keep from +-1 before an angle is computed: there its derivative is infinite, and 0 * inf is NaN.
_EDGE = 1e-7


class MarginLoss(ClassifierLoss):
    r"""Softmax cross-entropy on scaled cosines, with a margin on the target's cosine.

    .. math:: L = -\log \frac{e^{s\,\psi(\cos\theta_y)}}{e^{s\,\psi(\cos\theta_y)} + \sum_{j \ne y} e^{s \cos\theta_j}}

    A margin is a subclass that defines :math:`\psi` in `target`; scale, replacement of the target and cross-entropy are here.

    Parameters
    ----------
    classes : int
        Number of classes C.
    s : float, default 64
        Scale. With few classes a large s does not train: for hundreds of identities use 16 to 32.
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **output**: cosines (N, C).
        - **label**: (N,), float32 or int32.
        - **sample_weight**: (N,), keyword only, optional.
    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> import mxnet as mx
    >>> class SquaredMargin(MarginLoss):
    ...     def target(self, F, cos_y):
    ...         return F.where(cos_y > 0, cos_y * cos_y, cos_y)
    >>> loss = SquaredMargin(classes=2, s=10)
    >>> loss(mx.nd.array([[0.5, 0.1]]), mx.nd.array([0])).asnumpy().round(3)
    array([0.201], dtype=float32)
    """

    spec = LossSpec("cosine", weight_norm=True, feature_norm=True)

    def __init__(
        self, classes: int, s: float = 64.0, dtype: str = "float32", weight: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(classes, dtype, weight, **kwargs)
        self.s = check_number("s", s, above=0, owner=self)

    def target(self, F: Any, cos_y: Any, *args: Any, **state: Any) -> Any:
        """Return the target's cosine (N,) after the margin."""
        raise NotImplementedError

    def logit_scale(self, F: Any, *args: Any, **state: Any) -> Any:
        """Return the factor of the cosines: a number, or an array (1,) or (N,)."""
        return self.s

    def target_logit(self, F: Any, output_y: Any, label: Any, *args: Any, **state: Any) -> Any:
        """Return the scaled cosine of the target (N,) after the margin."""
        target, scale = self.target(F, output_y, **state), self.logit_scale(F, **state)
        return target * scale if isinstance(scale, float) else F.broadcast_mul(target, scale)


def clip_cosine(F: Any, cos: Any) -> Any:
    """Return cosines clipped to where the angle has a finite derivative.

    Examples
    --------
    >>> import mxnet as mx
    >>> bool(clip_cosine(mx.nd, mx.nd.array([1])).asscalar() < 1)
    True
    """
    return F.clip(cos, -1 + _EDGE, 1 - _EDGE)


def add_angle(F: Any, cos: Any, m: float) -> Any:
    """Return cos(theta + m) for cos(theta); m in radians.

    Examples
    --------
    >>> import mxnet as mx
    >>> round(add_angle(mx.nd, mx.nd.array([1]), 0.5).asscalar(), 3)
    0.877
    """
    return cos * math.cos(m) - F.sqrt(1 - F.square(clip_cosine(F, cos))) * math.sin(m)


def arcface_target(F: Any, cos_y: Any, m: float) -> Any:
    """Return ArcFace's target: cos(theta + m), and cos(theta) - m sin(m) where theta + m > pi.

    Examples
    --------
    >>> import mxnet as mx
    >>> arcface_target(mx.nd, mx.nd.array([1, -1]), 0.5).asnumpy().round(2)
    array([ 0.88, -1.24], dtype=float32)
    """
    return F.where(cos_y > math.cos(math.pi - m), add_angle(F, cos_y, m), cos_y - m * math.sin(m))


def combined_target(F: Any, cos_y: Any, m1: float, m2: float, m3: float) -> Any:
    """Return cos(m1 theta + m2) - m3, continued with the slope of the cosine where m1 theta + m2 > pi.

    Examples
    --------
    >>> import mxnet as mx
    >>> round(combined_target(mx.nd, mx.nd.array([0.5]), 1, 0, 0.2).asscalar(), 3)
    0.3
    """
    if m1 == 1:
        return arcface_target(F, cos_y, m2) - m3
    last = math.cos((math.pi - m2) / m1)
    moved = F.cos(m1 * F.arccos(clip_cosine(F, cos_y)) + m2)
    return F.where(cos_y > last, moved, cos_y - (last + 1)) - m3
