from __future__ import annotations

from typing import Any

from gluonfr.core import check_number
from gluonfr.loss.base.margin import MarginLoss
from gluonfr.loss.registry import LOSSES


@LOSSES.register("CosLoss", "cos", "cosface", "CosFaceLoss", "AMSoftmax")
class CosLoss(MarginLoss):
    r"""CosFace (https://arxiv.org/abs/1801.09414), AM-Softmax (https://arxiv.org/abs/1801.05599).

    .. math:: \psi(\cos\theta) = \cos\theta - m

    The most stable of the margins from scratch, and on small data.

    Parameters
    ----------
    classes : int
        Number of classes C.
    m : float, default 0.35
        Margin, 0 <= m < 2.
    s : float, default 64
        Scale.
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `MarginLoss`.

    Examples
    --------
    >>> import mxnet as mx
    >>> CosLoss(classes=2, m=0.35, s=10)(mx.nd.array([[0.8, 0.1]]), mx.nd.array([0])).asnumpy().round(3)
    array([0.03], dtype=float32)
    """

    def __init__(
        self,
        classes: int,
        m: float = 0.35,
        s: float = 64.0,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m = check_number("m", m, minimum=0, below=2, owner=self)

    def target(self, F: Any, cos_y: Any) -> Any:
        """Return cos(theta) - m."""
        return cos_y - self.m


CosFaceLoss = CosLoss
