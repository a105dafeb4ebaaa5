"""The 10-fold 1:1 protocol of LFW: how the threshold of each fold is chosen, accuracy and TAR@FAR."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gluonfr.core import DataError, UsageError, check_integer, is_integer
from gluonfr.core.arguments import reject
from gluonfr.metrics.checks import as_array, float_array, label_array, rates
from gluonfr.metrics.operating_points import is_resolvable
from gluonfr.metrics.results import TarAtFar, VerificationResult
from gluonfr.metrics.roc import rate, roc_curve

ACCURACY_GRID = np.arange(0, 4, 0.01)
TAR_GRID = np.arange(0, 4, 0.001)
# Name and factor on the grids. The squared Euclidean distance of unit vectors is twice their cosine distance, so half the
# grid applies the same thresholds to the same pairs.
DISTANCES = (("squared Euclidean distance", 1.0), ("cosine distance", 0.5))


def evaluate_verification(
    distances: Any,
    issame: Any,
    nfolds: int = 10,
    thresholds: Any = None,
    far_target: Any = 1e-3,
    dist_type: int = 0,
) -> VerificationResult:
    """Evaluate distances by the 10-fold 1:1 protocol of LFW, with facenet's TAR@FAR.

    The folds are consecutive tenths of the pairs in their order (scikit-learn's `KFold(nfolds, shuffle=False)`). The
    threshold of each fold is chosen on the other folds. For the accuracy it is the first threshold of the grid with the
    highest accuracy. For TAR@FAR it is interpolated linearly between the last grid point with a FAR below the target and
    the first that reaches the target; when none reaches it, the threshold is 0, which accepts nothing. A pair is accepted
    iff `distance < threshold`, with the threshold rounded to the type of the distances. The cost is
    O(N log N + nfolds * T).

    Parameters
    ----------
    distances : array-like, (N,) float
        Finite and not negative, N >= nfolds; small means similar (pass `1 - score` for a cosine score).
    issame : array-like, (N,)
        True or 1 where the pair shows one person, else False or 0. If all pairs are of one kind, the accuracy is still
        defined, while auc, eer and whatever depends on the missing kind are NaN.
    nfolds : int, default 10
        Number of folds, at least 2.
    thresholds : array-like, (T,) increasing, default None
        Grid for both accuracy and TAR@FAR. None uses the protocol's `arange(0, 4, .01)` and `arange(0, 4, .001)`, halved
        for the cosine distance. A grid that begins above 0 is continued down to FAR 0 at 0.
    far_target : float or list of float, default 1e-3
        False accept rates F, 0 < F <= 1.
    dist_type : int, default 0
        0: squared Euclidean, 1: cosine distance; sets the default grid and the name in the result.

    Returns
    -------
    VerificationResult

    Raises
    ------
    UsageError
        An option is out of range, or the arrays have the wrong type or shape.
    DataError
        A distance is negative or not finite, or a label is neither 0 nor 1.

    Examples
    --------
    >>> result = evaluate_verification([0.3, 1.8, 0.5, 1.6] * 5, [1, 0, 1, 0] * 5, far_target=0.1)
    >>> result.accuracy, round(result.threshold, 2)
    (1.0, 0.51)
    """
    name, accuracy_grid, tar_grid, targets = check_protocol_options(nfolds, thresholds, far_target, dist_type)
    distances, issame = _check_pairs(distances, issame, nfolds)
    folds = _Folds(distances, issame, nfolds)
    roc = roc_curve(distances, issame)

    accepted = folds.accepted(accuracy_grid)
    right = accepted[:, 1] + folds.totals[:, :1] - accepted[:, 0]
    best = best_thresholds(right)
    fold_accuracies = right[np.arange(nfolds), best] / folds.totals.sum(axis=1)
    fpr, tpr = np.mean(accepted / np.maximum(folds.totals, 1)[:, :, None], axis=0)

    if thresholds is None:
        accepted = folds.accepted(tar_grid)
    return VerificationResult(
        distance=name,
        pairs=len(distances),
        genuine=roc.genuine,
        impostors=roc.impostors,
        accuracy=float(np.mean(fold_accuracies)),
        accuracy_std=float(np.std(fold_accuracies)),
        threshold=float(accuracy_grid[np.argmax(right.sum(axis=0))]),
        fold_accuracies=fold_accuracies,
        fold_thresholds=accuracy_grid[best],
        thresholds=accuracy_grid,
        tpr=tpr,
        fpr=fpr,
        tar_at_far=tuple(folds.tar_at_far(target, tar_grid, accepted[:, 0]) for target in targets),
        roc=roc,
        auc=roc.auc,
        eer=roc.eer,
        dprime=dprime(distances, issame),
    )


def best_thresholds(right: np.ndarray) -> np.ndarray:
    """Choose the threshold of each fold on the other folds: the first one with the most correct decisions.

    Parameters
    ----------
    right : (nfolds, T)
        Number (or weight) of correctly judged pairs of each fold at each threshold.

    Returns
    -------
    (nfolds,) int64
        Index of each fold's threshold.

    Examples
    --------
    >>> import numpy as np
    >>> best_thresholds(np.array([[1, 2, 0], [0, 3, 3]]))
    array([1, 1])
    """
    return np.argmax(right.sum(axis=0) - right, axis=1)


def dprime(distances: np.ndarray, issame: np.ndarray) -> float:
    """Compute the sensitivity index d' of genuine and impostor distances.

    It is |mean of genuine - mean of impostor distances| / root of the mean of their two variances.

    Parameters
    ----------
    distances : (N,) float
    issame : (N,) bool

    Returns
    -------
    float
        NaN when one kind of pair is missing; infinite when neither kind varies and the means differ.

    Examples
    --------
    >>> import numpy as np
    >>> dprime(np.array([1.0, 3.0, 5.0, 7.0]), np.array([True, True, False, False]))
    4.0
    """
    genuine, impostors = distances[issame], distances[~issame]
    if not (len(genuine) and len(impostors)):
        return math.nan
    gap = abs(np.mean(genuine, dtype=np.float64) - np.mean(impostors, dtype=np.float64))
    spread = math.sqrt((np.var(genuine, dtype=np.float64) + np.var(impostors, dtype=np.float64)) / 2)
    return float(gap / spread) if spread else (math.inf if gap else math.nan)


def check_protocol_options(
    nfolds: Any, thresholds: Any, far_target: Any, dist_type: Any
) -> tuple[str, np.ndarray, np.ndarray, tuple[float, ...]]:
    """Check the options of the protocol.

    Returns
    -------
    (str, (T,) float64, (T,) float64, tuple of float)
        Name of the distance, accuracy grid, TAR grid, and false accept rates.

    Examples
    --------
    >>> check_protocol_options(10, [0.5, 1.0], 1e-3, 1)
    ('cosine distance', array([0.5, 1. ]), array([0.5, 1. ]), (0.001,))
    """
    check_integer("nfolds", nfolds, 2)
    name, factor = DISTANCES[check_distance(dist_type)]
    far_targets = rates(far_target, "far_target")
    if thresholds is None:
        return name, ACCURACY_GRID * factor, TAR_GRID * factor, far_targets
    grid = as_array(thresholds, "thresholds")
    grid = grid.astype(np.float64) if grid.dtype.kind in "iuf" else np.empty(0)
    if grid.ndim != 1 or not grid.size or not np.isfinite(grid).all() or not (np.diff(grid) > 0).all():
        raise UsageError("thresholds must be finite and strictly increasing; give such a list, or None for the standard grid.")
    return name, grid, grid, far_targets


def check_distance(dist_type: Any) -> int:
    """Return a kind of distance, 0 or 1, or raise `UsageError`.

    Examples
    --------
    >>> check_distance(1)
    1
    """
    if not is_integer(dist_type) or dist_type not in (0, 1):
        reject("dist_type", "0 for squared Euclidean or 1 for cosine distance", dist_type)
    return int(dist_type)


def _check_pairs(distances: Any, issame: Any, nfolds: int) -> tuple[np.ndarray, np.ndarray]:
    distances = float_array(distances, "distances")
    issame = label_array(issame)
    if distances.ndim != 1 or len(distances) != len(issame):
        raise UsageError(f"distances {distances.shape} and issame {issame.shape} do not match; give one of each per pair.")
    if len(distances) < nfolds:
        raise UsageError(f"{len(distances)} pairs are too few for {nfolds} folds; give more pairs or a smaller nfolds.")
    if not (np.isfinite(distances).all() and distances.min() >= 0):
        raise DataError(
            "distances must be finite and not negative; check the embeddings, and convert similarities to 1 - similarity."
        )
    return distances, issame


def fold_starts(pairs: int, nfolds: int) -> np.ndarray:
    """Return the (nfolds + 1,) borders of consecutive folds; the first `pairs % nfolds` folds hold one more pair.

    Examples
    --------
    >>> fold_starts(11, 3)
    array([ 0,  4,  8, 11])
    """
    sizes = np.full(nfolds, pairs // nfolds)
    sizes[: pairs % nfolds] += 1
    return np.concatenate(([0], np.cumsum(sizes)))


def fold_numbers(pairs: int, nfolds: int) -> np.ndarray:
    """Return the fold of each pair, (pairs,) int64.

    Examples
    --------
    >>> fold_numbers(5, 2)
    array([0, 0, 0, 1, 1])
    """
    return np.repeat(np.arange(nfolds), np.diff(fold_starts(pairs, nfolds)))


class _Folds:
    """Pairs in consecutive folds."""

    def __init__(self, distances: np.ndarray, issame: np.ndarray, nfolds: int) -> None:
        self._distances, self._issame, self._nfolds = distances, issame, nfolds
        self._starts, self._fold = fold_starts(len(distances), nfolds), fold_numbers(len(distances), nfolds)
        kinds = (self._fold[~issame], self._fold[issame])
        # (nfolds, 2): impostor and genuine pairs of each fold.
        self.totals = np.stack([np.bincount(kind, minlength=nfolds) for kind in kinds], axis=1)

    def accepted(self, grid: np.ndarray) -> np.ndarray:
        """Count accepted pairs by fold, kind (impostor, genuine) and threshold: (nfolds, 2, T) int64."""
        cells = len(grid) + 1
        # Rounding keeps the grid in order, so the first threshold that accepts a pair is the first one above its distance.
        first = np.searchsorted(grid.astype(self._distances.dtype), self._distances, side="right")
        counts = np.bincount((2 * self._fold + self._issame) * cells + first, minlength=2 * self._nfolds * cells)
        return np.cumsum(counts.reshape(self._nfolds, 2, cells), axis=2)[:, :, :-1]

    def tar_at_far(self, target: float, grid: np.ndarray, false_accepts: np.ndarray) -> TarAtFar:
        """Measure TAR and FAR of each fold at the threshold that the other folds give for the target."""
        impostors, everywhere = int(self.totals[:, 0].sum()), false_accepts.sum(axis=0)
        thresholds, tars, fars = np.empty(self._nfolds), np.empty(self._nfolds), np.empty(self._nfolds)
        for fold, (start, stop) in enumerate(zip(self._starts, self._starts[1:])):
            others = everywhere - false_accepts[fold]
            thresholds[fold] = _threshold_at(target, grid, others, impostors - self.totals[fold, 0])
            accept = self._distances[start:stop] < self._distances.dtype.type(thresholds[fold])
            true_accepts = np.count_nonzero(accept & self._issame[start:stop])
            tars[fold] = rate(true_accepts, self.totals[fold, 1])
            fars[fold] = rate(np.count_nonzero(accept) - true_accepts, self.totals[fold, 0])
        if not impostors:
            tars[:] = np.nan
        known = tars[~np.isnan(tars)]
        return TarAtFar(
            target=target,
            tar=float(known.mean()) if len(known) else math.nan,
            tar_std=float(known.std()) if len(known) else math.nan,
            far=float(np.nanmean(fars)) if impostors else math.nan,
            threshold=_threshold_at(target, grid, everywhere, impostors),
            resolvable=is_resolvable(target, impostors) and impostors < len(self._distances),
            fold_tars=tars,
            fold_fars=fars,
            fold_thresholds=thresholds,
        )


def _threshold_at(target: float, grid: np.ndarray, false_accepts: np.ndarray, impostors: int) -> float:
    far = false_accepts / max(impostors, 1)
    reached = int(np.searchsorted(far, target))
    if reached == len(grid):
        return 0.0
    below = (far[reached - 1], grid[reached - 1]) if reached else (0.0, 0.0)
    return float(np.interp(target, (below[0], far[reached]), (below[1], grid[reached])))
