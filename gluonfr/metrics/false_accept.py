"""False accept rates of one comparison and of a search, and the thresholds of a card between its points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gluonfr.core import UsageError


def far_from_fpir(fpir: float, photos: int) -> float:
    """Convert the false positive identification rate of a search among `photos` to the FAR of one comparison.

    Examples
    --------
    >>> round(far_from_fpir(0.01, 1000), 7)
    1.01e-05
    """
    return -math.expm1(math.log1p(-fpir) / photos)


def fpir_from_far(far: float, photos: int) -> float:
    """Convert the FAR of one comparison to the false positive identification rate of a search among `photos`.

    Examples
    --------
    >>> round(fpir_from_far(1e-5, 1000), 5)
    0.00995
    """
    return -math.expm1(photos * math.log1p(-far))


class FalseAcceptCurve:
    """FAR of a comparison as a function of the similarity, interpolated between the thresholds of a card.

    The interpolation is linear in the logarithm of the FAR. Beyond the lowest measured rate it gives a similarity that is a
    little too high, because the tail of impostor scores falls faster than an exponential.

    Parameters
    ----------
    thresholds : iterable of dict
        Entries of a card with `far` and `similarity`.

    Raises
    ------
    UsageError
        No entry has a finite similarity and a FAR above 0.

    Examples
    --------
    >>> curve = FalseAcceptCurve([{"far": 1e-2, "similarity": 0.3}, {"far": 1e-4, "similarity": 0.5}])
    >>> round(curve.similarity(1e-3), 3), round(curve.far(0.4), 6)
    (0.4, 0.001)
    """

    def __init__(self, thresholds: Iterable[Mapping[str, Any]]) -> None:
        points = {
            math.log(entry["far"]): entry["similarity"]
            for entry in thresholds
            if 0 < entry["far"] <= 1 and math.isfinite(entry["similarity"])
        }
        if not points:
            raise UsageError("thresholds: no entry has a finite similarity and a far above 0; measure thresholds first.")
        self._logs, self._similarities = (np.array(values, dtype=np.float64) for values in zip(*sorted(points.items())))

    def similarity(self, far: float) -> float:
        """Return the similarity above which comparisons have this FAR."""
        return float(self._interpolate(math.log(far), self._logs, self._similarities))

    def far(self, similarity: float) -> float:
        """Return the FAR of comparisons accepted above this similarity."""
        return min(1.0, math.exp(self._interpolate(similarity, self._similarities[::-1], self._logs[::-1])))

    @staticmethod
    def _interpolate(x: float, xs: np.ndarray, ys: np.ndarray) -> float:
        if len(xs) == 1:
            return float(ys[0])
        place = min(max(int(np.searchsorted(xs, x)), 1), len(xs) - 1)
        slope = (ys[place] - ys[place - 1]) / (xs[place] - xs[place - 1])
        return float(ys[place - 1] + slope * (x - xs[place - 1]))

    def __repr__(self) -> str:
        points = ", ".join(f"{math.exp(log):.3g}: {value:.4g}" for log, value in zip(self._logs, self._similarities))
        return f"FalseAcceptCurve(similarity at FAR {points})"
