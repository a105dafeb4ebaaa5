"""How good it is: 1:1 verification."""

from gluonfr.metrics.result import TarAtFar, VerificationResult
from gluonfr.metrics.roc import ROC, roc_curve
from gluonfr.metrics.verification import FaceVerification, pair_distances

# The function `verification` stays in the module of that name: here it would hide the module.
__all__ = ["ROC", "FaceVerification", "TarAtFar", "VerificationResult", "pair_distances", "roc_curve"]
