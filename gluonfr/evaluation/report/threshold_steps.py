"""The thresholds of the slider on the page, with the decisions at each of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Callable, Tuple

import numpy as np

from gluonfr.metrics import PairEvaluation

_MOST = 600
_LEAST_SPAN = 0.02


# Similarity, distance, true accepts, false accepts.
_Point = Tuple[str, str, int, int]


@dataclass
class Steps:
    """Thresholds to choose from, strictest first, with their decisions.

    Attributes
    ----------
    similarity, distance : list of str
        The thresholds as text; the counts are those of exactly these numbers.
    true_accepts, false_accepts : list of int
    start : int
        Index of the production threshold, or of the most accurate one without a production threshold.

    Examples
    --------
    >>> steps = Steps(["0.9", "0.2"], ["0.2", "1.6"], [3, 9], [0, 4], start=0)
    >>> steps.true_accepts[steps.start]
    3
    """

    similarity: list[str]
    distance: list[str]
    true_accepts: list[int]
    false_accepts: list[int]
    start: int


def threshold_steps(evaluation: PairEvaluation) -> Steps:
    """Return at most 600 thresholds between accepting nothing and accepting everything.

    They are evenly spaced similarities with few decimals, and the threshold to start from.

    Parameters
    ----------
    evaluation : PairEvaluation

    Returns
    -------
    Steps

    Examples
    --------
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.linspace(0.01, 1.99, 100)
    >>> steps = threshold_steps(evaluate_pairs(distances, distances < 1))
    >>> steps.true_accepts[0], steps.true_accepts[-1], steps.false_accepts[-1]
    (0, 50, 50)
    """
    roc, factor = evaluation.verification.roc, 2 if evaluation.dist_type == 0 else 1
    # Thresholds are rounded to the type of the distances, as comparisons with them are.
    dtype = np.float32 if evaluation.distances.dtype in (np.float16, np.float32) else np.float64

    def place(distance: float) -> int:
        return int(np.searchsorted(roc.thresholds[:-1], float(dtype(distance)), side="left"))

    def point(similarity: float, decimals: int, distance: float | None = None) -> _Point:
        shown = _fixed(similarity, decimals)
        shown_distance = _fixed(factor * (1 - float(shown)) if distance is None else distance, decimals)
        index = place(float(shown_distance))
        return shown, shown_distance, int(roc.true_accepts[index]), int(roc.false_accepts[index])

    threshold = (evaluation.production or evaluation.verification).threshold
    # With enough decimals to distinguish it from the distances around it.
    for decimals in range(4, 17):
        start = point(1 - threshold / factor, decimals, threshold)
        if place(threshold) == place(float(start[1])) == place(factor * (1 - float(start[0]))):
            break

    points = {step[1]: step for step in _grid(roc.thresholds, factor, point) if float(step[1]) != float(start[1])}
    ordered = sorted([*points.values(), start], key=lambda step: float(step[1]))
    similarity, distance, true_accepts, false_accepts = (list(column) for column in zip(*ordered))
    return Steps(similarity, distance, true_accepts, false_accepts, ordered.index(start))


def _fixed(value: float, decimals: int) -> str:
    # Adding 0 turns -0 into 0.
    return f"{round(value, decimals) + 0.0:.{decimals}f}"


def _grid(thresholds: np.ndarray, factor: int, point: Callable[[float, int], _Point]) -> list[_Point]:
    low, high = 1 - thresholds[-2] / factor, 1 - thresholds[0] / factor
    spare = max(_LEAST_SPAN - (high - low), 0) / 2
    low, high = low - spare, high + spare
    step, exponent = _round_up((high - low) / (_MOST - 5))
    decimals = max(4, -exponent)
    first, last = math.floor(low / step) - 1, math.ceil(high / step)
    # Similarity 1 is distance 0, the smallest one.
    return [point(min(number * step, 1.0), decimals) for number in range(first, last + 1)]


def _round_up(value: float) -> tuple[float, int]:
    """Round up to 1, 2 or 5 times a power of ten; returns the result and the exponent."""
    exponent = math.floor(math.log10(value))
    factor = next(digit for digit in (1, 2, 5, 10) if digit * 10.0**exponent >= value * (1 - 1e-9))
    return factor * 10.0**exponent, exponent
