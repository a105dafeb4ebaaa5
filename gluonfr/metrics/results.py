"""Results of the metrics: named values, plain Python for JSON, and a table as their representation."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar

import numpy as np

from gluonfr.metrics.roc import ROC


def to_plain(value: Any) -> Any:
    """Convert a result to plain Python for JSON: arrays become lists, NaN and infinity become None.

    Examples
    --------
    >>> import numpy as np
    >>> to_plain({"auc": float("nan"), "tar": np.array([0.5, 1.0])})
    {'auc': None, 'tar': [0.5, 1.0]}
    """
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    elif is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return {name: to_plain(entry) for name, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class NameValues(list):
    """A list of (name, value) that prints as a table.

    Examples
    --------
    >>> values = NameValues([("accuracy", 0.9912), ("auc", 0.997)])
    >>> print(values)
      accuracy  0.9912
      auc       0.997
    >>> values[0]
    ('accuracy', 0.9912)
    """

    def __str__(self) -> str:
        width = max((len(name) for name, _ in self), default=0)
        return "\n".join(f"  {name:<{width}}  {value:.5g}" for name, value in self)


@dataclass(frozen=True, repr=False)
class MetricResult:
    """Base class of results: named values, `to_dict` for JSON, and a table as `repr`.

    Examples
    --------
    >>> from gluonfr.metrics import bcubed
    >>> bcubed(["a", "a", "b"], [0, 0, 1])
    ClusteringResult: 3 faces, 2 identities, 2 clusters
      precision  1
      recall     1
      f          1
    """

    # Attributes with one entry per pair or probe; `to_dict` leaves them out.
    _per_sample: ClassVar[tuple[str, ...]] = ()

    def name_values(self) -> list[tuple[str, float]]:
        """Return the figures as a list of (name, value)."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return everything except entries of single pairs or probes as plain Python for JSON; NaN becomes None."""
        return to_plain({field.name: getattr(self, field.name) for field in fields(self) if field.name not in self._per_sample})

    def _summary(self) -> str:
        """Return the sizes of the measured set, for the first line of the table."""
        return ""

    def __repr__(self) -> str:
        return "\n".join([f"{type(self).__name__}: {self._summary()}", *str(NameValues(self.name_values())).splitlines()])


@dataclass(frozen=True)
class TarAtFar:
    """True accept rate at one target false accept rate.

    Attributes
    ----------
    target : float
        Requested false accept rate.
    tar, tar_std : float
        Mean and standard deviation (ddof 0) of TAR over the held-out folds.
    far : float
        Mean FAR on the held-out folds: what the thresholds chosen on the training folds gave there.
    threshold : float
        Threshold that all pairs together give for this target on the protocol's grid. For an application, use the threshold
        of an :class:`OperatingPoint`.
    resolvable : bool
        False when there are fewer impostor pairs than 1 / target: a single false accept is then more frequent than the
        target, and TAR depends on the spacing of the grid. Also False when there are no genuine pairs, and so no TAR.
    fold_tars, fold_fars, fold_thresholds : (nfolds,) float64
        Values per fold; TAR or FAR is NaN where the held-out fold lacks genuine or impostor pairs, and the mean ignores such
        a fold.

    Examples
    --------
    >>> from gluonfr.metrics import evaluate_verification
    >>> result = evaluate_verification([0.1, 1.5] * 10, [1, 0] * 10, far_target=0.1)
    >>> result.tar_at_far[0].tar
    1.0
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


@dataclass(frozen=True, repr=False)
class VerificationResult(MetricResult):
    """Result of the 1:1 protocol on one set of pairs.

    Attributes
    ----------
    distance : str
        Name of the distance in which the thresholds are measured.
    pairs, genuine, impostors : int
        Number of pairs, of pairs of one person, and of pairs of two people.
    accuracy, accuracy_std : float
        Mean and standard deviation (ddof 0) of the accuracy on the held-out folds.
    threshold : float
        First threshold of the grid with the best accuracy over all pairs; accept iff `distance < threshold`.
    fold_accuracies, fold_thresholds : (nfolds,) float64
        Accuracy on each held-out fold at the threshold chosen on its training folds.
    thresholds, tpr, fpr : (T,) float64
        The accuracy grid, and the mean TPR and FPR over the folds there (0 for a fold without such pairs).
    tar_at_far : tuple of TarAtFar
        One entry per target, in the given order.
    roc : ROC
        Exact curve of all pairs.
    auc, eer : float
        See :class:`ROC`; NaN when all pairs are genuine or all are impostors.
    dprime : float
        Sensitivity: how many standard deviations lie between genuine and impostor distances; NaN in the same cases.

    Examples
    --------
    >>> from gluonfr.metrics import evaluate_verification
    >>> evaluate_verification([0.1, 1.5] * 10, [1, 0] * 10).accuracy
    1.0
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

    def name_values(self) -> list[tuple[str, float]]:
        """Return (name, value) pairs.

        These are accuracy, accuracy_std and threshold, then for each target F `tar@far=F`, `tar@far=F_std` and the measured
        `far@far=F`, then auc, eer and dprime.
        """
        pairs = [("accuracy", self.accuracy), ("accuracy_std", self.accuracy_std), ("threshold", self.threshold)]
        for at in self.tar_at_far:
            target = f"far={at.target:g}"
            pairs += [(f"tar@{target}", at.tar), (f"tar@{target}_std", at.tar_std), (f"far@{target}", at.far)]
        return pairs + [("auc", self.auc), ("eer", self.eer), ("dprime", self.dprime)]

    def _summary(self) -> str:
        return f"{self.pairs:,} pairs ({self.genuine:,} genuine, {self.impostors:,} impostor), {self.distance}"
