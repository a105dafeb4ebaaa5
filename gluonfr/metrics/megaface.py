from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gluonfr.core import GluonFRError, generator
from gluonfr.core.top_k import MEMORY, exact_scores, search
from gluonfr.metrics.operating import can_resolve, most_allowed
from gluonfr.metrics.result import plain
from gluonfr.metrics.unit import unit_rows

SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
RANKS = (1, 10)
FARS = (1e-6,)
# Scores above the threshold are kept, so many at most.
_MOST_ACCEPTS = 5_000_000
_CLEAN = 402
_SPREAD = 1e-3


@dataclass(frozen=True)
class MegaFaceTar:
    """Verification at one false accept rate.

    Attributes
    ----------
    target : float
    tar : float
        Share of the genuine pairs whose cosine is above the threshold; NaN when the rate cannot be resolved.
    threshold : float
        Cosine; at most `floor(target * impostors)` pairs of a probe and a distractor are above it.
    false_accepts, impostors : int
    resolvable : bool
        False with fewer impostor pairs than 1 / target.
    """

    target: float
    tar: float
    threshold: float
    false_accepts: int
    impostors: int
    resolvable: bool


@dataclass(frozen=True)
class MegaFaceResult:
    """What the MegaFace protocol says with a number of distractors.

    Attributes
    ----------
    distractors : int
    probes, people : int
        People with one probe only have no mate and are counted all the same.
    pairs : int
        Ordered pairs of two probes of one person, over which the rates are means.
    ranks : tuple of int
    cmc : tuple of float
        For each rank, the share of pairs whose mate is found at it or before among the distractors.
    tar_at_far : tuple of MegaFaceTar
    replaced, pushed_away : int
        Noisy probes that became their person's center, and noisy distractors that cannot be found.
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

    def name_values(self):
        """List of (name, float): `rank-R`, then `tar@far=F`."""
        pairs = [(f"rank-{rank}", rate) for rank, rate in zip(self.ranks, self.cmc)]
        return pairs + [(f"tar@far={at.target:g}", at.tar) for at in self.tar_at_far]

    def to_dict(self):
        """Plain Python for JSON; NaN becomes None."""
        return plain(self)


def evaluate_megaface(
    probes,
    probe_ids,
    distractors,
    noisy_probes=None,
    noisy_distractors=None,
    sizes=SIZES,
    ranks=RANKS,
    far_target=FARS,
    seed=0,
    memory=MEMORY,
    progress=None,
):
    """The MegaFace challenge (https://arxiv.org/abs/1512.00596): probes of some people among up to a million distractors.

    Each probe is looked for with every other probe of its person in turn: that mate and all distractors are the gallery.
    The mate's rank is 1 + the number of distractors whose cosine is at least its own; the rates are means over these
    ordered pairs. Verification takes the same genuine pairs against all pairs of a probe and a distractor.

    Cleaning follows InsightFace's lists: a noisy probe is replaced by the sum of its person's other probes, disturbed
    by U(-0.001, 0.001), and a noisy distractor is pushed away. It is found no more but still counts among the
    distractors and the impostor pairs.

    Parameters
    ----------
    probes : array-like, (P, D) float
    probe_ids : array-like, (P,)
    distractors : array-like, (N, D) float
        May be memory-mapped.
    noisy_probes : array-like, (P,) bool, default None
    noisy_distractors : array-like, (N,) bool, default None
        Without either the features are taken as given.
    sizes : sequence of int, default 10 to 1,000,000
        Numbers of distractors, the first so many of them; those above N are left out, and N itself is always there.
    ranks : sequence of int, default 1, 10
    far_target : sequence of float, default 1e-6
    seed : int, default 0
        Of the disturbance.
    memory : int, default 256 MiB
        Bytes of working memory beside the features.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    list of MegaFaceResult
        One for each size, rising.

    Raises
    ------
    GluonFRError
        Features that are NaN or zero or do not fit, no two probes of one person, a person all of whose probes are noisy, or
        bad sizes, ranks or rates.
    """
    ranks, sizes = (tuple(np.atleast_1d(each).tolist()) for each in (ranks, sizes))
    far_target = tuple(float(far) for far in np.atleast_1d(far_target))
    whole = all(isinstance(each, int) and each > 0 for each in (*ranks, *sizes))
    if not ranks or not whole or not all(0 < far <= 1 for far in far_target):
        raise GluonFRError(
            "sizes and ranks must be whole numbers of 1 or more, and false accept rates above 0 and at most 1; correct them."
        )
    if max((most_allowed(far, len(probes) * len(distractors)) for far in far_target), default=0) > _MOST_ACCEPTS:
        raise GluonFRError(
            f"far {max(far_target):g} lets more than {_MOST_ACCEPTS:,} of {len(probes) * len(distractors):,} impostor pairs "
            "pass, all of which would be kept; ask for a rarer one."
        )
    probe_ids = np.asarray(probe_ids)
    probes, distractors = unit_rows(probes, "probes"), unit_rows(distractors, "distractors")
    if probes.shape[1] != distractors.shape[1] or probe_ids.shape != (len(probes),):
        raise GluonFRError(
            f"probes {probes.shape}, probe_ids {probe_ids.shape} and distractors {distractors.shape} do not fit; give features "
            "of one network and one id a probe."
        )
    people, person = np.unique(probe_ids, return_inverse=True)
    replaced = pushed = 0
    if noisy_probes is not None:
        noisy = _flags(noisy_probes, len(probes), "noisy_probes")
        probes, replaced = clean_probes(probes, person, noisy, people, seed), int(noisy.sum())
    away = None if noisy_distractors is None else _flags(noisy_distractors, len(distractors), "noisy_distractors")
    first, second = _pairs_of_one_person(person)
    mates = exact_scores(probes, probes, first, second, memory)
    results, state = [], _State(len(probes), max(ranks), len(distractors), far_target)
    start = 0
    for size in sorted({*(size for size in sizes if size < len(distractors)), len(distractors)}):
        part = slice(start, size)
        skip = None if away is None else away[part]
        pushed += 0 if skip is None else int(np.count_nonzero(skip))
        start = size
        state.add(probes, distractors[part], skip, memory, progress)
        results.append(
            MegaFaceResult(
                distractors=size,
                probes=len(probes),
                people=len(people),
                pairs=len(mates),
                ranks=ranks,
                cmc=state.cmc(first, mates, ranks),
                tar_at_far=tuple(state.tar_at_far(far, mates) for far in far_target),
                replaced=replaced,
                pushed_away=pushed,
            )
        )
    return results


class _State:
    """The best distractors so far, of each probe and of all together."""

    def __init__(self, probes, k, distractors, far_target) -> None:
        self._scores = np.full((probes, k), -np.inf)
        # As many as the last and largest gallery may accept, and the one that is too many.
        self._count = 1 + max((most_allowed(far, probes * distractors) for far in far_target), default=-1)
        self._largest, self._impostors = np.empty(0), 0

    def add(self, probes, distractors, skip, memory, progress) -> None:
        k = self._scores.shape[1]
        self._impostors += len(probes) * len(distractors)
        (scores, _), largest = search(probes, distractors, k, self._count, memory, 1.001, progress, skip)
        self._scores = -np.sort(-np.concatenate([self._scores, scores], axis=1), axis=1)[:, :k]
        self._largest = -np.sort(-np.concatenate([self._largest, largest]))[: self._count]

    def cmc(self, probes, mates, ranks):
        above = np.count_nonzero(self._scores[probes] >= mates[:, None], axis=1)
        return tuple(float(np.mean(above < rank)) for rank in ranks)

    def tar_at_far(self, far, genuine):
        if not can_resolve(far, self._impostors):
            return MegaFaceTar(far, math.nan, math.nan, 0, self._impostors, False)
        allowed = most_allowed(far, self._impostors)
        threshold = float(self._largest[allowed]) if allowed < len(self._largest) else -math.inf
        accepts = int(np.count_nonzero(self._largest > threshold))
        return MegaFaceTar(far, float(np.mean(genuine > threshold)), threshold, accepts, self._impostors, True)


def _flags(values, count, name):
    values = np.asarray(values)
    if values.shape != (count,) or values.dtype != bool:
        raise GluonFRError(f"{name} {values.dtype} {values.shape}: {count} True or False are needed; give one a feature.")
    return values


def clean_probes(probes, person, noisy, names, seed=0):
    """Replace noisy probes by the sum of their person's good ones, disturbed by U(-0.001, 0.001) and normalized.

    Inputs:
        - **probes**: (P, D) float32 of norm 1; **person**: (P,) int; **noisy**: (P,) bool; **names** of the people.

    Outputs:
        - **probes**: (P, D) float32, a copy.
    """
    centers = np.zeros((len(names), probes.shape[1]), dtype=np.float64)
    np.add.at(centers, person[~noisy], probes[~noisy])
    lost = np.setdiff1d(person[noisy], person[~noisy])
    if len(lost):
        raise GluonFRError(f"all probes of {names[lost[0]]} are noisy, so that there is no center to replace them by.")
    wanted = centers[person[noisy]]
    wanted = wanted + generator(seed, _CLEAN).uniform(-_SPREAD, _SPREAD, wanted.shape)
    cleaned = probes.copy()
    cleaned[noisy] = unit_rows(wanted, "noisy probes") if len(wanted) else wanted
    return cleaned


def _pairs_of_one_person(person):
    """All ordered pairs of two probes of one person: (first, second), int64."""
    order = np.argsort(person, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(person[order])) + 1)
    pairs = [np.array(np.meshgrid(group, group, indexing="ij")).reshape(2, -1) for group in groups]
    first, second = np.concatenate(pairs, axis=1)
    different = first != second
    if not different.any():
        raise GluonFRError("no person has two probes, so that nobody has a mate; give several probes of a person.")
    return first[different], second[different]
