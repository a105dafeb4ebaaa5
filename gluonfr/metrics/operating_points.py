"""Operating points: the exact ROC at a false accept rate, and the threshold for an application."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from gluonfr.core import UsageError
from gluonfr.metrics.roc import ROC

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


@dataclass(frozen=True)
class OperatingPoint:
    """The exact ROC at one false accept rate: the largest threshold that does not exceed the rate.

    Attributes
    ----------
    target : float
        Requested false accept rate.
    threshold : float
        Accept iff `distance < threshold`. It lies half way between the last accepted and the first rejected distance, so
        that rounding of either does not change a decision.
    similarity : float
        The threshold as a cosine: accept iff the cosine is above it.
    tar, far : float
        True and false accept rate there; `far <= target`.
    true_accepts, false_accepts, genuine, impostors : int
        The counts behind the rates.
    far_interval : (low, high)
        95 % interval of the false accept rate (Clopper and Pearson) for independent impostor pairs. Pairs that share people
        are not independent, and the rate is then less certain.
    resolvable : bool
        False when there are fewer impostor pairs than 1 / target, or pairs of one kind only. The threshold for this rate is
        then unknown: threshold, similarity, rates and interval are NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import roc_curve
    >>> roc = roc_curve(np.array([0.2, 0.4, 1.0, 1.2]), np.array([True, True, False, False]))
    >>> point = operating_point(roc, far=0.5)
    >>> round(point.threshold, 2), point.tar, point.far
    (1.1, 1.0, 0.5)
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


def operating_point(roc: ROC, far: float, dist_type: int = 0) -> OperatingPoint:
    """Find the operating point of a ROC at one false accept rate.

    Parameters
    ----------
    roc : ROC
    far : float
        Target, 0 < far <= 1.
    dist_type : int, default 0
        Kind of the ROC's distances: 0 squared Euclidean of unit vectors, 1 cosine distance. It is needed for `similarity`.

    Returns
    -------
    OperatingPoint

    Raises
    ------
    UsageError
        The rate is not above 0 and at most 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import roc_curve
    >>> roc = roc_curve(np.array([0.2, 1.0]), np.array([True, False]))
    >>> operating_point(roc, far=1e-3).resolvable
    False
    """
    if not 0 < far <= 1:
        raise UsageError(f"far is {far!r}; give a false accept rate above 0 and at most 1.")
    genuine, impostors = roc.genuine, roc.impostors
    if not genuine or not is_resolvable(far, impostors):
        nan = math.nan
        return OperatingPoint(far, nan, nan, nan, nan, 0, 0, genuine, impostors, (nan, nan), False)
    index = last_within(roc.false_accepts, far * impostors)
    threshold = _half_way(roc.thresholds, index)
    true_accepts, false_accepts = int(roc.true_accepts[index]), int(roc.false_accepts[index])
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


def is_resolvable(rate: float, trials: int) -> bool:
    """Return whether one error among `trials` is at most as frequent as `rate`.

    Examples
    --------
    >>> is_resolvable(1e-3, 1000), is_resolvable(1e-3, 999)
    (True, False)
    """
    return bool(trials * rate >= 1 - 1e-9)


def max_errors(rate: float, trials: int) -> int:
    """Return the largest number of errors among `trials` at a rate; rounding of `rate * trials` has no effect.

    Examples
    --------
    >>> max_errors(1e-3, 3000)
    3
    """
    return int(rate * trials * (1 + 1e-12) + 1e-9)


def last_within(false_accepts: np.ndarray, allowed: float) -> int:
    """Return the index of the last ROC point with at most `allowed` false accepts; rounding of `allowed` has no effect.

    Examples
    --------
    >>> import numpy as np
    >>> last_within(np.array([0, 0, 1, 2]), 1)
    2
    """
    return int(np.searchsorted(false_accepts, allowed * (1 + 1e-12) + 1e-9, side="right")) - 1


def _half_way(thresholds: np.ndarray, index: int) -> float:
    first_rejected = float(thresholds[index])
    if not index:
        return first_rejected
    last_accepted = float(thresholds[index - 1])
    middle = (last_accepted + first_rejected) / 2
    # Comparison with float32 distances rounds the threshold, which must not reach the last accepted distance.
    distinct = middle > last_accepted and np.float32(middle) > np.float32(last_accepted)
    return middle if distinct else first_rejected


def to_similarity(distance: float, dist_type: int = 0) -> float:
    """Convert a squared Euclidean distance of unit vectors (`dist_type` 0) or a cosine distance (1) to a cosine.

    Examples
    --------
    >>> to_similarity(1.0), to_similarity(0.25, dist_type=1)
    (0.5, 0.75)
    """
    return 1 - distance / 2 if dist_type == 0 else 1 - distance


def clopper_pearson(errors: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Compute the exact interval of an error rate from independent trials; (NaN, NaN) without trials.

    Examples
    --------
    >>> low, high = clopper_pearson(0, 100)
    >>> low, round(high, 4)
    (0.0, 0.0362)
    """
    if not trials:
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, errors, trials - errors + 1) if errors else 0.0
    high = stats.beta.ppf(1 - tail, errors + 1, trials - errors) if errors < trials else 1.0
    return float(low), float(high)


def production_point(points: Sequence[OperatingPoint], far: float = 1e-3) -> OperatingPoint | None:
    """Choose the operating point from which an application takes its threshold.

    Parameters
    ----------
    points : sequence of OperatingPoint
    far : float, default 1e-3
        Requested false accept rate.

    Returns
    -------
    OperatingPoint or None
        The point with the lowest rate that is at least `far` and that the pairs resolve; None when they resolve none.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import roc_curve
    >>> roc = roc_curve(np.linspace(0, 2, 200), np.arange(200) < 100)
    >>> production_point([operating_point(roc, far) for far in (1e-1, 1e-2, 1e-3)]).target
    0.01
    """
    usable = [point for point in points if point.resolvable and point.target >= far * (1 - 1e-9)]
    return min(usable, key=lambda point: point.target) if usable else None


def explain(point: OperatingPoint, measured_on: str, wanted: float | None = None) -> str:
    """Describe a threshold in sentences for the person who has to choose one.

    Parameters
    ----------
    point : OperatingPoint
    measured_on : str
        Name of the set of pairs.
    wanted : float, optional
        Requested rate, where the pairs do not resolve it.

    Returns
    -------
    str

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.metrics import roc_curve
    >>> roc = roc_curve(np.array([0.2, 1.0]), np.array([True, False]))
    >>> explain(operating_point(roc, far=1.0), "lfw").split(".")[0]
    'accept two photos as the same person when their similarity is above 0'
    """
    low, high = point.far_interval
    lines = [
        f"accept two photos as the same person when their similarity is above {point.similarity:.4f} "
        f"(distance below {point.threshold:.4f}).",
        f"On {measured_on} this accepted {point.false_accepts:,} of {point.impostors:,} pairs of different people "
        f"(FAR {point.far:.2g}, 95 % interval {low:.2g} to {high:.2g} if pairs were independent) and "
        f"{point.true_accepts:,} of {point.genuine:,} pairs of one person ({100 * point.tar:.2f} %).",
        f"Among 1,000 enrolled people, a stranger would match about {_count(1000 * point.far)}." if point.far else "",
        f"FAR {wanted:g} was requested, but {point.impostors:,} pairs of different people are too few for it."
        if wanted and wanted < point.target
        else "",
        "Other kinds of photos give other rates: measure on photos like yours.",
    ]
    return " ".join(line for line in lines if line)


def _count(number: Any) -> str:
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"
