from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gluonfr.metrics.roc import ROC


@dataclass(frozen=True)
class TarAtFar:
    """True accept rate at one target false accept rate.

    Attributes
    ----------
    target : float
        The false accept rate asked for.
    tar, tar_std : float
        Mean and standard deviation (ddof 0) of TAR over the held folds.
    far : float
        Mean FAR on the held folds: what the thresholds found on the training folds really gave.
    threshold : float
        The threshold that all pairs together give for this target on the protocol's grid; for an application take that of
        :class:`OperatingPoint`.
    resolvable : bool
        False when there are fewer impostor pairs than 1 / target: then not even one false accept is this rare, and
        TAR rests on where the grid's steps happen to lie. False too when there are no genuine pairs, and so no TAR.
    fold_tars, fold_fars, fold_thresholds : (nfolds,) float64
        Per fold; TAR or FAR is NaN where the held fold lacks genuine or impostor pairs, and such a fold is left out
        of the mean.
    """

    target: float
    tar: float
    tar_std: float
    far: float
    threshold: float
    resolvable: bool
    fold_tars: np.ndarray
    fold_fars: np.ndarray
    fold_thresholds: np.ndarray


@dataclass(frozen=True)
class VerificationResult:
    """What the 1:1 protocol says about one set of pairs.

    Attributes
    ----------
    distance : str
        Which distance the thresholds are in.
    pairs, genuine, impostors : int
        Number of pairs, of those showing one person, of those showing two.
    accuracy, accuracy_std : float
        Mean and standard deviation (ddof 0) of the accuracy on the held folds.
    threshold : float
        First threshold of the grid with the best accuracy over all pairs; accept iff `distance < threshold`.
    fold_accuracies, fold_thresholds : (nfolds,) float64
        Accuracy on each held fold at the threshold of its training folds.
    thresholds, tpr, fpr : (T,) float64
        The accuracy grid, and mean TPR and FPR over the folds there (0 for a fold without such pairs).
    tar_at_far : tuple of TarAtFar
        One for each target, in the order given.
    roc : ROC
        The exact curve of all pairs.
    auc, eer : float
        See :class:`ROC`; NaN when all pairs are genuine or all are impostors.
    dprime : float
        Sensitivity: how many standard deviations lie between genuine and impostor distances; NaN in the same cases.
    """

    distance: str
    pairs: int
    genuine: int
    impostors: int
    accuracy: float
    accuracy_std: float
    threshold: float
    fold_accuracies: np.ndarray
    fold_thresholds: np.ndarray
    thresholds: np.ndarray
    tpr: np.ndarray
    fpr: np.ndarray
    tar_at_far: tuple[TarAtFar, ...]
    roc: ROC
    auc: float
    eer: float
    dprime: float

    def name_values(self):
        """List of (name, float): accuracy, accuracy_std, threshold, then for each target F `tar@far=F`, `tar@far=F_std`
        and `far@far=F` (measured), then auc, eer and dprime.
        """
        pairs = [("accuracy", self.accuracy), ("accuracy_std", self.accuracy_std), ("threshold", self.threshold)]
        for at in self.tar_at_far:
            target = f"far={at.target:g}"
            pairs += [(f"tar@{target}", at.tar), (f"tar@{target}_std", at.tar_std), (f"far@{target}", at.far)]
        return pairs + [("auc", self.auc), ("eer", self.eer), ("dprime", self.dprime)]

    def to_dict(self):
        """Everything as plain Python for JSON: arrays become lists, NaN becomes None, the ROC is given by its corners."""
        return plain(self)


def plain(value):
    """A result as plain Python for JSON: arrays become lists, NaN and infinity None, a ROC its corners."""
    if isinstance(value, ROC):
        corners = value.corners()
        value = {"thresholds": corners.thresholds, "tar": corners.tar, "far": corners.far}
    elif hasattr(value, "__dataclass_fields__"):
        value = {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (tuple, list, np.ndarray)):
        return [plain(each) for each in (value.tolist() if isinstance(value, np.ndarray) else value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value
