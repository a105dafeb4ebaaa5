"""Thresholds between correct labels and errors, derived from the scores of a set and simulated errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

# Quantiles of the simulated errors at which the fraction of errors is estimated. Low quantiles are purer, high ones have more
# support; the lowest estimate with enough support counts.
QUANTILES = (0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
# For errors that may not occur at all, where correct scores have a long tail, as those of similar strangers.
QUANTILES_OF_RARE_ERRORS = (0.5, 0.65)
_SUPPORT = 10
# Fewer findings do not allow an estimate.
_FEW = 20


@dataclass(frozen=True)
class ErrorThreshold:
    """A threshold between correct scores and errors.

    Attributes
    ----------
    score : float
        Scores up to this one are errors; minus infinity if none are.
    share : float
        Estimated fraction of errors among all scores.
    found : int
        Number of scores up to the threshold.
    right : float
        Estimated fraction of these that are real errors (precision); NaN if there are none.
    missed : float
        Estimated fraction of the errors above the threshold.

    Examples
    --------
    >>> print(ErrorThreshold(0.1, 0.05, 100, 0.98, 0.03))
    by estimate 98 % of these are real, and 3 % of all errors are missed
    """

    score: float
    share: float
    found: int
    right: float
    missed: float

    def __str__(self) -> str:
        if not self.found:
            return "none has the score of an error"
        if self.found < _FEW:
            return "too few to estimate how many of them are real"
        return f"by estimate {100 * self.right:.0f} % of these are real, and {100 * self.missed:.0f} % of all errors are missed"


def find_threshold(scores: Any, simulated: Any, quantiles: Sequence[float] = QUANTILES) -> ErrorThreshold:
    """Find the threshold with the highest expected F1 score for the errors in a set.

    The scores of the set are a mixture of correct ones and errors. The distribution of errors is known from errors that were
    simulated with the set's own images. Where most errors and few correct scores lie, the fraction of errors can be
    estimated. From it follow the precision and the recall at every score.

    Parameters
    ----------
    scores : array-like, (n,) float
        Low for errors.
    simulated : array-like, (m,) float
        Scores of simulated errors.
    quantiles : sequence of float
        Quantiles of the simulated errors at which the fraction of errors is estimated.

    Returns
    -------
    ErrorThreshold

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> scores = np.concatenate([random.normal(5, 1, 950), random.normal(0, 1, 50)])
    >>> find_threshold(scores, random.normal(0, 1, 500)).found in range(45, 56)
    True
    """
    scores, simulated = np.sort(np.asarray(scores, np.float64)), np.sort(np.asarray(simulated, np.float64))
    nothing = ErrorThreshold(-np.inf, 0.0, 0, np.nan, 1.0)
    if not len(scores) or not len(simulated):
        return nothing
    share = _error_fraction(scores, simulated, quantiles)
    if not share:
        return nothing
    # Candidates are the simulated scores, because nothing distinguishes thresholds between two of them.
    recall = np.searchsorted(simulated, simulated, side="right") / len(simulated)
    below = np.searchsorted(scores, simulated, side="right")
    # The estimated number of errors may exceed the number of scores.
    right = np.where(below, np.minimum(1, share * len(scores) * recall / np.maximum(below, 1)), 0)
    best = int(np.argmax(right * recall / (right + recall)))
    found = int(below[best])
    if not found:
        return nothing
    return ErrorThreshold(float(simulated[best]), float(min(share, 1)), found, float(right[best]), 1 - float(recall[best]))


def _error_fraction(scores: np.ndarray, simulated: np.ndarray, quantiles: Sequence[float]) -> float:
    """Estimate the fraction of errors among the scores."""
    found = []
    for quantile in quantiles:
        limit = simulated[int(np.ceil(quantile * len(simulated))) - 1]
        count = int((scores <= limit).sum())
        found.append((count, count / len(scores) / (simulated <= limit).mean()))
    supported = [share for count, share in found if count >= _SUPPORT]
    return min(supported) if supported else found[-1][1]
