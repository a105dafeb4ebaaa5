"""How good it is: 1:1 verification."""

from gluonfr.metrics.bootstrap import Intervals, bootstrap_people, linked_people
from gluonfr.metrics.evaluation import GroupResult, PairEvaluation, evaluate_pairs
from gluonfr.metrics.operating import FARS, OperatingPoint, operating_point, production_point
from gluonfr.metrics.result import TarAtFar, VerificationResult
from gluonfr.metrics.roc import ROC, roc_curve
from gluonfr.metrics.verification import FaceVerification, pair_distances

# The function `verification` stays in the module of that name: here it would hide the module.
__all__ = [
    "FARS",
    "ROC",
    "FaceVerification",
    "GroupResult",
    "Intervals",
    "OperatingPoint",
    "PairEvaluation",
    "TarAtFar",
    "VerificationResult",
    "bootstrap_people",
    "evaluate_pairs",
    "linked_people",
    "operating_point",
    "pair_distances",
    "production_point",
    "roc_curve",
]
