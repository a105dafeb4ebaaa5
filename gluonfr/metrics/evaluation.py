from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from gluonfr.core import GluonFRError
from gluonfr.metrics.bootstrap import Intervals, bootstrap_people
from gluonfr.metrics.operating import FARS, OperatingPoint, explain, operating_point, production_point
from gluonfr.metrics.protocol import check_options, fold_numbers, label_array, verification
from gluonfr.metrics.result import VerificationResult, plain
from gluonfr.metrics.roc import rate, roc_curve

logger = logging.getLogger(__name__)

REPLICATES = 1000
_MOST_GROUPS = 50


@dataclass(frozen=True)
class GroupResult:
    """The pairs of one kind, such as those of one age group, at the threshold of the whole set.

    Attributes
    ----------
    column, value : str
        Name of the grouping, and which of its groups.
    pairs, genuine, impostors : int
    accuracy, tar, far : float
        At the production threshold of all pairs, the same one for every group; NaN where there is none, or no such pair.
    auc, eer : float
        Of the group alone; NaN when one kind of pair is missing.
    """

    column: str
    value: str
    pairs: int
    genuine: int
    impostors: int
    accuracy: float
    tar: float
    far: float
    auc: float
    eer: float


@dataclass(frozen=True)
class PairEvaluation:
    """All that a set of pairs says about a network.

    Attributes
    ----------
    distances : (N,) float
    issame : (N,) bool
    dist_type : int
        0: squared Euclidean distance of unit vectors, 1: cosine distance.
    verification : VerificationResult
        The 10-fold protocol.
    points : tuple of OperatingPoint
        The exact ROC at each false accept rate, most frequent first.
    production : OperatingPoint or None
        Where to take a threshold from; None when the pairs resolve no rate.
    wanted_far : float
        The rate that was asked for in production; that of `production` is larger where the pairs do not resolve it.
    intervals : Intervals or None
        Over people; None when they are not known or none were asked for.
    people_known : bool
        True when the identities were given, False when they were told from shared images, or not at all.
    groups : tuple of GroupResult
    """

    distances: np.ndarray
    issame: np.ndarray
    dist_type: int
    verification: VerificationResult
    points: tuple[OperatingPoint, ...]
    production: OperatingPoint | None
    wanted_far: float
    intervals: Intervals | None
    people_known: bool
    groups: tuple[GroupResult, ...]

    def hardest(self, issame, count):
        """Pairs that are hardest to judge: genuine ones furthest apart, or impostors most alike.

        Parameters
        ----------
        issame : bool
            Which kind.
        count : int
            At most so many.

        Returns
        -------
        (n,) int64
            Numbers of pairs, hardest first; ties in the order of the set.
        """
        numbers = np.flatnonzero(self.issame == bool(issame))
        distances = self.distances[numbers]
        return numbers[np.argsort(-distances if issame else distances, kind="stable")[:count]]

    def confusion(self, threshold=None):
        """Decisions at a threshold (that of `production` by default): dict of `true_accepts`, `false_rejects`,
        `false_accepts` and `true_rejects`; None when there is no threshold.
        """
        if threshold is None:
            if self.production is None:
                return None
            threshold = self.production.threshold
        accepted = self.distances < threshold
        right = accepted == self.issame
        return {
            "true_accepts": int(np.count_nonzero(accepted & right)),
            "false_rejects": int(np.count_nonzero(~accepted & ~right)),
            "false_accepts": int(np.count_nonzero(accepted & ~right)),
            "true_rejects": int(np.count_nonzero(~accepted & right)),
        }

    def explain(self, measured_on):
        """What the production threshold means, in sentences; says so when there is none."""
        if self.production is None:
            return (
                f"{measured_on} has {self.verification.genuine:,} pairs of one person and {self.verification.impostors:,} of "
                f"different people, too few to tell a threshold for FAR {self.wanted_far:g}."
            )
        return explain(self.production, measured_on, self.wanted_far)

    def to_dict(self):
        """Everything but the single pairs as plain Python for JSON: NaN becomes None, the ROC is given by its corners."""
        left_out = ("distances", "issame")
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in left_out}
        return plain({**values, "confusion": self.confusion()})


