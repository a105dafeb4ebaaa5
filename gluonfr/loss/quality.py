from __future__ import annotations

import math

from mxnet import init, nd

from gluonfr.loss.arguments import margin, number, numbers_rising
from gluonfr.loss.base import move, row_norm
from gluonfr.loss.margin import MarginLoss, inside
from gluonfr.loss.registry import LOSSES

_LEAST_ANGLE = 1e-3


@LOSSES.register("MagFace", "mag", "MagLoss")
class MagFace(MarginLoss):
    r"""MagFace (https://arxiv.org/abs/2103.06627): the norm of the embedding learns to say how good the image is.

    .. math:: L = L_{arc}(m(a)) + \lambda_g\, g(a), \quad m(a) = \frac{u_m - l_m}{u_a - l_a} (a - l_a) + l_m, \quad
        g(a) = \frac 1 a + \frac a {u_a^2}

    a is the norm of the embedding, held within [l_a, u_a]; outside it no gradient reaches the norm. For a quality score
    along with the embedding; check that the norms of a fresh network do lie in the range.

    Parameters
    ----------
    classes : int
    s : float, default 64
    l_a, u_a : float, default 10 and 110
        Range of the norm, 0 < l_a < u_a.
    l_m, u_m : float, default 0.45 and 0.8
        Margins in radians at its ends, 0 <= l_m <= u_m < pi.
    lambda_g : float, default 35
        Weight of the term that makes norms large; 0 or more.
    dtype, weight
        As `FRLoss`.

    Inputs:
        - **output**: cosines (N, C).
        - **label**: (N,).
        - **embedding**: (N, D), not normalized.
    Outputs:
        - **loss**: (N,).
    """

    needs_embedding = True

    def __init__(
        self,
        classes,
        s=64.0,
        l_a=10.0,
        u_a=110.0,
        l_m=0.45,
        u_m=0.8,
        lambda_g=35.0,
        dtype="float32",
        weight=None,
        **kwargs,
    ) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self._norms = numbers_rising(self, ("l_a", "u_a"), (l_a, u_a), open_end=True, strictly=True)
        self._margins = numbers_rising(self, ("l_m", "u_m"), (l_m, u_m), below=math.pi)
        self._lambda_g = number(self, "lambda_g", lambda_g)

    def target(self, F, cos_y, norm):
        (l_a, u_a), (l_m, u_m) = self._norms, self._margins
        m = (F.clip(norm, l_a, u_a) - l_a) * ((u_m - l_m) / (u_a - l_a)) + l_m
        moved = cos_y * F.cos(m) - F.sqrt(1 - F.square(inside(F, cos_y))) * F.sin(m)
        return F.where(cos_y > -F.cos(m), moved, cos_y - m * F.sin(m))

    def extra(self, F, norm):
        a = F.clip(norm, *self._norms)
        return self._lambda_g * (1 / a + a / self._norms[1] ** 2)


@LOSSES.register("AdaFace", "ada")
class AdaFace(MarginLoss):
    r"""AdaFace (https://arxiv.org/abs/2204.00964): a margin that asks more of good images than of bad ones.

    .. math:: \psi(\cos\theta) = \cos(\theta - m \hat z) - (m \hat z + m), \quad
        \hat z = \min\left(1, \max\left(-1, h \frac{\|x\| - \mu}{\sigma}\right)\right)

    The norm of the embedding stands for the quality, and no gradient goes through it. :math:`\mu, \sigma` are running
    statistics of it, 20 and 100 at first as in the authors' code, moved by `loss.step()` over all devices, so that a batch
    is judged by those before it. :math:`\theta - m \hat z` stays within :math:`[0, \pi]`. For training sets of mixed quality
    and strong augmentation.

    Parameters
    ----------
    classes : int
    m : float, default 0.4
        Margin, 0 <= m < pi / 2: the angle moves by up to m, the cosine by up to 2m.
    h : float, default 0.333
        How sharply quality acts, > 0: a norm 1/h standard deviations from the mean has the full effect.
    s : float, default 64
    momentum : float, default 0.99
        What the statistics keep at a step.
    dtype, weight
        As `FRLoss`.

    Inputs:
        - **output**: cosines (N, C).
        - **label**: (N,).
        - **embedding**: (N, D), not normalized.
    Outputs:
        - **loss**: (N,).
    """

    needs_embedding = True

    def __init__(self, classes, m=0.4, h=0.333, s=64.0, momentum=0.99, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m, self.h = margin(self, "m", m, 0, math.pi / 2), number(self, "h", h, open_end=True)
        self._momentum = number(self, "momentum", momentum, 0, 1)
        self.mean = self.params.get("mean", shape=(1,), init=init.Constant(20), dtype=self._dtype, grad_req="null")
        self.std = self.params.get("std", shape=(1,), init=init.Constant(100), dtype=self._dtype, grad_req="null")

    def target(self, F, cos_y, norm, mean, std):
        z = F.broadcast_div(F.broadcast_sub(F.stop_gradient(norm), mean), std + 1e-3)
        z = F.clip(z * self.h, -1, 1)
        angle = F.clip(F.arccos(inside(F, cos_y)) - self.m * z, _LEAST_ANGLE, math.pi - _LEAST_ANGLE)
        return F.cos(angle) - self.m * (z + 1)

    def watch(self, F, cos_y, others, embedding):
        return (row_norm(F, embedding),)

    def step(self, embeddings=None, labels=None) -> None:
        (norm,) = self.gather()
        mean = norm.mean()
        self._keep(self.mean, mean)
        if len(norm) > 1:
            self._keep(self.std, nd.sqrt(nd.square(norm - mean).sum() / (len(norm) - 1)))
        super().step(embeddings, labels)

    def _keep(self, parameter, value) -> None:
        move(parameter, self._momentum * parameter.data(value.context) + (1 - self._momentum) * value)
