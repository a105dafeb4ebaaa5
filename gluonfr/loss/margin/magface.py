from __future__ import annotations

import math
from typing import Any

from gluonfr.core import check_increasing, check_number
from gluonfr.loss.base.margin import MarginLoss, clip_cosine
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.registry import LOSSES


@LOSSES.register("MagFace", "mag", "MagLoss", "MagFaceLoss")
class MagFace(MarginLoss):
    r"""MagFace (https://arxiv.org/abs/2103.06627): the norm of the embedding learns the quality of the image.

    .. math:: L = L_{arc}(m(a)) + \lambda_g\, g(a), \quad m(a) = \frac{u_m - l_m}{u_a - l_a} (a - l_a) + l_m, \quad
        g(a) = \frac 1 a + \frac a {u_a^2}

    a is the norm of the embedding, clipped to [l_a, u_a]; outside no gradient reaches the norm. Use it to get a quality score
    with the embedding; check that the norms of an untrained network are in the range.

    Parameters
    ----------
    classes : int
        Number of classes C.
    s : float, default 64
        Scale.
    l_a, u_a : float, default 10 and 110
        Range of the norm, 0 < l_a < u_a.
    l_m, u_m : float, default 0.45 and 0.8
        Margins in radians at its ends, 0 <= l_m <= u_m < pi.
    lambda_g : float, default 35
        Weight of the term that increases the norms, at least 0.
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
    >>> MagFace(classes=10).spec.needs_embedding
    True
    """

    spec = LossSpec("cosine", weight_norm=True, feature_norm=True, needs_embedding=True)

    def __init__(
        self,
        classes: int,
        s: float = 64.0,
        l_a: float = 10.0,
        u_a: float = 110.0,
        l_m: float = 0.45,
        u_m: float = 0.8,
        lambda_g: float = 35.0,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, s, dtype, weight, **kwargs)
        self.l_a, self.u_a = check_increasing(("l_a", "u_a"), (l_a, u_a), strictly=True, owner=self, above=0)
        self.l_m, self.u_m = check_increasing(("l_m", "u_m"), (l_m, u_m), owner=self, minimum=0, below=math.pi)
        self.lambda_g = check_number("lambda_g", lambda_g, minimum=0, owner=self)

    def target(self, F: Any, cos_y: Any, norm: Any) -> Any:
        """Return cos(theta + m(a)), with ArcFace's continuation beyond pi."""
        a = F.clip(norm, self.l_a, self.u_a)
        m = (a - self.l_a) * ((self.u_m - self.l_m) / (self.u_a - self.l_a)) + self.l_m
        moved = cos_y * F.cos(m) - F.sqrt(1 - F.square(clip_cosine(F, cos_y))) * F.sin(m)
        return F.where(cos_y > -F.cos(m), moved, cos_y - m * F.sin(m))

    def extra(self, F: Any, norm: Any) -> Any:
        """Return the term that increases the norms."""
        a = F.clip(norm, self.l_a, self.u_a)
        return self.lambda_g * (1 / a + a / self.u_a**2)


MagFaceLoss = MagFace
