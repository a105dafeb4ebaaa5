"""Confidence intervals by a bootstrap over people, and the people that a set of pairs reveals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from gluonfr.core import DataError, UsageError, generator
from gluonfr.metrics.checks import check_seed, id_array, label_array
from gluonfr.metrics.lfw_protocol import best_thresholds
from gluonfr.metrics.operating_points import last_within
from gluonfr.metrics.roc import ROC

_STREAM = 401


@dataclass(frozen=True)
class Intervals:
    """Confidence intervals over people, see :func:`bootstrap_people`.

    Attributes
    ----------
    values : dict of str to (low, high)
        Intervals of `accuracy`, `auc`, `eer` and `tar@far=F`. (NaN, NaN) for a figure that no replicate changes, such as a
        TAR of 1: without an error, the sample does not show how rare errors are.
    people, replicates : int
        Number of people, and of bootstrap replicates.
    confidence : float
        Coverage of the intervals.

    Examples
    --------
    >>> Intervals({"auc": (0.91, 0.97)}, people=80, replicates=1000, confidence=0.95)
    Intervals: 95 %, 80 people, 1,000 replicates
      auc  0.91 to 0.97
    """

    values: dict[str, tuple[float, float]]
    people: int
    replicates: int
    confidence: float

    def __repr__(self) -> str:
        width = max(map(len, self.values), default=0)
        return "\n".join(
            [f"Intervals: {100 * self.confidence:g} %, {self.people:,} people, {self.replicates:,} replicates"]
            + [f"  {name:<{width}}  {low:.5g} to {high:.5g}" for name, (low, high) in self.values.items()]
        )


def bootstrap_people(
    distances: np.ndarray,
    issame: np.ndarray,
    people: Any,
    folds: np.ndarray,
    thresholds: np.ndarray,
    fars: Sequence[float] = (),
    replicates: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    progress: str | None = None,
) -> Intervals:
    """Estimate how far the figures of a set of pairs would vary with other people.

    Pairs that share a person are not independent, so a bootstrap over pairs gives intervals that are too narrow. Each
    replicate draws as many people as there are, with replacement. A genuine pair counts as often as its person was drawn,
    an impostor pair as often as the product of the counts of its two people (the vertex bootstrap of Snijders and
    Borgatti). The variance over the replicates gives Wilson's interval of each figure. Near 0 and 1, where face recognition
    operates, this covers the true value more often than the percentiles of the replicates (Fogliato, Patil and Perona,
    https://arxiv.org/abs/2306.01198).

    Parameters
    ----------
    distances : (N,) float
        Finite distances of the pairs.
    issame : (N,) bool
        True where the pair shows one person.
    people : (N, 2) int
        Number of the person on each image of a pair, from 0.
    folds : (N,) int
        Fold of each pair in the 10-fold accuracy.
    thresholds : (T,) float, increasing
        Grid of the 10-fold accuracy.
    fars : sequence of float, default ()
        Rates at which TAR is wanted; each replicate chooses its own threshold.
    replicates : int, default 1000
        Number of draws, at least 2.
    confidence : float, default 0.95
        Coverage of the intervals.
    seed : int, default 0
        Seed of the draws.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    Intervals

    Raises
    ------
    UsageError
        There are fewer than two people or two replicates.
    DataError
        A pair of one person is labeled different, or the reverse.

    Examples
    --------
    >>> import numpy as np
    >>> people = np.array([[0, 0], [1, 1], [2, 2], [0, 1], [0, 2], [1, 2]])
    >>> same, distances = people[:, 0] == people[:, 1], np.array([0.2, 1.0, 0.3, 1.4, 0.9, 1.8])
    >>> intervals = bootstrap_people(distances, same, people, np.arange(6) % 2, np.arange(0, 4, 0.1), replicates=50)
    >>> low, high = intervals.values["auc"]
    >>> 0 < low < high < 1
    True
    """
    people, seed = np.asarray(people), check_seed(seed)
    count = int(people.max()) + 1
    if count < 2 or replicates < 2:
        raise UsageError(f"a bootstrap over people needs two people and two replicates, got {count} and {replicates}.")
    wrong = np.flatnonzero((people[:, 0] == people[:, 1]) != issame)
    if len(wrong):
        raise DataError(
            f"pair {wrong[0]} is labeled {'the same person' if issame[wrong[0]] else 'different people'}, but its identities "
            f"{'differ' if issame[wrong[0]] else 'are equal'} ({len(wrong)} such pairs); correct the list of pairs."
        )
    order = np.argsort(distances, kind="stable")
    pairs = _SortedPairs(distances[order], issame[order], people[order], folds[order], thresholds)
    names = ["accuracy", "auc", "eer", *(f"tar@far={far:g}" for far in fars)]
    rows = np.empty((replicates, len(names)))
    for number in tqdm(range(replicates), desc=progress, unit="draw", disable=None if progress else True, leave=False):
        draws = generator(seed, _STREAM, number).integers(0, count, count)
        rows[number] = pairs.figures(np.bincount(draws, minlength=count).astype(np.float64), fars)
    estimates = pairs.figures(np.ones(count), fars)
    values = {name: _wilson(value, column, confidence) for name, value, column in zip(names, estimates, rows.T)}
    return Intervals(values, count, replicates, confidence)


def _wilson(rate: float, replicates: np.ndarray, confidence: float) -> tuple[float, float]:
    """Compute Wilson's interval of a rate for the number of independent trials whose variance is that of the replicates."""
    known = replicates[np.isfinite(replicates)]
    variance = np.var(known) if len(known) > 1 else 0.0
    if not (variance > 0 and 0 < rate < 1):
        return np.nan, np.nan
    trials = rate * (1 - rate) / variance
    z = stats.norm.ppf((1 + confidence) / 2)
    middle = rate + z * z / (2 * trials)
    reach = z * np.sqrt(rate * (1 - rate) / trials + (z / (2 * trials)) ** 2)
    low, high = (float((middle + side * reach) / (1 + z * z / trials)) for side in (-1, 1))
    return low, high


class _SortedPairs:
    """Pairs sorted by distance, with everything that does not change between replicates."""

    def __init__(
        self, distances: np.ndarray, issame: np.ndarray, people: np.ndarray, folds: np.ndarray, thresholds: np.ndarray
    ) -> None:
        self._first, self._second = people.T.copy()
        self._genuine = issame.astype(np.float64)
        self._ends = np.flatnonzero(np.append(distances[1:] != distances[:-1], True))
        self._thresholds = np.append(distances[self._ends], np.inf).astype(np.float64)
        self._nfolds, self._cells = int(folds.max()) + 1, len(thresholds) + 1
        first = np.searchsorted(thresholds.astype(distances.dtype), distances, side="right")
        self._cell = (2 * folds + issame) * self._cells + first

    def figures(self, counts: np.ndarray, fars: Sequence[float]) -> list[float]:
        """Compute accuracy, AUC, EER and TAR at each FAR, with people weighted by `counts`."""
        weights = counts[self._first] * np.where(self._genuine, 1.0, counts[self._second])
        genuine = weights * self._genuine
        roc = ROC(self._thresholds, self._accepted(genuine), self._accepted(weights - genuine))
        if not (roc.true_accepts[-1] and roc.false_accepts[-1]):
            return [np.nan] * (3 + len(fars))
        return [self._accuracy(weights), roc.auc, roc.eer, *(self._tar(roc, far) for far in fars)]

    def _accepted(self, weights: np.ndarray) -> np.ndarray:
        return np.concatenate(([0.0], np.cumsum(weights)[self._ends]))

    @staticmethod
    def _tar(roc: ROC, far: float) -> float:
        index = last_within(roc.false_accepts, far * roc.false_accepts[-1])
        return float(roc.true_accepts[index] / roc.true_accepts[-1])

    def _accuracy(self, weights: np.ndarray) -> float:
        cells = np.bincount(self._cell, weights, minlength=2 * self._nfolds * self._cells)
        accepted = np.cumsum(cells.reshape(self._nfolds, 2, self._cells), axis=2)
        totals = accepted[:, :, -1]
        right = accepted[:, 1, :-1] + totals[:, :1] - accepted[:, 0, :-1]
        best = best_thresholds(right)
        # Pooled over all folds: a share of one fold with few pairs would not reflect the weights.
        return float(right[np.arange(self._nfolds), best].sum() / totals.sum())


def linked_people(images: Any, issame: Any) -> np.ndarray | None:
    """Derive identities from a set of pairs: equal image files, and the two images of a genuine pair, show one person.

    Benchmarks in `.bin` format contain no identities. Two photos of one person that no pair links count as two people here.
    This makes intervals somewhat too narrow, but far less so than treating all pairs as independent.

    Parameters
    ----------
    images : array-like, (2 N,) int
        Number of the image file of each image; pair i consists of images 2 i and 2 i + 1.
    issame : array-like, (N,) bool
        True where the pair shows one person.

    Returns
    -------
    (N, 2) int or None
        Numbers of people from 0; None when an impostor pair would show one person, that is, when labels contradict.

    Examples
    --------
    >>> linked_people([0, 1, 1, 2, 0, 3], [1, 1, 0]).tolist()
    [[0, 0], [0, 0], [0, 1]]
    """
    numbers, same = id_array(images, "images", what="image"), label_array(issame)
    if len(numbers) != 2 * len(same) or not len(same):
        raise UsageError(f"got {len(numbers)} images for {len(same)} pairs; give two images per pair, and at least one pair.")
    images = np.unique(numbers, return_inverse=True)[1].reshape(-1, 2)
    count, links = int(images.max()) + 1, images[same]
    graph = coo_matrix((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(count, count))
    people = connected_components(graph, directed=False)[1][images]
    return None if (people[:, 0] == people[:, 1])[~same].any() else people
