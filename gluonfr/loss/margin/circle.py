from __future__ import annotations

from typing import Any

from gluonfr.core import check_number
from gluonfr.loss.base.margin import MarginLoss
from gluonfr.loss.registry import LOSSES
from gluonfr.ops import Change


@LOSSES.register("CircleLoss", "circle")
class CircleLoss(MarginLoss):
    r"""Circle loss with class labels (https://arxiv.org/abs/2002.10857): similarities far from their optimum weigh more.

    .. math:: \psi(\cos\theta_y) = \alpha_p (\cos\theta_y - (1 - m)), \quad
        \cos\theta_j \to \alpha_n (\cos\theta_j - m), \quad
        \alpha_p = [1 + m - \cos\theta_y]_+, \quad \alpha_n = [\cos\theta_j + m]_+

    The weights :math:`\alpha` are constants in the gradient. One margin serves both sides; stable without a warm-up, since
    easy classes lose their weight by themselves. `PairwiseCircle` is the same on the pairs of a batch.

    Parameters
    ----------
    classes : int
        Number of classes C.
    m : float, default 0.25
        Relaxation, 0 <= m < 1: the goal is :math:`\cos\theta_y > 1 - m` and :math:`\cos\theta_j < m`. The paper's for faces.
    s : float, default 256
        Scale, the paper's :math:`\gamma` for faces.
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `MarginLoss`.

    Examples
    --------
    >>> CircleLoss(classes=10)
    CircleLoss(classes=10, m=0.25, s=256, dtype='float32')
    """

    def __init__(
        self,
        classes: int,
        m: float = 0.25,
        s: float = 256.0,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m = check_number("m", m, minimum=0, below=1, owner=self)

    def target(self, F: Any, cos_y: Any) -> Any:
        """Return the weighted distance of the target's cosine from 1 - m."""
        return F.relu(1 + self.m - F.stop_gradient(cos_y)) * (cos_y - (1 - self.m))

    def others(self, F: Any, output: Any, output_y: Any) -> Any:
        """Return the weighted distances of all cosines from m."""
        return F.relu(F.stop_gradient(output) + self.m) * (output - self.m)

    def change_of_others(self, F: Any, output_y: Any) -> Change:
        """Return the change for the native operators."""
        return Change("circle", self.m)
