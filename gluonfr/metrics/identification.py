from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from gluonfr.core import GluonFRError
from gluonfr.core.top_k import MEMORY, exact_scores, screening_error, top_k
from gluonfr.metrics.operating import can_resolve, most_allowed
from gluonfr.metrics.result import plain
from gluonfr.metrics.unit import unit_rows

RANKS = (1, 5, 10, 20)
FPIRS = (1e-1, 1e-2, 1e-3)
_QUERIES = 4096


@dataclass(frozen=True)
class DirAtFpir:
    """Open-set identification at one false alarm rate.

    Attributes
    ----------
    target : float
        False positive identification rate (FPIR) asked for: the share of probes of strangers for whom somebody is named.
    dir : float
        Detection and identification rate (DIR, also TPIR): the share of probes of known people whose best score belongs to
        the right person and is above the threshold.
    threshold : float
        Cosine; somebody is named iff the best score is above it.
    fpir : float
        What the threshold really gives, at most the target.
    false_alarms, strangers : int
        The probes behind it.
    resolvable : bool
        False when there are fewer probes of strangers than 1 / target, or no probe with a mate: dir, threshold and fpir are
        NaN then.
    """

    target: float
    dir: float
    threshold: float
    fpir: float
    false_alarms: int
    strangers: int
    resolvable: bool


@dataclass(frozen=True)
class IdentificationResult:
    """What a gallery and a set of probes say.

    Attributes
    ----------
    gallery_images, gallery_people : int
    probes, mated, strangers : int
        Probes in all, those whose person is in the gallery, those whose person is not.
    ranks : tuple of int
    cmc : tuple of float
        For each rank, the share of mated probes whose mate is found at it or before; NaN without mated probes.
    mate_ranks : (mated,) int64
        Rank of each mated probe's mate among the people of the gallery, in the order of the probes; the largest of `ranks`
        + 1 stands for anything beyond it.
    mate_scores : (mated,) float64
        Cosine to the best image of the mate.
    stranger_scores : (strangers,) float64
        Best cosine of each probe without a mate.
    dir_at_fpir : tuple of DirAtFpir
    """

    gallery_images: int
    gallery_people: int
    probes: int
    mated: int
    strangers: int
    ranks: tuple[int, ...]
    cmc: tuple[float, ...]
    mate_ranks: np.ndarray
    mate_scores: np.ndarray
    stranger_scores: np.ndarray
    dir_at_fpir: tuple[DirAtFpir, ...]

    def name_values(self):
        """List of (name, float): `rank-R` for each rank, then `dir@fpir=F` for each rate."""
        pairs = [(f"rank-{rank}", rate) for rank, rate in zip(self.ranks, self.cmc)]
        return pairs + [(f"dir@fpir={each.target:g}", each.dir) for each in self.dir_at_fpir]

    def to_dict(self):
        """Everything but the single probes as plain Python for JSON; NaN becomes None."""
        left_out = ("mate_ranks", "mate_scores", "stranger_scores")
        return plain({name: getattr(self, name) for name in self.__dataclass_fields__ if name not in left_out})


