from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from tqdm import tqdm

from gluonfr.core import GluonFRError, generator
from gluonfr.metrics.operating import last_within
from gluonfr.metrics.roc import ROC

_STREAM = 401


@dataclass(frozen=True)
class Intervals:
    """Intervals over people, see :func:`bootstrap_people`.

    Attributes
    ----------
    values : dict of str to (low, high)
        Of `accuracy`, `auc`, `eer` and `tar@far=F`; (NaN, NaN) for a figure that no draw changes, such as a TAR of 1: where
        there is no error, the people cannot say how rare errors are.
    people, replicates : int
    confidence : float
    """

    values: dict[str, tuple[float, float]]
    people: int
    replicates: int
    confidence: float


def bootstrap_people(
    distances, issame, people, folds, thresholds, fars=(), replicates=1000, confidence=0.95, seed=0, progress=None
):
    """How far the figures of a set of pairs would move with other people: a bootstrap that draws people, not pairs.

    Pairs that share a person are not independent, so drawing pairs gives intervals that are too narrow. Each replicate
    draws as many people as there are, with replacement; a genuine pair counts as often as its person was drawn, an
    impostor pair as often as the product of its two people's counts (the vertex bootstrap of Snijders and Borgatti). The
    variance over the replicates makes Wilson's interval of each figure. Near 0 and 1, where face recognition lives, that
    holds the truth more often than the replicates' percentiles do (Fogliato, Patil and Perona,
    https://arxiv.org/abs/2306.01198).

    Parameters
    ----------
    distances : (N,) float
    issame : (N,) bool
    people : (N, 2) int
        Number of the person on each image of a pair, from 0.
    folds : (N,) int
        Of the 10-fold accuracy.
    thresholds : (T,) float, increasing
        Grid of the 10-fold accuracy.
    fars : sequence of float
        Rates at which TAR is wanted, the threshold being found anew in each replicate.
    replicates : int, default 1000
    confidence : float, default 0.95
    seed : int, default 0
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    Intervals

    Raises
    ------
    GluonFRError
        Fewer than two people, fewer than two replicates, or one person on a pair that is called different (or the reverse).
    """
    people = np.asarray(people)
    count = int(people.max()) + 1
    if count < 2 or replicates < 2:
        raise GluonFRError(f"a bootstrap over people needs two people and two replicates, got {count} and {replicates}.")
    wrong = np.flatnonzero((people[:, 0] == people[:, 1]) != issame)
    if len(wrong):
        raise GluonFRError(
            f"pair {wrong[0]} is called {'the same person' if issame[wrong[0]] else 'different people'}, while its identities "
            f"say otherwise ({len(wrong)} pairs in all); correct the list of pairs."
        )
    order = np.argsort(distances, kind="stable")
    sorted_pairs = _Sorted(distances[order], issame[order], people[order], folds[order], thresholds)
    names = ["accuracy", "auc", "eer", *(f"tar@far={far:g}" for far in fars)]
    rows = np.empty((replicates, len(names)))
    for number in tqdm(range(replicates), desc=progress, unit="draw", disable=None if progress else True, leave=False):
        draws = generator(seed, _STREAM, number).integers(0, count, count)
        rows[number] = sorted_pairs.figures(np.bincount(draws, minlength=count).astype(np.float64), fars)
    whole = sorted_pairs.figures(np.ones(count), fars)
    values = {name: _wilson(value, column, confidence) for name, value, column in zip(names, whole, rows.T)}
    return Intervals(values, count, replicates, confidence)


def _wilson(rate, replicates, confidence):
    """Wilson's interval of a rate for as many independent trials as would vary as much as the replicates do."""
    known = replicates[np.isfinite(replicates)]
    variance = np.var(known) if len(known) > 1 else 0.0
    if not (variance > 0 and 0 < rate < 1):
        return np.nan, np.nan
    trials = rate * (1 - rate) / variance
    z = stats.norm.ppf((1 + confidence) / 2)
    middle = rate + z * z / (2 * trials)
    reach = z * np.sqrt(rate * (1 - rate) / trials + (z / (2 * trials)) ** 2)
    return tuple(float((middle + side * reach) / (1 + z * z / trials)) for side in (-1, 1))


class _Sorted:
    """Pairs by distance; what does not change between replicates."""

    def __init__(self, distances, issame, people, folds, thresholds) -> None:
        self._first, self._second = people.T.copy()
        self._genuine = issame.astype(np.float64)
        self._ends = np.flatnonzero(np.append(distances[1:] != distances[:-1], True))
        self._thresholds = np.append(distances[self._ends], np.inf).astype(np.float64)
        self._nfolds, self._cells = int(folds.max()) + 1, len(thresholds) + 1
        first = np.searchsorted(thresholds.astype(distances.dtype), distances, side="right")
        self._cell = (2 * folds + issame) * self._cells + first

    def figures(self, counts, fars):
        weights = counts[self._first] * np.where(self._genuine, 1.0, counts[self._second])
        genuine = weights * self._genuine
        roc = ROC(self._thresholds, self._accepted(genuine), self._accepted(weights - genuine))
        if not (roc.true_accepts[-1] and roc.false_accepts[-1]):
            return [np.nan] * (3 + len(fars))
        return [self._accuracy(weights), roc.auc, roc.eer, *(self._tar(roc, far) for far in fars)]

    def _accepted(self, weights):
        return np.concatenate(([0.0], np.cumsum(weights)[self._ends]))

    def _tar(self, roc, far):
        place = last_within(roc.false_accepts, far * roc.false_accepts[-1])
        return roc.true_accepts[place] / roc.true_accepts[-1]

    def _accuracy(self, weights):
        cells = np.bincount(self._cell, weights, minlength=2 * self._nfolds * self._cells)
        accepted = np.cumsum(cells.reshape(self._nfolds, 2, self._cells), axis=2)
        totals = accepted[:, :, -1]
        right = accepted[:, 1, :-1] + totals[:, :1] - accepted[:, 0, :-1]
        best = np.argmax(right.sum(axis=0) - right, axis=1)
        held = totals.sum(axis=1)
        # Over all folds together: with a pair or two of a kind in a fold, its own share would not feel the weights.
        return right[np.arange(self._nfolds), best].sum() / held.sum()


def linked_people(images, issame):
    """People as far as a set of pairs gives them away: images that are the same file, or a genuine pair, show one person.

    Benchmarks in `.bin` form name nobody. Two photos of one person that no pair links count as two people here, which makes
    intervals somewhat too narrow, yet far less so than taking all pairs for independent.

    Parameters
    ----------
    images : (2 N,) int
        Number of the image file of each image; pair i is 2 i and 2 i + 1.
    issame : (N,) bool

    Returns
    -------
    (N, 2) int, numbers of people from 0; or None when an impostor pair would be of one person, that is, labels contradict.
    """
    images = np.asarray(images).reshape(-1, 2)
    count = int(images.max()) + 1
    links = images[np.asarray(issame, dtype=bool)]
    graph = coo_matrix((np.ones(len(links)), (links[:, 0], links[:, 1])), shape=(count, count))
    people = connected_components(graph, directed=False)[1][images]
    return None if (people[:, 0] == people[:, 1])[~np.asarray(issame, dtype=bool)].any() else people
