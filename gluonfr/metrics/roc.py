"""The exact receiver operating characteristic (ROC) of a set of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gluonfr.core import UsageError


@dataclass(frozen=True)
class ROC:
    """Exact receiver operating characteristic of one set of pairs.

    It has one point for every threshold that changes a decision. A pair is accepted as the same person iff
    `distance < threshold`. The points run from "accept nothing" to "accept everything". Pairs with equal distances are
    accepted together, so M = number of distinct distances + 1.

    Attributes
    ----------
    thresholds : (M,) float64, increasing
        The distinct distances, then the next representable number above the largest.
    true_accepts, false_accepts : (M,) int64
        Genuine and impostor pairs accepted at each threshold; the last entries are the numbers of pairs of each kind.

    Examples
    --------
    >>> import numpy as np
    >>> roc = roc_curve(np.array([0.1, 0.4, 0.5, 0.9]), np.array([True, False, True, False]))
    >>> roc
    ROC(genuine=2, impostors=2, points=5, auc=0.75, eer=0.5)
    >>> roc.tar.tolist()
    [0.0, 0.5, 0.5, 1.0, 1.0]
    """

    thresholds: np.ndarray
    true_accepts: np.ndarray
    false_accepts: np.ndarray

    @property
    def genuine(self) -> int:
        """Number of pairs of one person."""
        return int(self.true_accepts[-1])

    @property
    def impostors(self) -> int:
        """Number of pairs of two people."""
        return int(self.false_accepts[-1])

    @property
    def tar(self) -> np.ndarray:
        """True accept rate (TPR), (M,) float64; NaN without genuine pairs."""
        return rate(self.true_accepts, self.genuine)

    @property
    def far(self) -> np.ndarray:
        """False accept rate (FPR), (M,) float64; NaN without impostor pairs."""
        return rate(self.false_accepts, self.impostors)

    @property
    def auc(self) -> float:
        """Area under the curve; NaN when either kind of pair is missing.

        It equals P(genuine distance < impostor distance) plus half the probability of a tie.
        """
        if not (self.genuine and self.impostors):
            return float("nan")
        steps = np.diff(self.false_accepts)
        twice = np.dot(steps, self.true_accepts[1:] + self.true_accepts[:-1])
        return float(twice / (2 * self.true_accepts[-1] * self.false_accepts[-1]))

    def partial_auc(self, max_far: float) -> float:
        """Return the mean TAR at FARs from 0 to `max_far`, in [0, 1]; NaN when either kind of pair is missing.

        The AUC is that up to a FAR of 1, most of which no application uses (https://doi.org/10.1177/0272989X8900900307).

        Parameters
        ----------
        max_far : float
            Above 0 and at most 1.

        Raises
        ------
        UsageError
            `max_far` is out of range.

        Examples
        --------
        >>> roc = roc_curve(np.array([0.1, 0.4, 0.5, 0.9]), np.array([True, False, True, False]))
        >>> roc.partial_auc(0.5), roc.partial_auc(1.0) == roc.auc
        (0.5, True)
        """
        if not 0 < max_far <= 1:
            raise UsageError(f"max_far={max_far!r} must be above 0 and at most 1.")
        if not (self.genuine and self.impostors):
            return float("nan")
        far, tar = self.far, self.tar
        inside = far < max_far
        after = int(inside.sum())
        part = (max_far - far[after - 1]) / (far[after] - far[after - 1])
        last = tar[after - 1] + part * (tar[after] - tar[after - 1])
        x, y = np.append(far[inside], max_far), np.append(tar[inside], last)
        return float(np.dot(np.diff(x), y[1:] + y[:-1]) / (2 * max_far))

    @property
    def eer(self) -> float:
        """Equal error rate: FAR where FAR = 1 - TAR; NaN when either kind of pair is missing.

        It is interpolated linearly between the two neighboring points of the curve.
        """
        if not (self.genuine and self.impostors):
            return float("nan")
        far, gap = self.far, self.far + self.tar - 1
        # The gap rises from -1 to 1, and the first point where it is not negative lies above the one before.
        after = max(int(np.searchsorted(gap, 0.0)), 1)
        part = -gap[after - 1] / (gap[after] - gap[after - 1])
        return float(far[after - 1] + part * (far[after] - far[after - 1]))

    def corners(self) -> ROC:
        """Return the same curve without the points inside its horizontal and vertical runs, usually far shorter."""
        up = np.diff(self.true_accepts) > 0
        right = np.diff(self.false_accepts) > 0
        bend = (up[1:] != up[:-1]) | (right[1:] != right[:-1]) | (up[1:] & right[1:])
        keep = np.concatenate(([True], bend, [True]))
        return ROC(self.thresholds[keep], self.true_accepts[keep], self.false_accepts[keep])

    def to_dict(self) -> dict[str, Any]:
        """Return the corners as a dict of arrays: thresholds, tar and far."""
        corners = self.corners()
        return {"thresholds": corners.thresholds, "tar": corners.tar, "far": corners.far}

    def __repr__(self) -> str:
        sizes = f"genuine={self.genuine}, impostors={self.impostors}, points={len(self.thresholds)}"
        return f"ROC({sizes}, auc={self.auc:.5g}, eer={self.eer:.5g})"


def rate(counts: Any, total: int) -> Any:
    """Return `counts / total` as float64; NaN where the total is 0.

    Examples
    --------
    >>> float(rate(3, 4))
    0.75
    """
    return counts / total if total else np.full(np.shape(counts), np.nan)


def roc_curve(distances: np.ndarray, issame: np.ndarray) -> ROC:
    """Compute the exact ROC of pairs from one sort.

    Parameters
    ----------
    distances : (N,) float
        Finite, N >= 1; a small distance means similar faces.
    issame : (N,) bool
        True where the pair shows one person.

    Returns
    -------
    ROC

    Examples
    --------
    >>> import numpy as np
    >>> roc_curve(np.array([0.1, 0.9]), np.array([True, False])).auc
    1.0
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
