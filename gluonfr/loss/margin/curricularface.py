from __future__ import annotations

import math
from typing import Any

from mxnet import init

from gluonfr.core import check_number
from gluonfr.loss.base.loss import set_state
from gluonfr.loss.base.margin import MarginLoss, add_angle, arcface_target
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.registry import LOSSES
from gluonfr.ops import Change


@LOSSES.register("CurricularFace", "curricular", "CurricularLoss", "CurricularFaceLoss")
class CurricularFace(MarginLoss):
    r"""CurricularFace (https://arxiv.org/abs/2004.00288): ArcFace that emphasizes hard classes as training succeeds.

    .. math:: \psi(\cos\theta_y) = \cos(\theta_y + m), \quad \cos\theta_j \to \cos\theta_j (t + \cos\theta_j)
        \text{ where } \cos\theta_j > \cos(\theta_y + m)

    t is a running mean of the target's cosine that starts at 0: hard classes have little weight early and more later. It is
    updated by `loss.step()` over all devices, so a batch is trained with the t of the batches before. For clean data with many
    identities, where its accuracy is a little above ArcFace's.

    Parameters
    ----------
    classes : int
        Number of classes C.
    m : float, default 0.5
        Margin in radians, 0 <= m < pi.
    s : float, default 64
        Scale.
    momentum : float, default 0.99
        Weight of the old t in an update, as in the authors' code.
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `MarginLoss`.

    Examples
    --------
    >>> CurricularFace(classes=10).spec.needs_target
    True
    """

    spec = LossSpec("cosine", weight_norm=True, feature_norm=True, needs_target=True)

    def __init__(
        self,
        classes: int,
        m: float = 0.5,
        s: float = 64.0,
        momentum: float = 0.99,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m = check_number("m", m, minimum=0, below=math.pi, owner=self)
        self.momentum = check_number("momentum", momentum, minimum=0, below=1, owner=self)
        self.t = self.params.get("t", shape=(1,), init=init.Zero(), dtype=self.dtype, grad_req="null")

    def target(self, F: Any, cos_y: Any, t: Any) -> Any:
        """Return cos(theta + m)."""
        return arcface_target(F, cos_y, self.m)

    def others(self, F: Any, output: Any, output_y: Any, t: Any) -> Any:
        """Return cosines with those of hard classes multiplied by t + cos."""
        hard = F.broadcast_greater(output, F.reshape(add_angle(F, output_y, self.m), shape=(-1, 1)))
        return F.where(hard, output * F.broadcast_add(output, F.reshape(t, shape=(1, 1))), output)

    def change_of_others(self, F: Any, output_y: Any, t: Any) -> Change:
        """Return the change for the native operators."""
        return Change("curricular", t, add_angle(F, output_y, self.m))

    def target_statistics(self, output_y: Any, others: Any, embedding: Any) -> tuple[Any, ...]:
        """Return the target's cosines (N,)."""
        return (output_y,)

    def advance(self, *statistics: Any) -> None:
        """Update t by the mean of the target's cosine."""
        (cos_y,) = statistics
        set_state(self.t, self.momentum * self.t.data(cos_y.context) + (1 - self.momentum) * cos_y.mean())


CurricularFaceLoss = CurricularFace
