"""Metrics: verification (1:1), identification (1:N), clustering, and the protocols of LFW, MegaFace and IJB."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.metrics.bootstrap import Intervals, bootstrap_people, linked_people
from gluonfr.metrics.clustering import ClusteringResult, bcubed
from gluonfr.metrics.identification import DirAtFpir, IdentificationResult, evaluate_identification
from gluonfr.metrics.ijb import (
    IJBIdentification,
    IJBVerification,
    evaluate_ijb_identification,
    evaluate_ijb_verification,
    pool_ijb_templates,
)
from gluonfr.metrics.lfw_protocol import evaluate_verification
from gluonfr.metrics.megaface import MegaFaceResult, MegaFaceTar, evaluate_megaface
from gluonfr.metrics.operating_points import FARS, OperatingPoint, operating_point, production_point
from gluonfr.metrics.pair_evaluation import GroupResult, PairEvaluation, evaluate_pairs
from gluonfr.metrics.results import TarAtFar, VerificationResult
from gluonfr.metrics.roc import ROC, roc_curve
from gluonfr.metrics.verification import FaceVerification, pair_distances

__all__ = [
    "FARS",
    "ROC",
    "ClusteringResult",
    "DirAtFpir",
    "FaceVerification",
    "GroupResult",
    "IJBIdentification",
    "IJBVerification",
    "IdentificationResult",
    "Intervals",
    "MegaFaceResult",
    "MegaFaceTar",
    "OperatingPoint",
    "PairEvaluation",
    "TarAtFar",
    "VerificationResult",
    "bcubed",
    "bootstrap_people",
    "evaluate_identification",
    "evaluate_ijb_identification",
    "evaluate_ijb_verification",
    "evaluate_megaface",
    "evaluate_pairs",
    "evaluate_verification",
    "linked_people",
    "operating_point",
    "pair_distances",
    "pool_ijb_templates",
    "production_point",
    "roc_curve",
]
