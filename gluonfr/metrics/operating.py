from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class OperatingPoint:
    """The exact ROC at one false accept rate: the most that can be accepted without exceeding it.

    Attributes
    ----------
    target : float
        The false accept rate asked for.
    threshold : float
        Accept iff `distance < threshold`. It lies half way between the last distance accepted and the first one rejected,
        so that it does not hang on the last digit of either.
    similarity : float
        The same as a cosine: accept iff `similarity > this`.
    tar, far : float
        True and false accept rate there; `far <= target`.
    true_accepts, false_accepts, genuine, impostors : int
        The pairs behind them.
    far_interval : (low, high)
        95 % interval of the false accept rate (Clopper and Pearson), as if the impostor pairs were independent. Pairs that
        share people are not, and the truth is then less certain still.
    resolvable : bool
        False when there are fewer impostor pairs than 1 / target, or pairs of one kind only: no threshold can then be told
        for this rate, and threshold, similarity, rates and interval are NaN.
    """

    target: float
    threshold: float
    similarity: float
    tar: float
    far: float
    true_accepts: int
    false_accepts: int
    genuine: int
    impostors: int
    far_interval: tuple[float, float]
    resolvable: bool


def operating_point(roc, far, dist_type=0):
    """The :class:`OperatingPoint` of a ROC at one false accept rate.

    Parameters
    ----------
    roc : ROC
    far : float
        Target, 0 < far <= 1.
    dist_type : int, default 0
        What the ROC's distances are: 0 squared Euclidean of unit vectors, 1 cosine distance; decides `similarity`.
    """
    genuine, impostors = roc.genuine, roc.impostors
    if not genuine or not can_resolve(far, impostors):
        nan = math.nan
        return OperatingPoint(far, nan, nan, nan, nan, 0, 0, genuine, impostors, (nan, nan), False)
    place = last_within(roc.false_accepts, far * impostors)
    threshold = _half_way(roc.thresholds, place)
    true_accepts, false_accepts = int(roc.true_accepts[place]), int(roc.false_accepts[place])
    return OperatingPoint(
        target=far,
        threshold=threshold,
        similarity=to_similarity(threshold, dist_type),
        tar=true_accepts / genuine,
        far=false_accepts / impostors,
        true_accepts=true_accepts,
        false_accepts=false_accepts,
        genuine=genuine,
        impostors=impostors,
        far_interval=clopper_pearson(false_accepts, impostors),
        resolvable=True,
    )


def can_resolve(far, impostors):
    """Whether one false accept among so many impostor pairs is as rare as `far`."""
    return bool(impostors * far >= 1 - 1e-9)


def most_allowed(rate, trials):
    """How many of so many trials may pass at a rate; rounding of `rate * trials` does not count."""
    return int(rate * trials * (1 + 1e-12) + 1e-9)


def last_within(false_accepts, allowed):
    """Place of the last ROC point with at most `allowed` false accepts; rounding of `far * impostors` does not count."""
    return int(np.searchsorted(false_accepts, allowed * (1 + 1e-12) + 1e-9, side="right")) - 1


def _half_way(thresholds, place):
    first_rejected = float(thresholds[place])
    if not place:
        return first_rejected
    last_accepted = float(thresholds[place - 1])
    middle = (last_accepted + first_rejected) / 2
    # Compared with float32 distances the threshold is rounded, which must not carry it down to the last one accepted.
    told_apart = middle > last_accepted and np.float32(middle) > np.float32(last_accepted)
    return middle if told_apart else first_rejected


def to_similarity(distance, dist_type=0):
    """Cosine at a squared Euclidean distance of unit vectors (`dist_type` 0) or at a cosine distance (1)."""
    return 1 - distance / 2 if dist_type == 0 else 1 - distance


def clopper_pearson(errors, trials, confidence=0.95):
    """Exact interval of a rate from independent trials: (low, high); (NaN, NaN) without trials."""
    if not trials:
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, errors, trials - errors + 1) if errors else 0.0
    high = stats.beta.ppf(1 - tail, errors + 1, trials - errors) if errors < trials else 1.0
    return float(low), float(high)


def _count(number) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def production_point(points, far=1e-3):
    """The point to take a threshold for an application from, out of several.

    Parameters
    ----------
    points : sequence of OperatingPoint
    far : float, default 1e-3
        The false accept rate wanted.

    Returns
    -------
    OperatingPoint or None
        The rarest rate that is not rarer than `far` and that the pairs resolve; None when they resolve none of those.
    """
    usable = [point for point in points if point.resolvable and point.target >= far * (1 - 1e-9)]
    return min(usable, key=lambda point: point.target) if usable else None


def explain(point, measured_on, wanted=None):
    """What a threshold means, in sentences for the person who has to choose one.

    Parameters
    ----------
    point : OperatingPoint
    measured_on : str
        Name of the set of pairs.
    wanted : float, optional
        The rate that was asked for where the pairs do not resolve it.

    Returns
    -------
    str
    """
    low, high = point.far_interval
    lines = [
        f"take two photos for one person when their similarity is above {point.similarity:.4f} "
        f"(distance below {point.threshold:.4f}).",
        f"On {measured_on} that took {point.false_accepts:,} of {point.impostors:,} pairs of different people for one "
        f"(FAR {point.far:.2g}, 95 % interval {low:.2g} to {high:.2g} if pairs were independent) and recognized "
        f"{point.true_accepts:,} of {point.genuine:,} pairs of one person ({100 * point.tar:.2f} %).",
        f"Among 1,000 people a stranger would be taken for about {_count(1000 * point.far)} of them." if point.far else "",
        f"FAR {wanted:g} was wanted, for which {point.impostors:,} pairs of different people are too few."
        if wanted and wanted < point.target
        else "",
        "Photos unlike these give other rates: measure on some like yours.",
    ]
    return " ".join(line for line in lines if line)
