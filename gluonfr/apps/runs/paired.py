"""Whether two runs differ on the same pairs: confidence intervals and paired tests."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from gluonfr.core import DataError, read_npz
from gluonfr.metrics import evaluate_verification
from gluonfr.metrics.lfw_protocol import fold_numbers

PAIRS = "pairs.npz"
_REPLICATES = 10_000
_FOLDS = 10


@dataclass
class SetResult:
    """The last validation of a run on one set.

    Attributes
    ----------
    accuracy : float
        Mean over the folds.
    low, high : float
        95 % confidence interval of the accuracy (Wilson), with the pairs as independent trials.
    auc : float
    right : (N,) bool
        Whether each pair was decided correctly, with the threshold of its fold.
    issame : (N,) bool

    Examples
    --------
    >>> evaluate(np.array([0.2, 1.8] * 10), np.array([True, False] * 10)).accuracy
    1.0
    """

    accuracy: float
    low: float
    high: float
    auc: float
    right: np.ndarray
    issame: np.ndarray


@dataclass
class PairedTest:
    """Comparison of two runs on the same pairs.

    Attributes
    ----------
    difference : float
        Accuracy of the first minus that of the second.
    low, high : float
        95 % confidence interval of the difference, by a bootstrap over pairs.
    first_only, second_only : int
        Pairs that only the first or only the second run decides correctly.
    p_value : float
        Of McNemar's exact test: the chance of so unequal numbers, or more unequal ones, if both runs were equally good.

    Examples
    --------
    >>> right = np.arange(100) < 90
    >>> paired_test(right, right).p_value
    1.0
    """

    difference: float
    low: float
    high: float
    first_only: int
    second_only: int
    p_value: float

    @property
    def is_real(self) -> bool:
        """Whether the difference is significant at 5 %."""
        return self.p_value < 0.05


def read_results(folder: str) -> dict[str, SetResult]:
    """Return the results by set from the pairs that a run has stored; none for runs without them.

    Examples
    --------
    >>> read_results("runs/missing")
    {}
    """
    try:
        arrays = read_npz(os.path.join(folder, PAIRS), "the distances of pairs")
    except DataError:
        return {}
    found = {}
    for name, distances in arrays.items():
        issame = arrays.get(name[: -len("distances")] + "issame")
        if name.endswith("/distances") and issame is not None and _is_valid(distances, issame):
            found[name[: -len("/distances")]] = evaluate(distances, issame.astype(bool))
    return found


def evaluate(distances: np.ndarray, issame: np.ndarray) -> SetResult:
    """Return the result of the 10-fold protocol with the decision of every pair.

    Examples
    --------
    >>> result = evaluate(np.array([0.2, 1.8] * 10), np.array([True, False] * 10))
    >>> result.right.all(), result.high
    (True, 1.0)
    """
    result = evaluate_verification(distances, issame, _FOLDS)
    thresholds = result.fold_thresholds[fold_numbers(len(issame), _FOLDS)]
    right = (distances < thresholds) == issame
    interval = stats.binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    return SetResult(result.accuracy, float(interval.low), float(interval.high), result.auc, right, issame)


def paired_test(first: np.ndarray, second: np.ndarray, seed: int = 0) -> PairedTest:
    """Compare the decisions of two runs on the same pairs.

    Parameters
    ----------
    first, second : (N,) bool
        Whether each pair was decided correctly.
    seed : int, default 0
        Seed of the bootstrap.

    Examples
    --------
    >>> first = np.arange(100) < 90
    >>> test = paired_test(first, np.arange(100) < 70)
    >>> test.first_only, test.second_only, test.is_real
    (20, 0, True)
    """
    first_only, second_only = int((first & ~second).sum()), int((second & ~first).sum())
    count = len(first)
    # A resampled difference depends only on how often pairs of each kind were drawn.
    shares = [first_only / count, second_only / count, max(0.0, 1 - (first_only + second_only) / count)]
    draws = np.random.RandomState(seed).multinomial(count, shares, size=_REPLICATES)
    low, high = np.percentile((draws[:, 0] - draws[:, 1]) / count, [2.5, 97.5])
    unequal = first_only + second_only
    p_value = float(stats.binomtest(first_only, unequal).pvalue) if unequal else 1.0
    return PairedTest((first_only - second_only) / count, float(low), float(high), first_only, second_only, p_value)


def _is_valid(distances: Any, issame: Any) -> bool:
    fits = distances.ndim == issame.ndim == 1 and len(distances) == len(issame) >= _FOLDS
    return fits and distances.dtype.kind == "f" and issame.dtype.kind in "biu" and bool(np.isfinite(distances).all())
