from __future__ import annotations

import functools
import math

import numpy as np
from mxnet import autograd, nd

from gluonfr.loss.arguments import flag, margin, scale
from gluonfr.loss.classifier import ClassifierLoss
from gluonfr.loss.registry import LOSSES
from gluonfr.loss.rows import RowwiseMargin

# The nearest that the cosine may come to +-1 before an angle is taken: there the derivative is infinite, and 0 * inf is NaN.
_EDGE = 1e-7
# What a margin must leave as it is for `RowwiseMargin` to compute it.
_ROWWISE = ("hybrid_forward", "logits", "others", "scale", "extra")


class MarginLoss(ClassifierLoss):
    r"""Softmax cross-entropy on scaled cosines whose target is made harder to reach.

    .. math:: L = -\log \frac{e^{s\,\psi(\cos\theta_y)}}{e^{s\,\psi(\cos\theta_y)} + \sum_{j \ne y} e^{s \cos\theta_j}}

    A margin is a subclass that says in `target` what :math:`\psi` is; scale, replacement and cross-entropy stand here. A
    margin on the target alone is trained by `RowwiseMargin` where that is faster: on a CPU, with a matrix of cosines of
    `rowwise_from` numbers and more.

    Parameters
    ----------
    classes : int
    s : float, default 64
        Scale. With few classes a large s does not train: for hundreds of identities use 16 to 32.
    dtype, weight
        As `FRLoss`.
    """

    input_kind = "cosine"
    weight_norm = True
    feature_norm = True
    rowwise_from = 2**20

    def __init__(self, classes, s=64.0, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, dtype, weight, **kwargs)
        self.s = scale(self, s)
        self._spare = {}

    def target(self, F, cos_y, **state):
        """The target's cosine (N,) after the margin."""
        raise NotImplementedError

    def others(self, F, cos, cos_y, **state):
        """All cosines (N, C), reshaped by comparison with the target's (N,); most margins leave them."""
        return cos

    def scale(self, F, **state):
        """What multiplies the cosines: a number, or an array (1,) or (N,)."""
        return self.s

    def logits(self, F, cos, label, cos_y, **state):
        logits, target = self.others(F, cos, cos_y, **state), self.target(F, cos_y, **state)
        scale = self.scale(F, **state)
        if isinstance(scale, float):
            return logits * scale, target * scale
        return F.broadcast_mul(logits, F.reshape(scale, shape=(-1, 1))), F.broadcast_mul(target, scale)

    def forward(self, output, label, *args):
        if self._rowwise(output):
            if self._active:
                # Nothing runs it, but `export` writes it.
                self._get_graph(output, label, *args)
            if output.grad is not None:
                # MXNet loses what a Function adds to the gradient of a variable with grad_req='add'.
                output = output.reshape(output.shape)
            return RowwiseMargin(self.s, label.reshape((-1,)), functools.partial(self.target, nd), self._spare)(output)
        return super().forward(output, label, *args)

    def _rowwise(self, output):
        kind = type(self)
        return (
            isinstance(output, nd.NDArray)
            and autograd.is_recording()
            and output.size >= self.rowwise_from
            and output.context.device_type == "cpu"
            and np.dtype(output.dtype) == np.float32
            and not (self._reg_params or self.needs_embedding or self.num_centers > 1)
            and all(getattr(kind, name) is getattr(MarginLoss, name) for name in _ROWWISE)
        )


def inside(F, cos):
    """Cosines clipped to where the angle has a derivative."""
    return F.clip(cos, -1 + _EDGE, 1 - _EDGE)


def add_angle(F, cos, m):
    """cos(theta + m) from cos(theta); m in radians."""
    return cos * math.cos(m) - F.sqrt(1 - F.square(inside(F, cos))) * math.sin(m)


def arc_target(F, cos_y, m):
    """ArcFace's target: cos(theta + m), and where theta + m > pi the cosine less m sin(m)."""
    return F.where(cos_y > math.cos(math.pi - m), add_angle(F, cos_y, m), cos_y - m * math.sin(m))


@LOSSES.register("CosLoss", "cos", "cosface", "AMSoftmax")
class CosLoss(MarginLoss):
    r"""CosFace (https://arxiv.org/abs/1801.09414), AM-Softmax (https://arxiv.org/abs/1801.05599).

    .. math:: \psi(\cos\theta) = \cos\theta - m

    The steadiest of the margins from scratch, and on small data.

    Parameters
    ----------
    classes : int
    m : float, default 0.35
        Margin, 0 <= m < 2.
    s : float, default 64
    """

    def __init__(self, classes, m=0.35, s=64.0, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m = margin(self, "m", m, 0, 2)

    def target(self, F, cos_y):
        return cos_y - self.m


@LOSSES.register("ArcLoss", "arc", "arcface")
class ArcLoss(MarginLoss):
    r"""ArcFace (https://arxiv.org/abs/1801.07698): an additive margin on the angle.

    .. math:: \psi(\cos\theta) = \cos(\theta + m)

    Where :math:`\theta + m > \pi` the cosine would rise again; there it is :math:`\cos\theta - m \sin m`, as in the
    paper's code. The first choice with many identities; from scratch with a large s start from a softmax network.

    Parameters
    ----------
    classes : int
    m : float, default 0.5
        Margin in radians, 0 <= m < pi.
    s : float, default 64
    easy_margin : bool, default False
        True applies the margin only where the angle is already below 90 degrees.
    """

    def __init__(self, classes, m=0.5, s=64.0, easy_margin=False, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m = margin(self, "m", m, 0, math.pi)
        self._easy = flag(self, "easy_margin", easy_margin)

    def target(self, F, cos_y):
        if self._easy:
            return F.where(cos_y > 0, add_angle(F, cos_y, self.m), cos_y)
        return arc_target(F, cos_y, self.m)


@LOSSES.register("CombinedMargin", "combined", "CombinedMarginLoss", "CombinedLoss")
class CombinedMargin(MarginLoss):
    r"""The three margins together, as the ArcFace paper combines them (https://arxiv.org/abs/1801.07698).

    .. math:: \psi(\cos\theta) = \cos(m_1 \theta + m_2) - m_3

    (1, 0.5, 0) is ArcFace, (1, 0, 0.35) CosFace. Where :math:`m_1 \theta + m_2 > \pi` the cosine would rise again; there
    the target falls on with the slope of :math:`\cos\theta`: like ArcLoss when m1 = 1, continuously otherwise.

    Parameters
    ----------
    classes : int
    m1 : float, default 1
        Multiplies the angle, 1 <= m1 < 5.
    m2 : float, default 0.3
        Added to the angle, in radians, 0 <= m2 < pi.
    m3 : float, default 0.2
        Taken from the cosine, 0 <= m3 < 2.
    s : float, default 64
    """

    def __init__(self, classes, m1=1.0, m2=0.3, m3=0.2, s=64.0, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m1, self.m2 = margin(self, "m1", m1, 1, 5), margin(self, "m2", m2, 0, math.pi)
        self.m3 = margin(self, "m3", m3, 0, 2)

    def target(self, F, cos_y):
        if self.m1 == 1:
            return arc_target(F, cos_y, self.m2) - self.m3
        last = math.cos((math.pi - self.m2) / self.m1)
        moved = F.cos(self.m1 * F.arccos(inside(F, cos_y)) + self.m2)
        return F.where(cos_y > last, moved, cos_y - (last + 1)) - self.m3
