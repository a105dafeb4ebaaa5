"""Full evaluation of a set of pairs: protocol, operating points, threshold for production, intervals, groups."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gluonfr.core import UsageError, check_integer, check_number
from gluonfr.metrics.bootstrap import Intervals, bootstrap_people
from gluonfr.metrics.checks import as_array, check_seed, float_array, label_array
from gluonfr.metrics.lfw_protocol import check_protocol_options, evaluate_verification, fold_numbers
from gluonfr.metrics.operating_points import FARS, OperatingPoint, explain, operating_point, production_point
from gluonfr.metrics.results import MetricResult, VerificationResult, to_plain
from gluonfr.metrics.roc import rate, roc_curve

logger = logging.getLogger(__name__)

REPLICATES = 1000
_MAX_GROUPS = 50
_MAX_REPLICATES = 10_000_000


@dataclass(frozen=True)
class GroupResult:
    """Pairs of one group, such as one age group, at the threshold of the whole set.

    Attributes
    ----------
    column, value : str
        Name of the grouping, and the group.
    pairs, genuine, impostors : int
        Number of pairs, of pairs of one person, and of pairs of two people.
    accuracy, tar, far : float
        At the production threshold of all pairs, which is the same for every group; NaN without a threshold or such pairs.
    auc, eer : float
        Of the group alone; NaN when one kind of pair is missing.

    Examples
    --------
    >>> evaluation = evaluate_pairs([0.2, 1.8] * 10, [1, 0] * 10, groups={"age gap": ["0-5", "0-5", "5+", "5+"] * 5})
    >>> [(group.value, group.pairs, group.auc) for group in evaluation.groups]
    [('0-5', 10, 1.0), ('5+', 10, 1.0)]
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


