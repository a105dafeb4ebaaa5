"""SphereFace and large-margin softmax, which multiply the angle."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from mxnet import init

from gluonfr.core import UsageError, check_increasing, check_integer
from gluonfr.loss.base.loss import set_state
from gluonfr.loss.base.margin import MarginLoss
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.registry import LOSSES


def multiple_angle(F: Any, cos: Any, m: int) -> Any:
    r"""Return :math:`\psi(\theta) = (-1)^k \cos(m \theta) - 2k` for cos(theta), k the integer part of :math:`m \theta / \pi`.

    It decreases from 1 to 1 - 2m. Chebyshev's polynomial makes the derivative finite everywhere.

    Examples
    --------
    >>> import mxnet as mx
    >>> multiple_angle(mx.nd, mx.nd.array([1, 0, -1]), 2).asnumpy().tolist()
    [1.0, -1.0, -3.0]
    """
    before, turned = None, cos
    for _ in range(m - 1):
        before, turned = turned, 2 * cos * turned - (1 if before is None else before)
    sign, k = 1, 0
    for j in range(1, m):
        passed = cos < math.cos(j * math.pi / m)
        sign, k = sign * (1 - 2 * passed), k + passed
    return turned * sign - 2 * k


class _AnnealedMargin(MarginLoss):
    r"""Base of the losses that multiply the angle, which train from scratch only when the margin grows slowly.

    The target is :math:`\frac{\lambda \cos\theta_y + \psi(\theta_y)}{1 + \lambda}`, with
    :math:`\lambda = \max(\lambda_{min}, \lambda_{max} / (1 + 0.1\, t))` after t calls of `step`. The number of steps t is a
    parameter without gradient: it is saved with the network and read by hybridized graphs.

    Parameters
    ----------
    classes : int
        Number of classes C.
    m : int
        Factor of the angle, 1 to 10.
    s : float
        Scale.
    lambda_min, lambda_max : float
        Last and first value of lambda.
    dtype, weight
        See `FRLoss`.
    """

    def __init__(
        self,
        classes: int,
        m: int,
        s: float,
        lambda_min: float,
        lambda_max: float,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m = check_integer("m", m, minimum=1, maximum=10, owner=self)
        self.lambda_min, self.lambda_max = check_increasing(
            ("lambda_min", "lambda_max"), (lambda_min, lambda_max), owner=self, minimum=0
        )
        self.steps = self.params.get("steps", shape=(1,), init=init.Zero(), dtype=self.dtype, grad_req="null")

    def blend(self, F: Any, cos_y: Any, steps: Any) -> Any:
        """Return the target (N,): cosine and psi, weighted by lambda."""
        part = 1 / (1 + F.maximum(self.lambda_max / (1 + 0.1 * steps), self.lambda_min))
        return cos_y + F.broadcast_mul(multiple_angle(F, cos_y, self.m) - cos_y, part)

    def advance(self, *statistics: Any) -> None:
        """Count a step."""
        set_state(self.steps, self.steps.data(self.steps.list_ctx()[0]) + 1)


@LOSSES.register("ASoftmax", "sphereface", "SphereFaceLoss", "A-Softmax")
class ASoftmax(_AnnealedMargin):
    r"""SphereFace (https://arxiv.org/abs/1704.08063): a margin that multiplies the angle.

    .. math:: L = -\log \frac{e^{\|x\| \psi_\lambda(\theta_y)}}{e^{\|x\| \psi_\lambda(\theta_y)} +
        \sum_{j \ne y} e^{\|x\| \cos\theta_j}}, \quad \psi(\theta) = (-1)^k \cos(m \theta) - 2k,
        \quad \psi_\lambda = \frac{\lambda \cos\theta + \psi}{1 + \lambda}

    with k the integer part of :math:`m \theta / \pi`, and :math:`\lambda = \max(5, 1500 / (1 + 0.1\, t))` after t steps: call
    `loss.step()` after every training step. Use it to reproduce SphereFace; the additive margins are easier to train.

    Parameters
    ----------
    classes : int
        Number of classes C.
    m : int, default 4
        Factor of the angle, 1 to 10; 4 is the paper's best.
    s : float, optional
        Fixed scale instead of the norm of the embedding, which is the default, as in the paper.
    phiflag : bool, default True
        Accepted for gluon-face's scripts; only True is possible.
    lambda_min, lambda_max : float, default 5 and 1500
        Last and first value of lambda, as in the authors' code; lambda_max = lambda_min turns the annealing off.
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **output**: cosines (N, C).
        - **label**: (N,).
        - **embedding**: (N, D), not normalized; not needed with `s`.
    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> ASoftmax(classes=10, m=4).spec.needs_embedding
    True
    """

    def __init__(
        self,
        classes: int,
        m: int = 4,
        s: float | None = None,
        phiflag: bool = True,
        lambda_min: float = 5.0,
        lambda_max: float = 1500.0,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        if phiflag is not True:
            raise UsageError("ASoftmax: phiflag can only be True here; the cosine of the multiple angle is exact.")
        super().__init__(classes, m, 1.0 if s is None else s, lambda_min, lambda_max, dtype, weight, **kwargs)
        self.spec = dataclasses.replace(self.spec, needs_embedding=s is None)

    def target(self, F: Any, cos_y: Any, steps: Any, norm: Any = None) -> Any:
        """Return the blended target."""
        return self.blend(F, cos_y, steps)

    def logit_scale(self, F: Any, steps: Any, norm: Any = None) -> Any:
        """Return s, or the norm of the embedding."""
        return self.s if norm is None else norm


@LOSSES.register("LSoftmax", "L-Softmax", "LargeMarginSoftmax", "LargeMarginSoftmaxLoss")
class LSoftmax(_AnnealedMargin):
    r"""Large-margin softmax (https://arxiv.org/abs/1612.02295): logits are inner products, the target's angle is multiplied.

    .. math:: L = -\log \frac{e^{\|w_y\| \|x\| \psi_\lambda(\theta_y)}}{e^{\|w_y\| \|x\| \psi_\lambda(\theta_y)} +
        \sum_{j \ne y} e^{\|w_j\| \|x\| \cos\theta_j}}

    :math:`\psi` and :math:`\lambda` as in `ASoftmax`; call `loss.step()` after every training step. The classifier gives
    the directions of the weights, that is cosines; their norms :math:`\|w_j\|` are the parameter `norms` of the loss. It is
    the ancestor of the angular margins, of interest where class sizes differ much and the norms may reflect that.

    Parameters
    ----------
    classes : int
        Number of classes C.
    m : int, default 4
        Factor of the angle, 1 to 10.
    lambda_min, lambda_max : float, default 5 and 1500
        Last and first value of lambda.
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
    >>> LSoftmax(classes=10, m=4).norms.shape
    (10,)
    """

    spec = LossSpec("cosine", weight_norm=True, feature_norm=True, needs_embedding=True, class_parameters=("norms",))

    def __init__(
        self,
        classes: int,
        m: int = 4,
        lambda_min: float = 5.0,
        lambda_max: float = 1500.0,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, m, 1.0, lambda_min, lambda_max, dtype, weight, **kwargs)
        self.norms = self.params.get("norms", shape=(self.classes,), init=init.One(), dtype=self.dtype)

    def target(self, F: Any, cos_y: Any, steps: Any, **state: Any) -> Any:
        """Return the blended target, without the norms."""
        return self.blend(F, cos_y, steps)

    def logit_scale(self, F: Any, norm: Any, *args: Any, **state: Any) -> Any:
        """Return the norm of the embedding."""
        return norm

    def class_norms(self, F: Any, norms: Any, *args: Any, **state: Any) -> Any:
        """Return the norms of the weights (C,)."""
        return norms

    def target_logit(self, F: Any, output_y: Any, label: Any, steps: Any, norms: Any, norm: Any) -> Any:
        """Return the inner product of the target (N,) after the margin."""
        return self.target(F, output_y, steps) * norm * F.take(norms, label)


SphereFaceLoss = ASoftmax
LargeMarginSoftmaxLoss = LSoftmax
