"""False accept rates: of one comparison and of a search, and the thresholds of a card between its points."""

from __future__ import annotations

import math

import numpy as np


def per_pair(fpir, photos):
    """The false accept rate of one comparison at which a search among so many photos has this rate of false alarms."""
    return -math.expm1(math.log1p(-fpir) / photos)


def per_search(far, photos):
    """The rate of false alarms of a search among so many photos at this false accept rate of one comparison."""
    return -math.expm1(photos * math.log1p(-far))


class FalseAcceptCurve:
    """FAR of a pair and similarity, between and beyond the thresholds of a card: straight in the logarithm of the FAR.

    Beyond the rarest rate that was measured this is a little too high a similarity, because the tail of impostor scores falls
    faster than an exponential.
    """

    def __init__(self, thresholds) -> None:
        points = {math.log(each["far"]): each["similarity"] for each in thresholds if each["far"] > 0}
        self._logs, self._similarities = (np.array(each, dtype=np.float64) for each in zip(*sorted(points.items())))

    def similarity(self, far):
        return float(self._at(math.log(far), self._logs, self._similarities))

    def far(self, similarity):
        return min(1.0, math.exp(self._at(similarity, self._similarities[::-1], self._logs[::-1])))

    @staticmethod
    def _at(x, xs, ys):
        if len(xs) == 1:
            return ys[0]
        place = min(max(np.searchsorted(xs, x), 1), len(xs) - 1)
        slope = (ys[place] - ys[place - 1]) / (xs[place] - xs[place - 1])
        return ys[place - 1] + slope * (x - xs[place - 1])
