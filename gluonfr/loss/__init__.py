"""Losses on ``(output, label)`` or ``(output, label, embedding)``; `get_loss` builds one by name, `list_losses` lists them."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.loss.base.classifier import ClassifierLoss
from gluonfr.loss.base.embedding import EmbeddingLoss
from gluonfr.loss.base.loss import FRLoss
from gluonfr.loss.base.margin import MarginLoss
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.base.tuples import TupleLoss
from gluonfr.loss.centers.center import CenterLoss
from gluonfr.loss.centers.coco import COCOLoss
from gluonfr.loss.centers.git import GitLoss
from gluonfr.loss.centers.lgm import LGMLoss
from gluonfr.loss.centers.ring import RingLoss
from gluonfr.loss.margin.adaface import AdaFace, AdaFaceLoss
from gluonfr.loss.margin.arcface import (
    ArcFaceLoss,
    ArcLoss,
    CombinedMargin,
    CombinedMarginLoss,
    SubCenterArc,
    SubCenterArcFaceLoss,
)
from gluonfr.loss.margin.circle import CircleLoss
from gluonfr.loss.margin.cosface import CosFaceLoss, CosLoss
from gluonfr.loss.margin.curricularface import CurricularFace, CurricularFaceLoss
from gluonfr.loss.margin.magface import MagFace, MagFaceLoss
from gluonfr.loss.margin.sphereface import ASoftmax, LargeMarginSoftmaxLoss, LSoftmax, SphereFaceLoss
from gluonfr.loss.margin.svx import SVXSoftmax, SVXSoftmaxLoss
from gluonfr.loss.normface import AdaCos, AdaCosLoss, NormFace, NormFaceLoss
from gluonfr.loss.pairs.circle import PairwiseCircle, PairwiseCircleLoss
from gluonfr.loss.pairs.contrastive import ContrastiveLoss
from gluonfr.loss.pairs.mps import MPSLoss
from gluonfr.loss.pairs.multibatch import MultiBatchLoss
from gluonfr.loss.pairs.range import RangeLoss
from gluonfr.loss.pairs.triplet import (
    BatchHardTriplet,
    BatchHardTripletLoss,
    SemiHardTriplet,
    SemiHardTripletLoss,
    TripletLoss,
)
from gluonfr.loss.registry import get_loss, get_loss_list, list_losses
from gluonfr.loss.softmax import L2Softmax, L2SoftmaxLoss, SoftmaxLoss

__all__ = [
    "ASoftmax",
    "AdaCos",
    "AdaCosLoss",
    "AdaFace",
    "AdaFaceLoss",
    "ArcFaceLoss",
    "ArcLoss",
    "BatchHardTriplet",
    "BatchHardTripletLoss",
    "COCOLoss",
    "CenterLoss",
    "CircleLoss",
    "ClassifierLoss",
    "CombinedMargin",
    "CombinedMarginLoss",
    "ContrastiveLoss",
    "CosFaceLoss",
    "CosLoss",
    "CurricularFace",
    "CurricularFaceLoss",
    "EmbeddingLoss",
    "FRLoss",
    "GitLoss",
    "L2Softmax",
    "L2SoftmaxLoss",
    "LGMLoss",
    "LSoftmax",
    "LargeMarginSoftmaxLoss",
    "LossSpec",
    "MPSLoss",
    "MagFace",
    "MagFaceLoss",
    "MarginLoss",
    "MultiBatchLoss",
    "NormFace",
    "NormFaceLoss",
    "PairwiseCircle",
    "PairwiseCircleLoss",
    "RangeLoss",
    "RingLoss",
    "SVXSoftmax",
    "SVXSoftmaxLoss",
    "SemiHardTriplet",
    "SemiHardTripletLoss",
    "SoftmaxLoss",
    "SphereFaceLoss",
    "SubCenterArc",
    "SubCenterArcFaceLoss",
    "TripletLoss",
    "TupleLoss",
    "get_loss",
    "get_loss_list",
    "list_losses",
]