def evaluate_identification(
    gallery, gallery_ids, probes, probe_ids, ranks=RANKS, fpir_target=FPIRS, memory=MEMORY, progress=None
):
    """1:N identification of probes in a gallery by cosine: closed set (CMC) and open set (DIR at FPIR).

    A person may have several images in the gallery; the best of them counts. The rank of a probe's mate is 1 + the number
    of other people whose best score is at least the mate's, so that a tie is no success. Probes without a mate in the
    gallery take no part in the CMC and are the strangers of the open set; people of the gallery without a probe are
    distractors. Scores that rounding in float32 could put in another order are compared in float64.

    Parameters
    ----------
    gallery, probes : array-like, (N, D) and (P, D) float
        Finite and not zero; they are normalized here.
    gallery_ids, probe_ids : array-like, (N,) and (P,)
        Whose each embedding is, names or numbers. An id that stands several times is one person with several images.
    ranks : sequence of int, default 1, 5, 10, 20
    fpir_target : sequence of float, default 0.1, 0.01, 0.001
        For each the threshold is the lowest that exceeds it for no more than `floor(fpir * strangers)` of them.
    memory : int, default 256 MiB
        Bytes of working memory beside the embeddings.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    IdentificationResult

    Raises
    ------
    GluonFRError
        No gallery or no probes, embeddings that are NaN or zero or do not fit, ids that are not one an embedding or of
        another type than the gallery's, bad ranks or rates.
    """
    ranks, fpir_target = _checked(ranks, fpir_target)
    gallery, probes = unit_rows(gallery, "gallery"), unit_rows(probes, "probes")
    if gallery.shape[1] != probes.shape[1]:
        raise GluonFRError(
            f"the gallery's embeddings have {gallery.shape[1]} numbers, the probes' {probes.shape[1]}; use one network."
        )
    gallery_people, probe_people, count = _numbered(gallery_ids, probe_ids, len(gallery), len(probes))
    # People side by side, so that the best of each is the largest of a run.
    order = np.argsort(gallery_people, kind="stable")
    gallery, starts = gallery[order], np.searchsorted(gallery_people[order], np.arange(count + 1))
    mated = np.flatnonzero(probe_people < count)
    strangers = np.flatnonzero(probe_people >= count)
    mate_scores, mate_ranks = _mate_ranks(gallery, starts, probes[mated], probe_people[mated], max(ranks), memory, progress)
    stranger_scores = top_k(probes[strangers], gallery, 1, memory, 1.001, progress)[0][:, 0]
    return IdentificationResult(
        gallery_images=len(gallery),
        gallery_people=count,
        probes=len(probes),
        mated=len(mated),
        strangers=len(strangers),
        ranks=ranks,
        cmc=tuple(float(np.mean(mate_ranks <= rank)) if len(mated) else math.nan for rank in ranks),
        mate_ranks=mate_ranks,
        mate_scores=mate_scores,
        stranger_scores=stranger_scores,
        dir_at_fpir=tuple(
            _dir_at_fpir(target, mate_scores[mate_ranks == 1], len(mated), stranger_scores) for target in fpir_target
        ),
    )


def _checked(ranks, fpir_target):
    ranks = np.atleast_1d(ranks)
    if not len(ranks) or ranks.dtype.kind not in "iu" or ranks.min() < 1:
        raise GluonFRError(f"ranks are {ranks}; give whole numbers of at least 1.")
    ranks = tuple(ranks.tolist())
    fpir_target = tuple(float(each) for each in np.atleast_1d(fpir_target))
    if not all(0 < each <= 1 for each in fpir_target):
        raise GluonFRError(f"fpir_target is {fpir_target}; give false alarm rates above 0 and at most 1.")
    return ranks, fpir_target


def _numbered(gallery_ids, probe_ids, gallery_images, probes):
    """People as numbers: those of the gallery from 0, probes of others `count`; and `count`."""
    gallery_ids, probe_ids = np.asarray(gallery_ids), np.asarray(probe_ids)
    for name, ids, wanted in (("gallery", gallery_ids, gallery_images), ("probe", probe_ids, probes)):
        if ids.shape != (wanted,) or ids.dtype.kind not in "iuUS":
            raise GluonFRError(
                f"{name}_ids {ids.dtype} {ids.shape} do not fit {wanted} embeddings; give one name or whole number for each."
            )
    if "i" in {gallery_ids.dtype.kind, probe_ids.dtype.kind} and "u" in {gallery_ids.dtype.kind, probe_ids.dtype.kind}:
        # NumPy would compare them as floats, which are exact to 2**53 only.
        gallery_ids, probe_ids = gallery_ids.astype(object), probe_ids.astype(object)
    elif gallery_ids.dtype.kind != probe_ids.dtype.kind:
        raise GluonFRError("gallery_ids and probe_ids are of two kinds (names, bytes, numbers); use one kind for both.")
    people, gallery_people = np.unique(gallery_ids, return_inverse=True)
    place = np.searchsorted(people, probe_ids)
    known = people[np.minimum(place, len(people) - 1)] == probe_ids
    return gallery_people, np.where(known, place, len(people)), len(people)


