from __future__ import annotations

from gluonfr.loss.arguments import margin
from gluonfr.loss.margin import MarginLoss
from gluonfr.loss.registry import LOSSES


@LOSSES.register("CircleLoss", "circle")
class CircleLoss(MarginLoss):
    r"""Circle loss with class labels (https://arxiv.org/abs/2002.10857): what is far from its goal is pushed harder.

    .. math:: \psi(\cos\theta_y) = \alpha_p (\cos\theta_y - (1 - m)), \quad
        \cos\theta_j \to \alpha_n (\cos\theta_j - m), \quad
        \alpha_p = [1 + m - \cos\theta_y]_+, \quad \alpha_n = [\cos\theta_j + m]_+

    The weights :math:`\alpha` are constants to the gradient. One margin serves both sides; steady without a warm-up, since
    easy classes lose their weight by themselves. `PairwiseCircle` is the same on the pairs of a batch.

    Parameters
    ----------
    classes : int
    m : float, default 0.25
        Relaxation, 0 <= m < 1: the goal is :math:`\cos\theta_y > 1 - m` and :math:`\cos\theta_j < m`. The paper's for faces.
    s : float, default 256
        Scale, the paper's :math:`\gamma` for faces.
    dtype, weight
        As `FRLoss`.

    Inputs:
        - **output**: cosines (N, C).
        - **label**: (N,), float32 or int32.
    Outputs:
        - **loss**: (N,).
    """

    def __init__(self, classes, m=0.25, s=256.0, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m = margin(self, "m", m, 0, 1)

    def target(self, F, cos_y):
        return F.relu(1 + self.m - F.stop_gradient(cos_y)) * (cos_y - (1 - self.m))

    def others(self, F, cos, cos_y):
        return F.relu(F.stop_gradient(cos) + self.m) * (cos - self.m)
