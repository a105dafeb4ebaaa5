"""The MegaFace challenge: probes of some people among up to a million distractors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from gluonfr.core import DataError, UsageError, generator
from gluonfr.core.top_k import MEMORY, exact_scores, search
from gluonfr.metrics.checks import as_array, check_seed, id_array, positive_integers, rates
from gluonfr.metrics.operating_points import is_resolvable, max_errors
from gluonfr.metrics.results import MetricResult
from gluonfr.metrics.unit import unit_rows

SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
RANKS = (1, 10)
FARS = (1e-6,)
# Scores above the threshold are stored; this bounds their number.
_MAX_ACCEPTS = 5_000_000
_CLEAN_STREAM = 402
_NOISE = 1e-3


@dataclass(frozen=True)
class MegaFaceTar:
    """MegaFace verification at one false accept rate.

    Attributes
    ----------
    target : float
        Requested false accept rate.
    tar : float
        Share of the genuine pairs whose cosine is above the threshold; NaN when the rate cannot be resolved.
    threshold : float
        Cosine; at most `floor(target * impostors)` pairs of a probe and a distractor are above it.
    false_accepts, impostors : int
        Pairs of a probe and a distractor above the threshold, and in all.
    resolvable : bool
        False with fewer impostor pairs than 1 / target.

    Examples
    --------
    >>> import numpy as np
    >>> probes, distractors = np.array([[1.0, 0.0], [0.9, 0.1]]), np.array([[0.0, 1.0], [0.1, 1.0]])
    >>> evaluate_megaface(probes, ["ann", "ann"], distractors, far_target=0.5)[-1].tar_at_far[0].tar
    1.0
    """

    target: float
    tar: float
    threshold: float
    false_accepts: int
    impostors: int
    resolvable: bool


@dataclass(frozen=True, repr=False)
class MegaFaceResult(MetricResult):
    """Result of the MegaFace protocol with one number of distractors.

    Attributes
    ----------
    distractors : int
        Number of distractors.
    probes, people : int
        Number of probes and of their people, including people with a single probe, who have no mate.
    pairs : int
        Ordered pairs of two probes of one person, over which the rates are averaged.
    ranks : tuple of int
        Ranks of the CMC.
    cmc : tuple of float
        For each rank, the share of pairs whose mate has at most this rank among the distractors.
    tar_at_far : tuple of MegaFaceTar
        One entry per target.
    replaced, pushed_away : int
        Noisy probes replaced by their person's center, and noisy distractors removed from the search.

    Examples
    --------
    >>> import numpy as np
    >>> probes, distractors = np.array([[1.0, 0.0], [0.9, 0.1]]), np.array([[0.0, 1.0], [0.1, 1.0]])
    >>> evaluate_megaface(probes, ["ann", "ann"], distractors, far_target=0.5)[-1]
    MegaFaceResult: 2 probes of 1 people (2 pairs), 2 distractors
      rank-1       1
      rank-10      1
      tar@far=0.5  1
    """

    distractors: int
    probes: int
    people: int
    pairs: int
    ranks: tuple[int, ...]
    cmc: tuple[float, ...]
    tar_at_far: tuple[MegaFaceTar, ...]
    replaced: int
    pushed_away: int

    def name_values(self) -> list[tuple[str, float]]:
        """Return (name, value) pairs: `rank-R` for each rank, then `tar@far=F` for each rate."""
        pairs = [(f"rank-{rank}", share) for rank, share in zip(self.ranks, self.cmc)]
        return pairs + [(f"tar@far={at.target:g}", at.tar) for at in self.tar_at_far]

    def _summary(self) -> str:
        return f"{self.probes:,} probes of {self.people:,} people ({self.pairs:,} pairs), {self.distractors:,} distractors"


def evaluate_megaface(
    probes: Any,
    probe_ids: Any,
    distractors: Any,
    noisy_probes: Any = None,
    noisy_distractors: Any = None,
    sizes: Any = SIZES,
    ranks: Any = RANKS,
    far_target: Any = FARS,
    seed: int = 0,
    memory: int = MEMORY,
    progress: str | None = None,
) -> list[MegaFaceResult]:
    """Evaluate the MegaFace challenge (https://arxiv.org/abs/1512.00596).

    Each probe is searched once for every other probe of its person: that mate and all distractors are the gallery. The
    mate's rank is 1 + the number of distractors whose cosine is at least the mate's. The rates are averaged over these
    ordered pairs. Verification uses the same genuine pairs, and all pairs of a probe and a distractor as impostors.

    Cleaning follows InsightFace's lists. A noisy probe is replaced by the sum of its person's other probes, disturbed by
    U(-0.001, 0.001). A noisy distractor is removed from the search but still counts in the number of distractors and of
    impostor pairs.

    Parameters
    ----------
    probes : array-like, (P, D) float
        Embeddings of the probes.
    probe_ids : array-like, (P,)
        Identity of each probe, names or integers.
    distractors : array-like, (N, D) float
        Embeddings of the distractors; may be memory-mapped.
    noisy_probes : array-like, (P,) bool, default None
        Probes to replace. None leaves them unchanged.
    noisy_distractors : array-like, (N,) bool, default None
        Distractors to remove. None leaves them unchanged.
    sizes : sequence of int, default 10 to 1,000,000
        Numbers of distractors: the first n of them. Sizes above N are omitted, and N itself is always included.
    ranks : sequence of int, default 1, 10
        Ranks of the CMC.
    far_target : sequence of float, default 1e-6
        False accept rates.
    seed : int, default 0
        Seed of the disturbance.
    memory : int, default 256 MiB
        Bytes of working memory beside the features.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    list of MegaFaceResult
        One per size, in increasing order.

    Raises
    ------
    UsageError, DataError
        Features are NaN or zero or do not match; no person has two probes; all probes of a person are noisy; sizes, ranks
        or rates are out of range.

    Examples
    --------
    >>> import numpy as np
    >>> probes, distractors = np.array([[1.0, 0.0], [0.9, 0.1]]), np.array([[0.0, 1.0], [0.1, 1.0]])
    >>> [result.distractors for result in evaluate_megaface(probes, [3, 3], distractors, sizes=[1, 5])]
    [1, 2]
    """
    ranks, sizes = positive_integers(ranks, "ranks"), positive_integers(sizes, "sizes")
    far_target, seed = rates(far_target, "far_target"), check_seed(seed)
    probes, probe_ids, distractors = _check_features(probes, probe_ids, distractors, far_target)
    people, person = np.unique(probe_ids, return_inverse=True)
    replaced = pushed = 0
    if noisy_probes is not None:
        noisy = _check_flags(noisy_probes, len(probes), "noisy_probes")
        probes, replaced = clean_probes(probes, person, noisy, people, seed), int(noisy.sum())
    away = None if noisy_distractors is None else _check_flags(noisy_distractors, len(distractors), "noisy_distractors")
    first, second = _mate_pairs(person)
    mates = exact_scores(probes, probes, first, second, memory)
    best, results = _BestDistractors(len(probes), min(max(ranks), len(distractors)), len(distractors), far_target), []
    start = 0
    for size in sorted({*(size for size in sizes if size < len(distractors)), len(distractors)}):
        part = slice(start, size)
        skip = None if away is None else away[part]
        pushed += 0 if skip is None else int(np.count_nonzero(skip))
        start = size
        best.add(probes, distractors[part], skip, memory, progress)
        results.append(
            MegaFaceResult(
                distractors=size,
                probes=len(probes),
                people=len(people),
                pairs=len(mates),
                ranks=ranks,
                cmc=best.cmc(first, mates, ranks),
                tar_at_far=tuple(best.tar_at_far(far, mates) for far in far_target),
                replaced=replaced,
                pushed_away=pushed,
            )
        )
    return results


def _check_features(
    probes: Any, probe_ids: Any, distractors: Any, far_target: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    probes, distractors = unit_rows(probes, "probes"), unit_rows(distractors, "distractors")
    impostors = len(probes) * len(distractors)
    if max((max_errors(far, impostors) for far in far_target), default=0) > _MAX_ACCEPTS:
        raise UsageError(
            f"far_target {max(far_target):g} accepts more than {_MAX_ACCEPTS:,} of {impostors:,} impostor pairs, too many to "
            "store; give a lower rate."
        )
    if probes.shape[1] != distractors.shape[1]:
        raise UsageError(
            f"probes {probes.shape} and distractors {distractors.shape} do not match; give features of one network."
        )
    return probes, id_array(probe_ids, "probe_ids", len(probes), "probe"), distractors


class _BestDistractors:
    """The highest scores of distractors so far, per probe and over all probes."""

    def __init__(self, probes: int, k: int, distractors: int, far_target: tuple[float, ...]) -> None:
        self._scores = np.full((probes, k), -np.inf)
        # The number that the last and largest gallery may accept, and one more.
        self._count = 1 + max((max_errors(far, probes * distractors) for far in far_target), default=-1)
        self._largest, self._impostors = np.empty(0), 0

    def add(
        self, probes: np.ndarray, distractors: np.ndarray, skip: np.ndarray | None, memory: int, progress: str | None
    ) -> None:
        """Add distractors, without those marked in `skip`."""
        k = self._scores.shape[1]
        self._impostors += len(probes) * len(distractors)
        (scores, _), largest = search(probes, distractors, k, self._count, memory, 1.001, progress, skip)
        self._scores = -np.sort(-np.concatenate([self._scores, scores], axis=1), axis=1)[:, :k]
        self._largest = -np.sort(-np.concatenate([self._largest, largest]))[: self._count]

    def cmc(self, probes: np.ndarray, mates: np.ndarray, ranks: tuple[int, ...]) -> tuple[float, ...]:
        above = np.count_nonzero(self._scores[probes] >= mates[:, None], axis=1)
        return tuple(float(np.mean(above < rank)) for rank in ranks)

    def tar_at_far(self, far: float, genuine: np.ndarray) -> MegaFaceTar:
        if not is_resolvable(far, self._impostors):
            return MegaFaceTar(far, math.nan, math.nan, 0, self._impostors, False)
        allowed = max_errors(far, self._impostors)
        threshold = float(self._largest[allowed]) if allowed < len(self._largest) else -math.inf
        accepts = int(np.count_nonzero(self._largest > threshold))
        return MegaFaceTar(far, float(np.mean(genuine > threshold)), threshold, accepts, self._impostors, True)


def _check_flags(values: Any, count: int, name: str) -> np.ndarray:
    values = as_array(values, name)
    if values.shape != (count,) or values.dtype != bool:
        raise UsageError(f"{name} has type {values.dtype} and shape {values.shape}; give {count} booleans, one per feature.")
    return values


def clean_probes(probes: np.ndarray, person: np.ndarray, noisy: np.ndarray, names: np.ndarray, seed: int = 0) -> np.ndarray:
    """Replace noisy probes by the sum of their person's clean ones, disturbed by U(-0.001, 0.001) and normalized.

    Parameters
    ----------
    probes : (P, D) float32
        Rows of norm 1.
    person : (P,) int
        Number of the person that each probe shows.
    noisy : (P,) bool
        Probes to replace.
    names : (people,)
        Names of the people, for messages.
    seed : int, default 0
        Seed of the disturbance.

    Returns
    -------
    (P, D) float32
        A copy.

    Raises
    ------
    DataError
        All probes of a person are noisy.

    Examples
    --------
    >>> import numpy as np
    >>> probes = np.array([[1, 0], [0, 1]], dtype=np.float32)
    >>> clean_probes(probes, np.array([0, 0]), np.array([False, True]), np.array(["ann"])).round(1)
    array([[ 1.,  0.],
           [ 1., -0.]], dtype=float32)
    """
    centers = np.zeros((len(names), probes.shape[1]), dtype=np.float64)
    np.add.at(centers, person[~noisy], probes[~noisy])
    lost = np.setdiff1d(person[noisy], person[~noisy])
    if len(lost):
        raise DataError(f"all probes of {names[lost[0]]} are noisy, so there is no center to replace them with; remove them.")
    wanted = centers[person[noisy]]
    wanted = wanted + generator(seed, _CLEAN_STREAM).uniform(-_NOISE, _NOISE, wanted.shape)
    cleaned = probes.copy()
    cleaned[noisy] = unit_rows(wanted, "noisy probes") if len(wanted) else wanted
    return cleaned


def _mate_pairs(person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all ordered pairs of two probes of one person: (first, second), int64."""
    order = np.argsort(person, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(person[order])) + 1)
    pairs = [np.array(np.meshgrid(group, group, indexing="ij")).reshape(2, -1) for group in groups]
    first, second = np.concatenate(pairs, axis=1)
    different = first != second
    if not different.any():
        raise DataError("no person has two probes, so no probe has a mate; give several probes per person.")
    return first[different], second[different]
