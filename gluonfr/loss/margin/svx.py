from __future__ import annotations

import math
from typing import Any

from gluonfr.core import UsageError, check_choice, check_number
from gluonfr.loss.base.margin import MarginLoss, add_angle, combined_target
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.registry import LOSSES
from gluonfr.ops import Change


@LOSSES.register("SVXSoftmax", "svx", "sv-softmax", "sv-arc", "sv-am", "sv-x-softmax", "SVXSoftmaxLoss")
class SVXSoftmax(MarginLoss):
    r"""Support-vector guided softmax (https://arxiv.org/abs/1812.11317): classes that a sample is confused with weigh more.

    .. math:: \cos\theta_j \to t \cos\theta_j + t - 1 \text{ where } \cos\theta_j > \psi(\cos\theta_y)

    :math:`\psi(\cos\theta) = \cos(m_1 \theta + m_2) - m_3` is the margin: ArcFace's by default. Use it when a margin alone
    trains well and hard pairs remain.

    Parameters
    ----------
    classes : int
        Number of classes C.
    s : float, default 64
        Scale.
    t : float, default 1.2
        Emphasis, at least 1; 1 is the margin alone.
    m1 : float, default 1
        Factor of the angle, 1 <= m1 < 5.
    m2, m3 : float, optional
        Added to the angle, in radians, 0 <= m2 < pi, and subtracted from the cosine, 0 <= m3 < 2. When one of them is given,
        or m1 differs from 1, the other is 0 by default, and `m` and `x` are not used.
    m : float, optional
        One margin: m2 for 'arc', 0.5 by default, or m3 for 'cos', 0.35 by default. 0 is SV-Softmax.
    x : {'arc', 'cos'}, default 'arc'
        Kind of the margin `m`.
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `MarginLoss`.

    Examples
    --------
    >>> loss = SVXSoftmax(10, 64, 1.2, 1, 0.3, 0.2)
    >>> loss.m2, loss.m3
    (0.3, 0.2)
    >>> SVXSoftmax(10, x="cos").m3
    0.35
    """

    spec = LossSpec("cosine", weight_norm=True, feature_norm=True, needs_target=True)

    def __init__(
        self,
        classes: int,
        s: float = 64.0,
        t: float = 1.2,
        m1: float = 1.0,
        m2: float | None = None,
        m3: float | None = None,
        m: float | None = None,
        x: str = "arc",
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.t = check_number("t", t, minimum=1, owner=self)
        self.m1 = check_number("m1", m1, minimum=1, below=5, owner=self)
        check_choice("x", x, ("arc", "cos"), self)
        if m2 is not None or m3 is not None or self.m1 != 1:
            if m is not None:
                raise UsageError("SVXSoftmax: m is one margin alone; give m, or m1, m2 and m3.")
            m2, m3 = 0.0 if m2 is None else m2, 0.0 if m3 is None else m3
        elif x == "arc":
            m2, m3 = 0.5 if m is None else check_number("m", m, minimum=0, below=math.pi, owner=self), 0.0
        else:
            m2, m3 = 0.0, 0.35 if m is None else check_number("m", m, minimum=0, below=2, owner=self)
        self.m2 = check_number("m2", m2, minimum=0, below=math.pi, owner=self)
        self.m3 = check_number("m3", m3, minimum=0, below=2, owner=self)

    def target(self, F: Any, cos_y: Any) -> Any:
        """Return cos(m1 theta + m2) - m3."""
        return combined_target(F, cos_y, self.m1, self.m2, self.m3)

    def others(self, F: Any, output: Any, output_y: Any) -> Any:
        """Return cosines with those above the target's replaced by t cos + t - 1."""
        support = F.broadcast_greater(output, F.reshape(self._bound(F, output_y), shape=(-1, 1)))
        return F.where(support, output * self.t + (self.t - 1), output)

    def change_of_others(self, F: Any, output_y: Any) -> Change:
        """Return the change for the native operators."""
        return Change("support_vector", self.t, self._bound(F, output_y))

    def _bound(self, F: Any, cos_y: Any) -> Any:
        # Beyond pi the comparison uses cos(theta + m2), as in the paper; only the target itself is continued.
        return add_angle(F, cos_y, self.m2) - self.m3 if self.m1 == 1 else self.target(F, cos_y)


SVXSoftmaxLoss = SVXSoftmax