def evaluate_pairs(
    distances,
    issame,
    people=None,
    groups=None,
    nfolds=10,
    far_target=FARS,
    production_far=1e-3,
    replicates=REPLICATES,
    seed=0,
    dist_type=0,
    people_known=True,
    progress=None,
):
    """Everything that a set of pairs says: 10-fold accuracy, TAR at each FAR, thresholds, intervals, groups.

    Parameters
    ----------
    distances : array-like, (N,) float
        As :func:`gluonfr.metrics.protocol.verification` takes them.
    issame : array-like, (N,) of 0 or 1
    people : array-like, (N, 2), default None
        Whose the two images of each pair are, names or numbers; needed for intervals.
    groups : dict of str to array-like (N,), default None
        Groupings of the pairs, such as {"age gap": ["0-5", "20+", ...]}; one of more than 50 values is left out, and logged.
    nfolds, dist_type
        As for the protocol.
    far_target : sequence of float, default 1e-1 to 1e-6
    production_far : float, default 1e-3
        The false accept rate wanted in an application.
    replicates : int, default 1000
        Of the bootstrap; 0 leaves the intervals out.
    seed : int, default 0
        Of the bootstrap.
    people_known : bool, default True
        False when `people` was told from shared images by `linked_people`.
    progress : str, optional
        Text of the bootstrap's progress bar.

    Returns
    -------
    PairEvaluation

    Raises
    ------
    GluonFRError
        As the protocol; lengths that do not match, or identities that contradict issame.
    """
    if replicates < 0:
        raise GluonFRError(f"replicates must be 0 or more draws, got {replicates}.")
    if not 0 < production_far <= 1:
        raise GluonFRError(f"the false accept rate wanted must be above 0 and at most 1, got {production_far!r}.")
    _, grid, _, targets = check_options(nfolds, None, np.atleast_1d(far_target).tolist(), dist_type)
    result = verification(distances, issame, nfolds, None, list(targets), dist_type)
    distances, issame = np.asarray(distances), label_array(issame)
    points = tuple(operating_point(result.roc, far, dist_type) for far in sorted(targets, reverse=True))
    production = production_point([*points, operating_point(result.roc, production_far, dist_type)], production_far)
    intervals = None
    if people is not None and replicates:
        intervals = bootstrap_people(
            distances,
            issame,
            _numbered(people, len(issame)),
            fold_numbers(len(issame), nfolds),
            grid,
            [point.target for point in points if point.resolvable],
            replicates,
            seed=seed,
            progress=progress,
        )
    threshold = production.threshold if production else np.nan
    return PairEvaluation(
        distances=distances,
        issame=issame,
        dist_type=dist_type,
        verification=result,
        points=points,
        production=production,
        wanted_far=production_far,
        intervals=intervals,
        people_known=people is not None and people_known,
        groups=tuple(
            _group(column, value, distances[chosen], issame[chosen], threshold)
            for column, values in (groups or {}).items()
            for value, chosen in _parts(column, values, len(issame))
        ),
    )


def _numbered(people, pairs):
    people = np.asarray(people)
    if people.shape != (pairs, 2):
        raise GluonFRError(f"people has shape {people.shape} for {pairs} pairs; give the two identities of each pair.")
    _, first, number = np.unique(people, return_index=True, return_inverse=True)
    # In order of appearance, so that the draws do not hang on what people are called.
    return np.argsort(np.argsort(first))[number].reshape(pairs, 2)


def _parts(column, values, pairs):
    """(value, numbers of its pairs) of a grouping; nothing, and a warning, where its values are too many to be one."""
    values = np.asarray(values).astype(str)
    if values.shape != (pairs,):
        raise GluonFRError(f"the grouping {column!r} has shape {values.shape} for {pairs} pairs; give one value a pair.")
    names, group = np.unique(values, return_inverse=True)
    if len(names) > _MOST_GROUPS:
        logger.warning("%s has %d values for %d pairs and is left out as a grouping", column, len(names), pairs)
        return []
    order = np.argsort(group, kind="stable")
    return zip(names.tolist(), np.split(order, np.searchsorted(group[order], np.arange(1, len(names)))))


def _group(column, value, distances, issame, threshold):
    roc = roc_curve(distances, issame)
    accepted = distances < threshold
    known = not np.isnan(threshold)
    return GroupResult(
        column=column,
        value=value,
        pairs=len(issame),
        genuine=roc.genuine,
        impostors=roc.impostors,
        accuracy=float(np.mean(accepted == issame)) if known else np.nan,
        tar=float(rate(np.count_nonzero(accepted & issame), roc.genuine)) if known else np.nan,
        far=float(rate(np.count_nonzero(accepted & ~issame), roc.impostors)) if known else np.nan,
        auc=roc.auc,
        eer=roc.eer,
    )
