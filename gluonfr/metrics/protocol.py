from __future__ import annotations

import math

import numpy as np

from gluonfr.core import GluonFRError
from gluonfr.metrics.operating import can_resolve
from gluonfr.metrics.result import TarAtFar, VerificationResult
from gluonfr.metrics.roc import rate, roc_curve

ACCURACY_GRID = np.arange(0, 4, 0.01)
TAR_GRID = np.arange(0, 4, 0.001)
# Name and the factor on the grids. Of unit vectors the squared Euclidean distance is twice the cosine distance, so half
# the grid puts the same thresholds on the same pairs.
DISTANCES = (("squared Euclidean distance", 1.0), ("cosine distance", 0.5))


def verification(distances, issame, nfolds=10, thresholds=None, far_target=1e-3, dist_type=0):
    """The 1:1 protocol of LFW, and facenet's TAR@FAR, on distances.

    The folds are consecutive tenths of the pairs in their order (scikit-learn's `KFold(nfolds, shuffle=False)`). For
    each fold the threshold is chosen on the others: the first of the grid with the highest accuracy; for TAR@FAR the one
    interpolated linearly between the last grid point whose FAR lies below the target and the first that reaches it, and
    0, which accepts nothing, when none reaches it. A pair is accepted iff `distance < threshold`, the threshold rounded
    to the type of the distances. Costs O(N log N + nfolds * T).

    Parameters
    ----------
    distances : array-like, (N,) float
        Finite and not negative, N >= nfolds; small means alike (pass `1 - score` for a cosine score).
    issame : array-like, (N,)
        True or 1 where the pair shows one person, else False or 0. If all pairs are of one kind the accuracy is
        still defined, while auc, eer and what rests on the missing kind are NaN.
    nfolds : int, default 10
        At least 2.
    thresholds : array-like, (T,) increasing, default None
        Grid for both accuracy and TAR@FAR. None takes the protocol's `arange(0, 4, .01)` and `arange(0, 4, .001)`,
        halved for the cosine distance. A grid that begins above 0 is taken to continue down to FAR 0 at 0.
    far_target : float or list of float, default 1e-3
        False accept rates, 0 < F <= 1.
    dist_type : int, default 0
        0: squared Euclidean, 1: cosine distance; decides the default grid and the name in the result.

    Returns
    -------
    VerificationResult

    Raises GluonFRError for anything else.
    """
    name, accuracy_grid, tar_grid, targets = check_options(nfolds, thresholds, far_target, dist_type)
    distances, issame = _checked_pairs(distances, issame, nfolds)
    starts = fold_starts(len(distances), nfolds)
    folds = fold_numbers(len(distances), nfolds)
    roc = roc_curve(distances, issame)

    accepted = _accepted(distances, issame, folds, nfolds, accuracy_grid)
    totals = np.stack([np.bincount(folds[~issame], minlength=nfolds), np.bincount(folds[issame], minlength=nfolds)], axis=1)
    right = accepted[:, 1] + totals[:, :1] - accepted[:, 0]
    best = np.argmax(right.sum(axis=0) - right, axis=1)
    fold_accuracies = right[np.arange(nfolds), best] / totals.sum(axis=1)
    fpr, tpr = np.mean(accepted / np.maximum(totals, 1)[:, :, None], axis=0)

    if thresholds is None:
        accepted = _accepted(distances, issame, folds, nfolds, tar_grid)
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
        tar_at_far=tuple(
            _tar_at_far(target, tar_grid, accepted[:, 0], totals, distances, issame, starts) for target in targets
        ),
        roc=roc,
        auc=roc.auc,
        eer=roc.eer,
        dprime=dprime(distances, issame),
    )


def dprime(distances, issame):
    """Sensitivity d' = |mean of genuine - mean of impostor distances| / root of the mean of their two variances.

    Inputs:
        - **distances**: (N,) float; **issame**: (N,) bool.

    Outputs:
        - **dprime**: float; NaN when one kind of pair is missing, infinite when neither kind varies and the means differ.
    """
    genuine, impostors = distances[issame], distances[~issame]
    if not (len(genuine) and len(impostors)):
        return math.nan
    gap = abs(np.mean(genuine, dtype=np.float64) - np.mean(impostors, dtype=np.float64))
    spread = math.sqrt((np.var(genuine, dtype=np.float64) + np.var(impostors, dtype=np.float64)) / 2)
    return float(gap / spread) if spread else (math.inf if gap else math.nan)


def check_options(nfolds, thresholds, far_target, dist_type):
    """Check the protocol's options; returns (name of the distance, accuracy grid, TAR grid, tuple of FARs)."""
    if not _is_whole(nfolds) or nfolds < 2:
        raise GluonFRError(f"nfolds is {nfolds!r}; give a whole number of at least 2.")
    if not _is_whole(dist_type) or dist_type not in (0, 1):
        raise GluonFRError(f"dist_type is {dist_type!r}; give 0 for squared Euclidean or 1 for cosine distance.")
    name, factor = DISTANCES[dist_type]
    targets = _numbers(far_target)
    if targets.ndim > 1 or not targets.size or not ((targets > 0) & (targets <= 1)).all():
        raise GluonFRError(
            f"far_target is {far_target!r}; give one false accept rate or a list of them, above 0 and at most 1."
        )
    targets = tuple(targets.ravel().tolist())
    if thresholds is None:
        return name, ACCURACY_GRID * factor, TAR_GRID * factor, targets
    grid = _numbers(thresholds)
    if grid.ndim != 1 or not grid.size or not np.isfinite(grid).all() or not (np.diff(grid) > 0).all():
        raise GluonFRError("thresholds must be finite numbers, each above the one before; or give None for the usual grid.")
    return name, grid, grid, targets


