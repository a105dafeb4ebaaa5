from __future__ import annotations

from gluonfr.loss.arguments import whole
from gluonfr.loss.margin import ArcLoss
from gluonfr.loss.registry import LOSSES


@LOSSES.register("SubCenterArc", "subcenter", "sub-center-arcface", "SubCenterArcFace")
class SubCenterArc(ArcLoss):
    r"""Sub-center ArcFace (https://www.ecva.net/papers/eccv_2020/papers_ECCV/papers/123560715.pdf): K centers a class.

    .. math:: \cos\theta_c = \max_{k < K} \cos\theta_{cK + k}

    and ArcFace on these. Noisy images gather around a center of their own and spoil the first one less. For sets collected
    from the web without cleaning; on clean ones ArcFace is better.

    Parameters
    ----------
    classes : int
    K : int, default 3
        Centers a class, 1 or more; the classifier has `loss.outputs` = C K rows, those of class c from c K on.
    m, s, easy_margin
        As `ArcLoss`.
    dtype, weight
        As `FRLoss`.

    Inputs:
        - **output**: cosines (N, C K).
        - **label**: (N,), classes 0..C-1.
    Outputs:
        - **loss**: (N,).
    """

    def __init__(self, classes, K=3, m=0.5, s=64.0, easy_margin=False, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, m, s, easy_margin, dtype, weight, **kwargs)
        self.num_centers = whole(self, "K", K)
