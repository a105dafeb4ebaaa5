"""Losses on `(output, label)` or `(output, label, embedding)`; `get_loss(name)` builds one, `get_loss_list()` names them."""

from gluonfr.loss.base import FRLoss
from gluonfr.loss.margin import ArcLoss, CombinedMargin, CosLoss, MarginLoss
from gluonfr.loss.registry import get_loss, get_loss_list
from gluonfr.loss.softmax import L2Softmax, SoftmaxLoss

__all__ = [
    "ArcLoss",
    "CombinedMargin",
    "CosLoss",
    "FRLoss",
    "L2Softmax",
    "MarginLoss",
    "SoftmaxLoss",
    "get_loss",
    "get_loss_list",
]