def _is_whole(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _numbers(values):
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty(0)


def _checked_pairs(distances, issame, nfolds):
    distances = float_array(distances, "distances")
    issame = label_array(issame)
    if distances.ndim != 1 or len(distances) != len(issame):
        raise GluonFRError(
            f"distances {distances.shape} and issame {issame.shape} do not match; give one of each for every pair."
        )
    if len(distances) < nfolds:
        raise GluonFRError(f"{len(distances)} pairs are too few for {nfolds} folds; give more pairs or a smaller nfolds.")
    if not (np.isfinite(distances).all() and distances.min() >= 0):
        raise GluonFRError("distances must be finite and not negative; check the embeddings, and turn scores into 1 - score.")
    return distances, issame


def float_array(values, name):
    """`values` as a float32 or float64 array: these types are kept, float16 becomes float32, integers float64."""
    values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise GluonFRError(f"{name} has type {values.dtype}; give an array of real numbers.")
    if values.dtype in (np.float32, np.float64):
        return values
    return values.astype(np.float32 if values.dtype == np.float16 else np.float64)


def label_array(labels):
    """`labels` as (N,) bool; anything but 0 and 1 is an error."""
    labels = np.asarray(labels)
    if labels.ndim != 1:
        raise GluonFRError(f"issame labels have shape {labels.shape}; give one dimension, one label for each pair.")
    if labels.dtype.kind not in "fiub":
        raise GluonFRError(f"issame labels have type {labels.dtype}; give 0 or 1 (False or True) for each pair.")
    wrong = labels[(labels != 0) & (labels != 1)]
    if len(wrong):
        raise GluonFRError(f"issame labels must be 0 or 1 (False or True), but one is {wrong[0]}; check the pairs' labels.")
    return labels.astype(bool)


def fold_starts(pairs, nfolds):
    """(nfolds + 1,) where consecutive folds begin and end; the first `pairs % nfolds` folds hold one pair more."""
    sizes = np.full(nfolds, pairs // nfolds)
    sizes[: pairs % nfolds] += 1
    return np.concatenate(([0], np.cumsum(sizes)))


def fold_numbers(pairs, nfolds):
    """(pairs,) int64, the fold of each pair."""
    return np.repeat(np.arange(nfolds), np.diff(fold_starts(pairs, nfolds)))


def _accepted(distances, issame, folds, nfolds, grid):
    """Accepted pairs by fold, kind (impostor, genuine) and threshold: (nfolds, 2, T) int64."""
    cells = len(grid) + 1
    # Rounding keeps the grid in order, so the first threshold that accepts a pair is the first one above its distance.
    first = np.searchsorted(grid.astype(distances.dtype), distances, side="right")
    counts = np.bincount((2 * folds + issame) * cells + first, minlength=2 * nfolds * cells)
    return np.cumsum(counts.reshape(nfolds, 2, cells), axis=2)[:, :, :-1]


def _tar_at_far(target, grid, false_accepts, totals, distances, issame, starts):
    nfolds, impostors = len(totals), totals[:, 0].sum()
    everywhere = false_accepts.sum(axis=0)
    thresholds, tars, fars = np.empty(nfolds), np.empty(nfolds), np.empty(nfolds)
    for fold, (start, stop) in enumerate(zip(starts, starts[1:])):
        thresholds[fold] = _threshold_at(target, grid, everywhere - false_accepts[fold], impostors - totals[fold, 0])
        accept = distances[start:stop] < distances.dtype.type(thresholds[fold])
        true_accepts = np.count_nonzero(accept & issame[start:stop])
        tars[fold] = rate(true_accepts, totals[fold, 1])
        fars[fold] = rate(np.count_nonzero(accept) - true_accepts, totals[fold, 0])
    if not impostors:
        tars[:] = np.nan
    known = tars[~np.isnan(tars)]
    return TarAtFar(
        target=target,
        tar=float(known.mean()) if len(known) else math.nan,
        tar_std=float(known.std()) if len(known) else math.nan,
        far=float(np.nanmean(fars)) if impostors else math.nan,
        threshold=_threshold_at(target, grid, everywhere, impostors),
        resolvable=bool(can_resolve(target, impostors) and impostors < len(distances)),
        fold_tars=tars,
        fold_fars=fars,
        fold_thresholds=thresholds,
    )


def _threshold_at(target, grid, false_accepts, impostors):
    far = false_accepts / max(impostors, 1)
    reached = int(np.searchsorted(far, target))
    if reached == len(grid):
        return 0.0
    below = (far[reached - 1], grid[reached - 1]) if reached else (0.0, 0.0)
    return float(np.interp(target, (below[0], far[reached]), (below[1], grid[reached])))
