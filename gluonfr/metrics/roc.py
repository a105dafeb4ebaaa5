from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ROC:
    """The exact receiver operating characteristic of one set of pairs: every threshold that changes a decision.

    A pair is accepted as the same person iff `distance < threshold`. The points run from "accept nothing" to "accept
    everything"; pairs at one distance are accepted together, so M = number of distinct distances + 1.

    Attributes
    ----------
    thresholds : (M,) float64, increasing
        The distinct distances, then the next number above the largest.
    true_accepts, false_accepts : (M,) int64
        Genuine and impostor pairs accepted at each threshold; the last entries are the numbers of pairs of each kind.
    """

    thresholds: np.ndarray
    true_accepts: np.ndarray
    false_accepts: np.ndarray

    @property
    def genuine(self):
        """Number of pairs that show one person."""
        return int(self.true_accepts[-1])

    @property
    def impostors(self):
        """Number of pairs that show two people."""
        return int(self.false_accepts[-1])

    @property
    def tar(self):
        """(M,) float64, true accept rate (TPR); NaN without genuine pairs."""
        return rate(self.true_accepts, self.genuine)

    @property
    def far(self):
        """(M,) float64, false accept rate (FPR); NaN without impostor pairs."""
        return rate(self.false_accepts, self.impostors)

    @property
    def auc(self):
        """Area under the curve = P(genuine distance < impostor distance) + half the probability of a tie.

        NaN when either kind of pair is missing.
        """
        if not (self.genuine and self.impostors):
            return float("nan")
        steps = np.diff(self.false_accepts)
        twice = np.dot(steps, self.true_accepts[1:] + self.true_accepts[:-1])
        return float(twice / (2 * self.true_accepts[-1] * self.false_accepts[-1]))

    @property
    def eer(self):
        """Equal error rate: FAR where FAR = 1 - TAR, on the straight line between the two points around it.

        NaN when either kind of pair is missing.
        """
        if not (self.genuine and self.impostors):
            return float("nan")
        far, gap = self.far, self.far + self.tar - 1
        # The gap rises from -1 to 1, and the first point where it is not negative lies above the one before.
        after = max(int(np.searchsorted(gap, 0.0)), 1)
        part = -gap[after - 1] / (gap[after] - gap[after - 1])
        return float(far[after - 1] + part * (far[after] - far[after - 1]))

    def corners(self):
        """The same curve without the points inside its horizontal and vertical runs: a ROC, usually far shorter."""
        up = np.diff(self.true_accepts) > 0
        right = np.diff(self.false_accepts) > 0
        bend = (up[1:] != up[:-1]) | (right[1:] != right[:-1]) | (up[1:] & right[1:])
        keep = np.concatenate(([True], bend, [True]))
        return ROC(self.thresholds[keep], self.true_accepts[keep], self.false_accepts[keep])


def rate(counts, total):
    """`counts / total` as float64; NaN where there is nothing to count."""
    return counts / total if total else np.full(np.shape(counts), np.nan)


def roc_curve(distances, issame):
    """The exact ROC of pairs, from one sort.

    Inputs:
        - **distances**: (N,) finite floats, N >= 1; small means alike.
        - **issame**: (N,) bool.

    Outputs:
        - **roc**: :class:`ROC`.
    """
    order = np.argsort(distances, kind="stable")
    distances, issame = distances[order], issame[order]
    last_of_tie = np.flatnonzero(np.append(distances[1:] != distances[:-1], True))
    true_accepts = np.cumsum(issame, dtype=np.int64)[last_of_tie]
    false_accepts = last_of_tie + 1 - true_accepts
    beyond = np.nextafter(distances[-1], distances.dtype.type(np.inf))
    return ROC(
        np.append(distances[last_of_tie], beyond).astype(np.float64),
        np.concatenate(([0], true_accepts)),
        np.concatenate(([0], false_accepts)),
    )
