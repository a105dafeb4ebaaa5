from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

MOST = 600
_LEAST_SPAN = 0.02


@dataclass
class Steps:
    """Thresholds to choose from, strictest first, and what each decides.

    Attributes
    ----------
    similarity, distance : list of str
        The threshold as it is written; the counts are those of exactly this number.
    true_accepts, false_accepts : list of int
    start : int
        Place of the production threshold, or of the most accurate one where there is none.
    """

    similarity: list[str]
    distance: list[str]
    true_accepts: list[int]
    false_accepts: list[int]
    start: int


def threshold_steps(evaluation):
    """At most 600 thresholds between accepting nothing and accepting everything.

    They are evenly spaced round similarities, whose decimals can be written out, and the threshold to start from.

    Parameters
    ----------
    evaluation : PairEvaluation

    Returns
    -------
    Steps
    """
    roc, factor = evaluation.verification.roc, 2 if evaluation.dist_type == 0 else 1
    # Distances are compared in their own type, to which a threshold is rounded.
    dtype = np.float32 if evaluation.distances.dtype in (np.float16, np.float32) else np.float64

    def place(distance):
        return int(np.searchsorted(roc.thresholds[:-1], float(dtype(distance)), side="left"))

    def point(similarity, decimals, distance=None):
        similarity = _written(similarity, decimals)
        distance = _written(factor * (1 - float(similarity)) if distance is None else distance, decimals)
        decided = place(distance)
        return similarity, distance, int(roc.true_accepts[decided]), int(roc.false_accepts[decided])

    threshold = (evaluation.production or evaluation.verification).threshold
    # With so many decimals as tell it from the distances around it.
    for decimals in range(4, 17):
        start = point(1 - threshold / factor, decimals, threshold)
        if place(threshold) == place(start[1]) == place(factor * (1 - float(start[0]))):
            break

    points = {each[1]: each for each in _grid(roc.thresholds, factor, point)}
    points = {distance: each for distance, each in points.items() if float(distance) != float(start[1])}
    ordered = sorted([*points.values(), start], key=lambda each: float(each[1]))
    return Steps(*(list(column) for column in zip(*ordered)), start=ordered.index(start))


def _written(value, decimals) -> str:
    # Adding 0 takes the sign from a zero.
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def _grid(thresholds, factor, point):
    low, high = 1 - thresholds[-2] / factor, 1 - thresholds[0] / factor
    spare = max(_LEAST_SPAN - (high - low), 0) / 2
    low, high = low - spare, high + spare
    step, exponent = _round_up((high - low) / (MOST - 5))
    decimals = max(4, -exponent)
    first, last = math.floor(low / step) - 1, math.ceil(high / step)
    # No distance is below 0, which is similarity 1.
    return [point(min(number * step, 1.0), decimals) for number in range(first, last + 1)]


def _round_up(value):
    """-> the next of 1, 2, 5 times a power of ten, and that power's exponent."""
    exponent = math.floor(math.log10(value))
    factor = next(each for each in (1, 2, 5, 10) if each * 10.0**exponent >= value * (1 - 1e-9))
    return factor * 10.0**exponent, exponent
