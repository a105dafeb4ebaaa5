"""Losses on `(output, label)` or `(output, label, embedding)`; `get_loss(name)` builds one, `get_loss_list()` names them."""

from gluonfr.loss.angular import ASoftmax, LSoftmax
from gluonfr.loss.base import FRLoss
from gluonfr.loss.circle import CircleLoss
from gluonfr.loss.hard_margin import CurricularFace, SVXSoftmax
from gluonfr.loss.margin import ArcLoss, CombinedMargin, CosLoss, MarginLoss
from gluonfr.loss.quality import AdaFace, MagFace
from gluonfr.loss.registry import get_loss, get_loss_list
from gluonfr.loss.scale import AdaCos, NormFace
from gluonfr.loss.softmax import L2Softmax, SoftmaxLoss
from gluonfr.loss.subcenter import SubCenterArc

__all__ = [
    "ASoftmax",
    "AdaCos",
    "AdaFace",
    "ArcLoss",
    "CircleLoss",
    "CombinedMargin",
    "CosLoss",
    "CurricularFace",
    "FRLoss",
    "L2Softmax",
    "LSoftmax",
    "MagFace",
    "MarginLoss",
    "NormFace",
    "SVXSoftmax",
    "SoftmaxLoss",
    "SubCenterArc",
    "get_loss",
    "get_loss_list",
]