def _mate_ranks(gallery, starts, probes, people, most, memory, progress):
    """-> exact score of each probe's mate, and its rank, at most `most` + 1."""
    scores, ranks = np.empty(len(probes)), np.empty(len(probes), dtype=np.int64)
    with tqdm(
        total=len(probes) * len(gallery),
        desc=progress,
        unit="pair",
        unit_scale=True,
        leave=False,
        disable=None if progress else True,
    ) as bar:
        for start in range(0, len(probes), _QUERIES):
            part = slice(start, start + _QUERIES)
            counter = _Counter(gallery, starts, probes[part], people[part], most, memory)
            step = max(1, min(memory // 4, 32 << 20) // (4 * len(people[part])))
            for begin in range(0, len(gallery), step):
                end = min(begin + step, len(gallery))
                counter.count(begin, end)
                bar.update((end - begin) * len(people[part]))
            scores[part], ranks[part] = counter.mates, counter.ranks()
    return scores, ranks


class _Counter:
    """How many other people score at least what the mate does, for some probes."""

    def __init__(self, gallery, starts, probes, people, most, memory) -> None:
        self._gallery, self._starts, self._probes, self._people = gallery, starts, probes, people
        self._most, self._memory = most, memory
        self.mates = self._best(np.arange(len(probes)), people)
        self._error = screening_error(probes, 1.001)
        self._above = np.zeros(len(probes), dtype=np.int64)
        self._near, self._waiting, self._unfinished = [], 0, None

    def count(self, begin, end) -> None:
        """Take in the images from `begin` to before `end`; blocks follow one another."""
        first = int(np.searchsorted(self._starts, begin, side="right")) - 1
        last = int(np.searchsorted(self._starts, end, side="left"))
        scores = self._probes @ self._gallery[begin:end].T
        if end - begin > last - first:
            scores = np.maximum.reduceat(scores, np.maximum(self._starts[first:last], begin) - begin, axis=1)
        if self._unfinished is not None:
            np.maximum(scores[:, 0], self._unfinished, out=scores[:, 0])
        # A person whose images go on in the next block is counted there.
        self._unfinished = scores[:, -1].copy() if self._starts[last] > end else None
        if self._unfinished is not None:
            scores, last = scores[:, :-1], last - 1
        own = np.flatnonzero((self._people >= first) & (self._people < last))
        scores[own, self._people[own] - first] = -np.inf
        above = scores > (self.mates + self._error)[:, None]
        near = (scores >= (self.mates - self._error)[:, None]) & ~above
        self._above += np.count_nonzero(above, axis=1)
        # Beyond the largest rank asked for, it does not matter how far.
        near[self._above >= self._most] = False
        probes, others = np.nonzero(near)
        self._near.append((probes, others + first))
        self._waiting += len(probes)
        if self._waiting > max(1 << 14, self._memory >> 12):
            self._settle()

    def ranks(self):
        """(P,) int64."""
        self._settle()
        return np.minimum(self._above, self._most) + 1

    def _settle(self) -> None:
        if self._near:
            probes, others = (np.concatenate(parts) for parts in zip(*self._near))
            tied = self._best(probes, others) >= self.mates[probes]
            self._above += np.bincount(probes[tied], minlength=len(self._above))
        self._near, self._waiting = [], 0

    def _best(self, probes, people):
        """Exact score of each probe to the best image of a person."""
        images = np.cumsum(self._starts[people + 1] - self._starts[people])
        parts = np.searchsorted(images, np.arange(1 << 16, images[-1], 1 << 16)) if len(images) else []
        parts = zip(np.split(probes, parts), np.split(people, parts))
        return np.concatenate([self._best_of_some(*part) for part in parts])

    def _best_of_some(self, probes, people):
        images = self._starts[people + 1] - self._starts[people]
        begins = np.cumsum(images) - images
        rows = np.arange(images.sum()) - np.repeat(begins - self._starts[people], images)
        scores = exact_scores(self._probes, self._gallery, np.repeat(probes, images), rows, self._memory)
        return np.maximum.reduceat(scores, begins) if len(begins) else scores


def _dir_at_fpir(target, found, mated, stranger_scores):
    strangers = len(stranger_scores)
    if not mated or not can_resolve(target, strangers):
        return DirAtFpir(target, math.nan, math.nan, math.nan, 0, strangers, False)
    allowed = most_allowed(target, strangers)
    # At this score the first stranger too many would be named.
    threshold = float(-np.sort(-stranger_scores)[allowed]) if allowed < strangers else -math.inf
    alarms = int(np.count_nonzero(stranger_scores > threshold))
    rate = np.count_nonzero(found > threshold) / mated
    return DirAtFpir(target, float(rate), threshold, alarms / strangers, alarms, strangers, True)
