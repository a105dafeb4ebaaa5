"""1:N identification: closed set (CMC) and open set (DIR at FPIR)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from gluonfr.core import UsageError
from gluonfr.core.top_k import MEMORY, top_k
from gluonfr.core.wording import counted
from gluonfr.metrics.checks import id_array, positive_integers, rates
from gluonfr.metrics.mate_ranks import mate_ranks
from gluonfr.metrics.operating_points import is_resolvable, max_errors
from gluonfr.metrics.results import MetricResult
from gluonfr.metrics.unit import unit_rows

RANKS = (1, 5, 10, 20)
FPIRS = (1e-1, 1e-2, 1e-3)


@dataclass(frozen=True)
class DirAtFpir:
    """Open-set identification at one false positive identification rate.

    Attributes
    ----------
    target : float
        Requested false positive identification rate (FPIR): the share of non-mated probes that match a person.
    dir : float
        Detection and identification rate (DIR, also TPIR): the share of mated probes whose best match is the right person
        with a score above the threshold.
    threshold : float
        Cosine; a probe matches a person iff its best score is above it.
    fpir : float
        Measured FPIR at the threshold, at most the target.
    false_alarms, strangers : int
        The counts behind it: non-mated probes that match, and all non-mated probes.
    resolvable : bool
        False when there are fewer non-mated probes than 1 / target, or no mated probe: dir, threshold and fpir are NaN then.

    Examples
    --------
    >>> import numpy as np
    >>> result = evaluate_identification(np.eye(3)[:2], ["ann", "bob"], np.eye(3), ["ann", "bob", "eve"], fpir_target=[1.0])
    >>> result.dir_at_fpir[0].dir
    1.0
    """

    target: float
    dir: float
    threshold: float
    fpir: float
    false_alarms: int
    strangers: int
    resolvable: bool


@dataclass(frozen=True, repr=False)
class IdentificationResult(MetricResult):
    """Identification of a set of probes in a gallery.

    Attributes
    ----------
    gallery_images, gallery_people : int
        Number of images and of people in the gallery.
    probes, mated, strangers : int
        Number of probes, of those with a mate (an image of the same person) in the gallery, and of those without.
    ranks : tuple of int
        Ranks of the CMC.
    cmc : tuple of float
        For each rank, the share of mated probes whose mate has at most this rank; NaN without mated probes.
    mate_ranks : (mated,) int64
        Rank of each mated probe's mate among the people of the gallery, in the order of the probes; at most the largest of
        `ranks` + 1.
    mate_scores : (mated,) float64
        Cosine to the best image of the mate.
    stranger_scores : (strangers,) float64
        Best cosine of each probe without a mate.
    dir_at_fpir : tuple of DirAtFpir
        One entry per target, in the given order.

    Examples
    --------
    >>> import numpy as np
    >>> evaluate_identification(np.eye(3)[:2], ["ann", "bob"], np.eye(3), ["ann", "bob", "eve"], ranks=[1], fpir_target=[1.0])
    IdentificationResult: 2 images of 2 people in the gallery, 3 probes (2 mated)
      rank-1      1
      dir@fpir=1  1
    """

    _per_sample: ClassVar[tuple[str, ...]] = ("mate_ranks", "mate_scores", "stranger_scores")

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

    def name_values(self) -> list[tuple[str, float]]:
        """Return (name, value) pairs: `rank-R` for each rank, then `dir@fpir=F` for each rate."""
        pairs = [(f"rank-{rank}", share) for rank, share in zip(self.ranks, self.cmc)]
        return pairs + [(f"dir@fpir={at.target:g}", at.dir) for at in self.dir_at_fpir]

    def _summary(self) -> str:
        gallery = f"{counted(self.gallery_images, 'image')} of {counted(self.gallery_people, 'person')} in the gallery"
        return f"{gallery}, {self.probes:,} probes ({self.mated:,} mated)"


def evaluate_identification(
    gallery: Any,
    gallery_ids: Any,
    probes: Any,
    probe_ids: Any,
    ranks: Any = RANKS,
    fpir_target: Any = FPIRS,
    memory: int = MEMORY,
    progress: str | None = None,
) -> IdentificationResult:
    """Evaluate 1:N identification by cosine: closed set (CMC) and open set (DIR at FPIR).

    A person may have several images in the gallery; the best of them counts. The rank of a probe's mate is 1 + the number
    of other people whose best score is at least the mate's, so that a tie is no success. Probes without a mate in the
    gallery are excluded from the CMC and are the strangers of the open set. People of the gallery without a probe are
    distractors. Scores whose order rounding in float32 could change are compared in float64.

    Parameters
    ----------
    gallery, probes : array-like, (N, D) and (P, D) float
        Finite and not zero; they are normalized here.
    gallery_ids, probe_ids : array-like, (N,) and (P,)
        Identity of each embedding, names or integers. Equal ids are several images of one person.
    ranks : sequence of int, default 1, 5, 10, 20
        Ranks of the CMC.
    fpir_target : sequence of float, default 0.1, 0.01, 0.001
        For each rate, the threshold is the lowest that at most `floor(fpir * strangers)` strangers exceed.
    memory : int, default 256 MiB
        Bytes of working memory beside the embeddings.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    IdentificationResult

    Raises
    ------
    UsageError, DataError
        The gallery or the probes are empty; embeddings are NaN or zero, or differ in length; ids do not match the
        embeddings or each other in type; ranks or rates are out of range.

    Examples
    --------
    >>> import numpy as np
    >>> result = evaluate_identification(np.eye(2), [7, 8], [[1.0, 0.1], [0.9, 0.5]], [7, 8], ranks=[1, 2])
    >>> result.cmc
    (0.5, 1.0)
    """
    ranks, fpir_target = positive_integers(ranks, "ranks"), rates(fpir_target, "fpir_target")
    gallery, probes = unit_rows(gallery, "gallery"), unit_rows(probes, "probes")
    if gallery.shape[1] != probes.shape[1]:
        raise UsageError(
            f"the gallery's embeddings have length {gallery.shape[1]}, the probes' {probes.shape[1]}; use one network for both."
        )
    gallery_people, probe_people, count = _number_people(gallery_ids, probe_ids, len(gallery), len(probes))
    # The images of one person side by side, so that a person's best score is the maximum of a run.
    order = np.argsort(gallery_people, kind="stable")
    gallery, starts = gallery[order], np.searchsorted(gallery_people[order], np.arange(count + 1))
    mated = np.flatnonzero(probe_people < count)
    strangers = np.flatnonzero(probe_people >= count)
    scores, places = mate_ranks(gallery, starts, probes[mated], probe_people[mated], max(ranks), memory, progress)
    stranger_scores = top_k(probes[strangers], gallery, 1, memory, 1.001, progress)[0][:, 0]
    return IdentificationResult(
        gallery_images=len(gallery),
        gallery_people=count,
        probes=len(probes),
        mated=len(mated),
        strangers=len(strangers),
        ranks=ranks,
        cmc=tuple(float(np.mean(places <= rank)) if len(mated) else math.nan for rank in ranks),
        mate_ranks=places,
        mate_scores=scores,
        stranger_scores=stranger_scores,
        dir_at_fpir=tuple(_dir_at_fpir(target, scores[places == 1], len(mated), stranger_scores) for target in fpir_target),
    )


def _number_people(gallery_ids: Any, probe_ids: Any, gallery_images: int, probes: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the number of each image's person, that of each probe's person (`count` where unknown), and `count`."""
    gallery_ids = id_array(gallery_ids, "gallery_ids", gallery_images)
    probe_ids = id_array(probe_ids, "probe_ids", probes)
    kinds = {gallery_ids.dtype.kind, probe_ids.dtype.kind}
    if kinds == {"i", "u"}:
        # NumPy would compare them as floats, which are exact to 2**53 only.
        gallery_ids, probe_ids = gallery_ids.astype(object), probe_ids.astype(object)
    elif len(kinds) > 1:
        raise UsageError("gallery_ids and probe_ids have different types (names, bytes, integers); use one type for both.")
    people, gallery_people = np.unique(gallery_ids, return_inverse=True)
    place = np.searchsorted(people, probe_ids)
    known = people[np.minimum(place, len(people) - 1)] == probe_ids
    return gallery_people, np.where(known, place, len(people)), len(people)


def _dir_at_fpir(target: float, found: np.ndarray, mated: int, stranger_scores: np.ndarray) -> DirAtFpir:
    strangers = len(stranger_scores)
    if not mated or not is_resolvable(target, strangers):
        return DirAtFpir(target, math.nan, math.nan, math.nan, 0, strangers, False)
    allowed = max_errors(target, strangers)
    # At this score, one stranger too many would match.
    threshold = float(-np.sort(-stranger_scores)[allowed]) if allowed < strangers else -math.inf
    alarms = int(np.count_nonzero(stranger_scores > threshold))
    share = np.count_nonzero(found > threshold) / mated
    return DirAtFpir(target, float(share), threshold, alarms / strangers, alarms, strangers, True)
