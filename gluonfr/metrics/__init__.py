"""How good it is: verification (1:1), identification (1:N), clusters, and the protocols of MegaFace and IJB."""

from __future__ import annotations

from gluonfr.metrics.bootstrap import Intervals, bootstrap_people, linked_people
from gluonfr.metrics.clustering import ClusteringResult, bcubed
from gluonfr.metrics.evaluation import GroupResult, PairEvaluation, evaluate_pairs
from gluonfr.metrics.identification import DirAtFpir, IdentificationResult, evaluate_identification
from gluonfr.metrics.megaface import MegaFaceResult, MegaFaceTar, evaluate_megaface
from gluonfr.metrics.operating import FARS, OperatingPoint, operating_point, production_point
from gluonfr.metrics.result import TarAtFar, VerificationResult
from gluonfr.metrics.roc import ROC, roc_curve
from gluonfr.metrics.templates import (
    TemplateIdentification,
    TemplateVerification,
    pool_templates,
    template_identification,
    template_verification,
)
from gluonfr.metrics.verification import FaceVerification, pair_distances

# The function `verification` stays in the module of that name: here it would hide the module.
__all__ = [
    "FARS",
    "ROC",
    "ClusteringResult",
    "DirAtFpir",
    "FaceVerification",
    "GroupResult",
    "IdentificationResult",
    "Intervals",
    "MegaFaceResult",
    "MegaFaceTar",
    "OperatingPoint",
    "PairEvaluation",
    "TarAtFar",
    "TemplateIdentification",
    "TemplateVerification",
    "VerificationResult",
    "bcubed",
    "bootstrap_people",
    "evaluate_identification",
    "evaluate_megaface",
    "evaluate_pairs",
    "linked_people",
    "operating_point",
    "pair_distances",
    "pool_templates",
    "production_point",
    "roc_curve",
    "template_identification",
    "template_verification",
]