@dataclass(frozen=True, repr=False)
class PairEvaluation(MetricResult):
    """Full evaluation of a network on a set of pairs.

    Attributes
    ----------
    distances : (N,) float
        Distance of each pair.
    issame : (N,) bool
        True where the pair shows one person.
    dist_type : int
        0: squared Euclidean distance of unit vectors, 1: cosine distance.
    verification : VerificationResult
        Result of the 10-fold protocol.
    points : tuple of OperatingPoint
        The exact ROC at each false accept rate, highest rate first.
    production : OperatingPoint or None
        The point from which to take a threshold; None when the pairs resolve no rate.
    wanted_far : float
        Rate that was requested for production; `production.target` is higher where the pairs do not resolve it.
    intervals : Intervals or None
        Intervals over people; None when the people are unknown or no intervals were requested.
    people_known : bool
        True when the identities were given; False when they were derived from shared images, or are missing.
    groups : tuple of GroupResult
        Results of groups of pairs.

    Examples
    --------
    >>> evaluation = evaluate_pairs([0.2, 1.8] * 10, [1, 0] * 10)
    >>> evaluation.confusion()["false_accepts"]
    0
    >>> evaluation.hardest(issame=False, count=2)
    array([1, 3])
    """

    _per_sample: ClassVar[tuple[str, ...]] = ("distances", "issame")

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

    def hardest(self, issame: bool, count: int) -> np.ndarray:
        """Return the pairs that are hardest to judge: the most distant genuine or the most similar impostor pairs.

        Parameters
        ----------
        issame : bool
            True for genuine pairs, False for impostor pairs.
        count : int
            Maximum number of pairs.

        Returns
        -------
        (n,) int64
            Numbers of pairs, hardest first; ties in the order of the set.
        """
        numbers = np.flatnonzero(self.issame == bool(issame))
        distances = self.distances[numbers]
        return numbers[np.argsort(-distances if issame else distances, kind="stable")[:count]]

    def confusion(self, threshold: float | None = None) -> dict[str, int] | None:
        """Count the decisions at a threshold, by default that of `production`.

        Returns
        -------
        dict of str to int, or None
            `true_accepts`, `false_rejects`, `false_accepts` and `true_rejects`; None when there is no threshold.
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

    def explain(self, measured_on: str) -> str:
        """Describe the production threshold in sentences, or state why there is none."""
        if self.production is None:
            return (
                f"{measured_on} has {self.verification.genuine:,} pairs of one person and {self.verification.impostors:,} of "
                f"different people, too few to determine a threshold for FAR {self.wanted_far:g}."
            )
        return explain(self.production, measured_on, self.wanted_far)

    def name_values(self) -> list[tuple[str, float]]:
        """Return the exact `tar@far=F` and `similarity@far=F` of each operating point after the figures of the protocol."""
        pairs = [(name, x) for name, x in self.verification.name_values() if "@" not in name]
        for point in self.points:
            pairs += [(f"tar@far={point.target:g}", point.tar), (f"similarity@far={point.target:g}", point.similarity)]
        return pairs

    def to_dict(self) -> dict[str, Any]:
        """Return everything except the single pairs as plain Python for JSON, with the decisions at the threshold."""
        return {**super().to_dict(), "confusion": to_plain(self.confusion())}

    def _summary(self) -> str:
        return self.verification._summary()


def evaluate_pairs(
    distances: Any,
    issame: Any,
    people: Any = None,
    groups: Mapping[str, Any] | None = None,
    nfolds: int = 10,
    far_target: Any = FARS,
    production_far: float = 1e-3,
    replicates: int = REPLICATES,
    seed: int = 0,
    dist_type: int = 0,
    people_known: bool = True,
    progress: str | None = None,
) -> PairEvaluation:
    """Evaluate a set of pairs: 10-fold accuracy, TAR at each FAR, thresholds, intervals, groups.

    Parameters
    ----------
    distances : array-like, (N,) float
        As for :func:`gluonfr.metrics.evaluate_verification`.
    issame : array-like, (N,) of 0 or 1
        1 where the pair shows one person.
    people : array-like, (N, 2), default None
        Identities of the two images of each pair, names or integers; required for intervals.
    groups : dict of str to array-like (N,), default None
        Groupings of the pairs, such as {"age gap": ["0-5", "20+", ...]}. A grouping with more than 50 values is skipped
        with a warning.
    nfolds, dist_type
        As for the protocol.
    far_target : sequence of float, default 1e-1 to 1e-6
        False accept rates of the operating points.
    production_far : float, default 1e-3
        Requested false accept rate of an application.
    replicates : int, default 1000
        Number of bootstrap replicates; 0 omits the intervals.
    seed : int, default 0
        Seed of the bootstrap.
    people_known : bool, default True
        False when `people` was derived from shared images by `linked_people`.
    progress : str, optional
        Text of the bootstrap's progress bar.

    Returns
    -------
    PairEvaluation

    Raises
    ------
    UsageError, DataError
        As for the protocol; lengths that do not match, or identities that contradict `issame`.

    Examples
    --------
    >>> evaluate_pairs([0.2, 1.8] * 10, [1, 0] * 10, far_target=[0.1])
    PairEvaluation: 20 pairs (10 genuine, 10 impostor), squared Euclidean distance
      accuracy            1
      accuracy_std        0
      threshold           0.21
      auc                 1
      eer                 0
      dprime              inf
      tar@far=0.1         1
      similarity@far=0.1  0.5
    """
    seed = check_seed(seed)
    check_integer("replicates", replicates, 0, _MAX_REPLICATES)
    production_far = check_number("production_far", production_far, above=0, maximum=1)
    if groups is not None and not isinstance(groups, Mapping):
        raise UsageError("groups must be a dict of name to one value per pair.")
    _, grid, _, targets = check_protocol_options(nfolds, None, far_target, dist_type)
    result = evaluate_verification(distances, issame, nfolds, None, list(targets), dist_type)
    distances, issame = float_array(distances, "distances"), label_array(issame)
    points = tuple(operating_point(result.roc, far, dist_type) for far in sorted(targets, reverse=True))
    production = production_point([*points, operating_point(result.roc, production_far, dist_type)], production_far)
    intervals = None
    if people is not None and replicates:
        folds, fars = fold_numbers(len(issame), nfolds), [point.target for point in points if point.resolvable]
        people = _number_people(people, len(issame))
        intervals = bootstrap_people(
            distances, issame, people, folds, grid, fars, int(replicates), seed=seed, progress=progress
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
            _group_result(column, value, distances[chosen], issame[chosen], threshold)
            for column, values in (groups or {}).items()
            for value, chosen in _split_by_group(column, values, len(issame))
        ),
    )


def _number_people(people: Any, pairs: int) -> np.ndarray:
    people = as_array(people, "people")
    if people.shape != (pairs, 2) or people.dtype.kind not in "iuUSb":
        raise UsageError(
            f"people has type {people.dtype} and shape {people.shape} for {pairs} pairs; give the two identities of each "
            "pair, as names or integers."
        )
    _, first, number = np.unique(people, return_index=True, return_inverse=True)
    # Numbered by first appearance, so that the draws do not depend on the names.
    return np.argsort(np.argsort(first))[number].reshape(pairs, 2)


def _split_by_group(column: str, values: Any, pairs: int) -> Iterable[tuple[str, np.ndarray]]:
    """Return (value, numbers of its pairs); nothing, with a warning, where there are too many values for a grouping."""
    values = (values if isinstance(values, np.ndarray) else as_array(values, f"the grouping {column!r}")).astype(str)
    if values.shape != (pairs,):
        raise UsageError(f"the grouping {column!r} has shape {values.shape} for {pairs} pairs; give one value per pair.")
    names, group = np.unique(values, return_inverse=True)
    if len(names) > _MAX_GROUPS:
        logger.warning("the grouping %s is skipped: it has %d values for %d pairs", column, len(names), pairs)
        return []
    order = np.argsort(group, kind="stable")
    return zip(names.tolist(), np.split(order, np.searchsorted(group[order], np.arange(1, len(names)))))


def _group_result(column: str, value: str, distances: np.ndarray, issame: np.ndarray, threshold: float) -> GroupResult:
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
