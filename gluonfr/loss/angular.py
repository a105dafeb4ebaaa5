from __future__ import annotations

import math

from mxnet import init

from gluonfr.core import GluonFRError
from gluonfr.loss.arguments import numbers_rising, whole
from gluonfr.loss.base import move
from gluonfr.loss.margin import MarginLoss
from gluonfr.loss.registry import LOSSES


def multiple_angle(F, cos, m):
    r"""cos(theta) to :math:`\psi(\theta) = (-1)^k \cos(m \theta) - 2k`, k the whole part of :math:`m \theta / \pi`: from 1
    down to 1 - 2m without a rise. By Chebyshev's polynomial, so that the derivative is finite everywhere.
    """
    before, turned = None, cos
    for _ in range(m - 1):
        before, turned = turned, 2 * cos * turned - (1 if before is None else before)
    sign, k = 1, 0
    for j in range(1, m):
        passed = cos < math.cos(j * math.pi / m)
        sign, k = sign * (1 - 2 * passed), k + passed
    return turned * sign - 2 * k


class AnnealedMargin(MarginLoss):
    r"""Base of the two losses that multiply the angle, which train from scratch only when the margin grows slowly.

    The target is :math:`\frac{\lambda \cos\theta_y + \psi(\theta_y)}{1 + \lambda}`, with
    :math:`\lambda = \max(\lambda_{min}, \lambda_{max} / (1 + 0.1\, t))` after t calls of `step`. The count t is a parameter
    without gradient: it is saved with the network and read by hybridized graphs.
    """

    def __init__(self, classes, m, s, lambda_min, lambda_max, dtype, weight, **kwargs) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m = whole(self, "m", m, 1, 10)
        self._lambda = numbers_rising(self, ("lambda_min", "lambda_max"), (lambda_min, lambda_max))
        self.steps = self.params.get("steps", shape=(1,), init=init.Zero(), dtype=self._dtype, grad_req="null")

    def blend(self, F, cos_y, steps):
        """The target (N,): cosine and psi, mixed by lambda."""
        least, most = self._lambda
        part = 1 / (1 + F.maximum(most / (1 + 0.1 * steps), least))
        return cos_y + F.broadcast_mul(multiple_angle(F, cos_y, self.m) - cos_y, part)

    def step(self, embeddings=None, labels=None) -> None:
        super().step(embeddings, labels)
        move(self.steps, self.steps.data(self.steps.list_ctx()[0]) + 1)


@LOSSES.register("ASoftmax", "sphereface", "A-Softmax")
class ASoftmax(AnnealedMargin):
    r"""SphereFace (https://arxiv.org/abs/1704.08063): a margin that multiplies the angle.

    .. math:: L = -\log \frac{e^{\|x\| \psi_\lambda(\theta_y)}}{e^{\|x\| \psi_\lambda(\theta_y)} +
        \sum_{j \ne y} e^{\|x\| \cos\theta_j}}, \quad \psi(\theta) = (-1)^k \cos(m \theta) - 2k,
        \quad \psi_\lambda = \frac{\lambda \cos\theta + \psi}{1 + \lambda}

    with k the whole part of :math:`m \theta / \pi`, and :math:`\lambda = \max(5, 1500 / (1 + 0.1\, t))` after t steps: call
    `loss.step()` after every training step. To reproduce SphereFace; the additive margins are easier to train.

    Parameters
    ----------
    classes : int
    m : int, default 4
        Multiplies the angle, 1 to 10; 4 is the paper's best.
    s : float, optional
        A fixed scale in place of the feature's norm. By default the norm of the embedding, as in the paper.
    lambda_min, lambda_max : float, default 5 and 1500
        Where the annealing ends and starts, as in the authors' code; lambda_max = lambda_min keeps it still.
    dtype, weight
        As `FRLoss`.

    Inputs:
        - **output**: cosines (N, C).
        - **label**: (N,).
        - **embedding**: (N, D), not normalized; not needed with `s`.
    Outputs:
        - **loss**: (N,).
    """

    def __init__(
        self, classes, m=4, s=None, lambda_min=5.0, lambda_max=1500.0, phiflag=True, dtype="float32", weight=None, **kwargs
    ) -> None:
        if phiflag is not True:
            raise GluonFRError("ASoftmax: phiflag can only be True here, the cosine of the multiple angle is exact.")
        super().__init__(classes, m, 1.0 if s is None else s, lambda_min, lambda_max, dtype, weight, **kwargs)
        self.needs_embedding = s is None

    def target(self, F, cos_y, steps, norm=None):
        return self.blend(F, cos_y, steps)

    def scale(self, F, steps, norm=None):
        return self.s if norm is None else norm


@LOSSES.register("LSoftmax", "L-Softmax", "LargeMarginSoftmax")
class LSoftmax(AnnealedMargin):
    r"""Large-margin softmax (https://arxiv.org/abs/1612.02295): logits are inner products, the target's angle is multiplied.

    .. math:: L = -\log \frac{e^{\|w_y\| \|x\| \psi_\lambda(\theta_y)}}{e^{\|w_y\| \|x\| \psi_\lambda(\theta_y)} +
        \sum_{j \ne y} e^{\|w_j\| \|x\| \cos\theta_j}}

    :math:`\psi` and :math:`\lambda` as in `ASoftmax`; call `loss.step()` after every training step. The classifier gives
    the directions of the weights, that is cosines; their norms :math:`\|w_j\|` are the parameter `norms` of the loss. It is
    the ancestor of the angular margins, of interest where class sizes differ much and the norms may say so.

    Parameters
    ----------
    classes : int
    m : int, default 4
        Multiplies the angle, 1 to 10.
    lambda_min, lambda_max : float, default 5 and 1500
        Where the annealing ends and starts.
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
    class_parameters = ("norms",)

    def __init__(self, classes, m=4, lambda_min=5.0, lambda_max=1500.0, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, m, 1.0, lambda_min, lambda_max, dtype, weight, **kwargs)
        self.norms = self.params.get("norms", shape=(self._classes,), init=init.One(), dtype=self._dtype)

    def target(self, F, cos_y, steps, **state):
        return self.blend(F, cos_y, steps)

    def logits(self, F, cos, label, cos_y, steps, norms, norm):
        target = self.target(F, cos_y, steps) * norm * F.take(norms, label)
        logits = F.broadcast_mul(F.broadcast_mul(cos, F.reshape(norms, shape=(1, -1))), F.reshape(norm, shape=(-1, 1)))
        return logits, target
