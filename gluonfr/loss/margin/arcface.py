"""ArcFace, sub-center ArcFace and the combination of three margins."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from gluonfr.core import check_flag, check_integer, check_number
from gluonfr.loss.base.margin import MarginLoss, add_angle, arcface_target, combined_target
from gluonfr.loss.registry import LOSSES


@LOSSES.register("ArcLoss", "arc", "arcface", "ArcFaceLoss")
class ArcLoss(MarginLoss):
    r"""ArcFace (https://arxiv.org/abs/1801.07698): an additive margin on the angle.

    .. math:: \psi(\cos\theta) = \cos(\theta + m)

    Where :math:`\theta + m > \pi` the cosine would increase again; there :math:`\psi` is :math:`\cos\theta - m \sin m`, as in
    the paper's code. The first choice for many identities; from scratch with a large s, start from a softmax network.

    Parameters
    ----------
    classes : int
        Number of classes C.
    m : float, default 0.5
        Margin in radians, 0 <= m < pi.
    s : float, default 64
        Scale.
    easy_margin : bool, default False
        Apply the margin only where the angle is below 90 degrees already.
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `MarginLoss`.

    Examples
    --------
    >>> import mxnet as mx
    >>> loss = ArcLoss(classes=2, m=0.5, s=10)
    >>> loss
    ArcLoss(classes=2, m=0.5, s=10, easy_margin=False, dtype='float32')
    >>> loss(mx.nd.array([[0.8, 0.1]]), mx.nd.array([0])).asnumpy().round(3)
    array([0.042], dtype=float32)
    """

    def __init__(
        self,
        classes: int,
        m: float = 0.5,
        s: float = 64.0,
        easy_margin: bool = False,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m = check_number("m", m, minimum=0, below=math.pi, owner=self)
        self.easy_margin = check_flag("easy_margin", easy_margin, self)

    def target(self, F: Any, cos_y: Any) -> Any:
        """Return cos(theta + m)."""
        if self.easy_margin:
            return F.where(cos_y > 0, add_angle(F, cos_y, self.m), cos_y)
        return arcface_target(F, cos_y, self.m)


@LOSSES.register("SubCenterArc", "subcenter", "sub-center-arcface", "SubCenterArcFace", "SubCenterArcFaceLoss")
class SubCenterArc(ArcLoss):
    r"""Sub-center ArcFace (https://www.ecva.net/papers/eccv_2020/papers_ECCV/papers/123560715.pdf): K centers per class.

    .. math:: \cos\theta_c = \max_{k < K} \cos\theta_{cK + k}

    with ArcFace on these. Noisy images gather around a center of their own and disturb the first one less. For sets collected
    from the web without cleaning; on clean sets ArcFace is better.

    Parameters
    ----------
    classes : int
        Number of classes C.
    K : int, default 3
        Centers per class; the classifier has ``loss.outputs`` = C K rows, those of class c starting at c K.
    m, s, easy_margin
        See `ArcLoss`.
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **output**: cosines (N, C K).
        - **label**: (N,), classes 0..C-1.
    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> SubCenterArc(classes=10, K=3).outputs
    30
    """

    def __init__(
        self,
        classes: int,
        K: int = 3,
        m: float = 0.5,
        s: float = 64.0,
        easy_margin: bool = False,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, m, s, easy_margin, dtype, weight, **kwargs)
        self.K = check_integer("K", K, minimum=1, owner=self)
        self.spec = dataclasses.replace(self.spec, num_centers=self.K)


@LOSSES.register("CombinedMargin", "combined", "CombinedMarginLoss", "CombinedLoss")
class CombinedMargin(MarginLoss):
    r"""The three margins together, as the ArcFace paper combines them (https://arxiv.org/abs/1801.07698).

    .. math:: \psi(\cos\theta) = \cos(m_1 \theta + m_2) - m_3

    (1, 0.5, 0) is ArcFace, (1, 0, 0.35) CosFace. Where :math:`m_1 \theta + m_2 > \pi` the cosine would increase again; there
    the target continues with the slope of :math:`\cos\theta`: like `ArcLoss` for m1 = 1, without a step otherwise.

    Parameters
    ----------
    classes : int
        Number of classes C.
    m1 : float, default 1
        Factor of the angle, 1 <= m1 < 5.
    m2 : float, default 0.3
        Added to the angle, in radians, 0 <= m2 < pi.
    m3 : float, default 0.2
        Subtracted from the cosine, 0 <= m3 < 2.
    s : float, default 64
        Scale.
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `MarginLoss`.

    Examples
    --------
    >>> CombinedMargin(classes=10, m1=1, m2=0.3, m3=0.2)
    CombinedMargin(classes=10, m1=1, m2=0.3, m3=0.2, s=64, dtype='float32')
    """

    def __init__(
        self,
        classes: int,
        m1: float = 1.0,
        m2: float = 0.3,
        m3: float = 0.2,
        s: float = 64.0,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.m1 = check_number("m1", m1, minimum=1, below=5, owner=self)
        self.m2 = check_number("m2", m2, minimum=0, below=math.pi, owner=self)
        self.m3 = check_number("m3", m3, minimum=0, below=2, owner=self)

    def target(self, F: Any, cos_y: Any) -> Any:
        """Return cos(m1 theta + m2) - m3."""
        return combined_target(F, cos_y, self.m1, self.m2, self.m3)


ArcFaceLoss = ArcLoss
SubCenterArcFaceLoss = SubCenterArc
CombinedMarginLoss = CombinedMargin
