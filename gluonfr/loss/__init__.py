"""Losses on `(output, label)` or `(output, label, embedding)`; `get_loss(name)` builds one, `list_losses()` names them."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.loss.angular import ASoftmax, LSoftmax
from gluonfr.loss.base import FRLoss
from gluonfr.loss.center import CenterLoss
from gluonfr.loss.circle import CircleLoss
from gluonfr.loss.circle_pairs import PairwiseCircle
from gluonfr.loss.classifier import ClassifierLoss
from gluonfr.loss.coco import COCOLoss
from gluonfr.loss.contrastive import ContrastiveLoss
from gluonfr.loss.embedding_base import EmbeddingLoss
from gluonfr.loss.git import GitLoss
from gluonfr.loss.hard_margin import CurricularFace, SVXSoftmax
from gluonfr.loss.lgm import LGMLoss
from gluonfr.loss.margin import ArcLoss, CombinedMargin, CosLoss, MarginLoss
from gluonfr.loss.mps import MPSLoss
from gluonfr.loss.multibatch import MultiBatchLoss
from gluonfr.loss.quality import AdaFace, MagFace
from gluonfr.loss.range import RangeLoss
from gluonfr.loss.registry import get_loss, get_loss_list, list_losses
from gluonfr.loss.ring import RingLoss
from gluonfr.loss.scale import AdaCos, NormFace
from gluonfr.loss.softmax import L2Softmax, SoftmaxLoss
from gluonfr.loss.subcenter import SubCenterArc
from gluonfr.loss.triplet import BatchHardTriplet, SemiHardTriplet, TripletLoss

__all__ = [
    "ASoftmax",
    "AdaCos",
    "AdaFace",
    "ArcLoss",
    "BatchHardTriplet",
    "COCOLoss",
    "CenterLoss",
    "CircleLoss",
    "ClassifierLoss",
    "CombinedMargin",
    "ContrastiveLoss",
    "CosLoss",
    "CurricularFace",
    "EmbeddingLoss",
    "FRLoss",
    "GitLoss",
    "L2Softmax",
    "LGMLoss",
    "LSoftmax",
    "MPSLoss",
    "MagFace",
    "MarginLoss",
    "MultiBatchLoss",
    "NormFace",
    "PairwiseCircle",
    "RangeLoss",
    "RingLoss",
    "SVXSoftmax",
    "SemiHardTriplet",
    "SoftmaxLoss",
    "SubCenterArc",
    "TripletLoss",
    "get_loss",
    "get_loss_list",
    "list_losses",
]
