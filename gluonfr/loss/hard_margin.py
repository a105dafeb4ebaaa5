from __future__ import annotations

import math

from mxnet import init

from gluonfr.loss.arguments import margin, number, refuse
from gluonfr.loss.base import move
from gluonfr.loss.margin import MarginLoss, add_angle, arc_target
from gluonfr.loss.registry import LOSSES


@LOSSES.register("CurricularFace", "curricular", "CurricularLoss")
class CurricularFace(MarginLoss):
    r"""CurricularFace (https://arxiv.org/abs/2004.00288): ArcFace that turns to hard classes as training succeeds.

    .. math:: \psi(\cos\theta_y) = \cos(\theta_y + m), \quad \cos\theta_j \to \cos\theta_j (t + \cos\theta_j)
        \text{ where } \cos\theta_j > \cos(\theta_y + m)

    t is a running mean of the target's cosine, 0 at first: hard classes weigh little early and more later. It is moved by
    `loss.step()` over all devices, so that a batch is trained with the t of those before it. For clean data with many
    identities, where it ends a little above ArcFace.

    Parameters
    ----------
    classes : int
    m : float, default 0.5
        Margin in radians, 0 <= m < pi.
    s : float, default 64
    momentum : float, default 0.99
        What t keeps at a step; the rest comes from the batch, as in the authors' code.
    dtype, weight
        As `FRLoss`.
    """

    compares = True

    def __init__(self, classes, m=0.5, s=64.0, momentum=0.99, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m, self._momentum = margin(self, "m", m, 0, math.pi), number(self, "momentum", momentum, 0, 1)
        self.t = self.params.get("t", shape=(1,), init=init.Zero(), dtype=self._dtype, grad_req="null")

    def target(self, F, cos_y, t):
        return arc_target(F, cos_y, self.m)

    def others(self, F, cos, cos_y, t):
        hard = F.broadcast_greater(cos, F.reshape(add_angle(F, cos_y, self.m), shape=(-1, 1)))
        return F.where(hard, cos * F.broadcast_add(cos, F.reshape(t, shape=(1, 1))), cos)

    def watch(self, F, cos_y, others, embedding):
        return (cos_y,)

    def step(self, embeddings=None, labels=None) -> None:
        (cos_y,) = self.gather()
        move(self.t, self._momentum * self.t.data(cos_y.context) + (1 - self._momentum) * cos_y.mean())
        super().step(embeddings, labels)


@LOSSES.register("SVXSoftmax", "svx", "sv-softmax", "sv-arc", "sv-am", "sv-x-softmax")
class SVXSoftmax(MarginLoss):
    r"""Support-vector guided softmax (https://arxiv.org/abs/1812.11317): classes that a sample is confused with weigh more.

    .. math:: \cos\theta_j \to t \cos\theta_j + t - 1 \text{ where } \cos\theta_j > \psi(\cos\theta_y)

    The X is the margin :math:`\psi`: ArcFace's :math:`\cos(\theta + m)` or CosFace's :math:`\cos\theta - m`. When a margin
    alone trains well and hard pairs remain.

    Parameters
    ----------
    classes : int
    m : float, optional
        Margin: 0.5 by default for 'arc' (0 <= m < pi), 0.35 for 'cos' (0 <= m < 2). 0 is SV-Softmax.
    t : float, default 1.2
        How much more, at least 1; 1 is the margin alone.
    s : float, default 64
    x : {'arc', 'cos'}, default 'arc'
    dtype, weight
        As `FRLoss`.
    """

    compares = True

    def __init__(self, classes, m=None, t=1.2, s=64.0, x="arc", dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        if not isinstance(x, str) or x not in ("arc", "cos"):
            refuse(self, "x is 'arc' or 'cos'", x)
        m = (0.5 if x == "arc" else 0.35) if m is None else m
        self.m, self.t = margin(self, "m", m, 0, math.pi if x == "arc" else 2), number(self, "t", t, 1)
        self._arc = x == "arc"

    def target(self, F, cos_y):
        return arc_target(F, cos_y, self.m) if self._arc else cos_y - self.m

    def others(self, F, cos, cos_y):
        # Beyond pi the comparison stays with cos(theta + m), as in the paper; only the target's own value is continued.
        bound = add_angle(F, cos_y, self.m) if self._arc else cos_y - self.m
        support = F.broadcast_greater(cos, F.reshape(bound, shape=(-1, 1)))
        return F.where(support, cos * self.t + (self.t - 1), cos)
