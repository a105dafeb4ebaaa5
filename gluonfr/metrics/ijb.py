"""The 1:1 and 1:N protocols of IJB-B and IJB-C, whose unit is a set of photos and video frames (an IJB template)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from gluonfr.core import DataError, UsageError
from gluonfr.core.top_k import MEMORY, as_vectors
from gluonfr.metrics.checks import as_array, float_array, id_array, label_array, rates
from gluonfr.metrics.identification import IdentificationResult, evaluate_identification
from gluonfr.metrics.operating_points import FARS, is_resolvable
from gluonfr.metrics.results import MetricResult
from gluonfr.metrics.roc import ROC, roc_curve
from gluonfr.metrics.unit import unit_rows


def pool_ijb_templates(
    embeddings: Any, ijb_template_ids: Any, media_ids: Any, weights: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Pool the embeddings of each IJB template: mean per medium, sum over the media, L2-normalized.

    An IJB template is a set of media that show a person: photos, and videos of many frames. Each photo is one medium, and
    all frames of a video are one medium, so that a long video does not outweigh the photos.

    Parameters
    ----------
    embeddings : array-like, (N, D) float
        Embeddings of images, flip-summed where the protocol requires it. Their lengths are used, because they carry quality
        in some networks; normalize the embeddings first where that is not wanted.
    ijb_template_ids : array-like, (N,)
        IJB template of each image.
    media_ids : array-like, (N,)
        Medium of each image; unique within an IJB template only.
    weights : array-like, (N,) float, default None
        Factor of each embedding, such as the detector's score of the image.

    Returns
    -------
    pooled : (T, D) float32
        Rows of norm 1.
    ids : (T,)
        IJB template of each row, increasing.

    Raises
    ------
    UsageError, DataError
        Lengths do not match, numbers are NaN, or the embeddings of an IJB template sum to zero.

    Examples
    --------
    >>> pooled, ids = pool_ijb_templates([[3.0, 0.0], [1.0, 0.0], [0.0, 2.0]], [7, 7, 7], [1, 1, 2])
    >>> ids, pooled.round(3).tolist()
    (array([7]), [[0.7070000171661377, 0.7070000171661377]])
    """
    embeddings = as_vectors(as_array(embeddings, "embeddings"), "embeddings")
    if not len(embeddings):
        raise DataError("embeddings: there are none; give at least one image.")
    ijb_template_ids = id_array(ijb_template_ids, "ijb_template_ids", len(embeddings), "image")
    media_ids = id_array(media_ids, "media_ids", len(embeddings), "image")
    weights = np.ones(len(embeddings)) if weights is None else float_array(weights, "weights")
    if weights.shape != (len(embeddings),):
        raise UsageError(f"weights have shape {weights.shape} for {len(embeddings)} embeddings; give one weight per image.")
    if not (np.isfinite(weights).all() and weights.min() >= 0):
        raise DataError("weights must be finite and not negative; check the detector's scores.")
    ids, template = np.unique(ijb_template_ids, return_inverse=True)
    # Images of one medium side by side, media of one IJB template side by side.
    order = np.lexsort((media_ids, template))
    template, media = template[order], media_ids[order]
    begins = np.flatnonzero(np.append(True, (np.diff(template) != 0) | (media[1:] != media[:-1])))
    sizes = np.diff(np.append(begins, len(order)))
    # One sorted copy of all images replaces a loop over IJB templates.
    weighted = embeddings[order]
    # Overflow gives infinity, which is refused below.
    with np.errstate(over="ignore", invalid="ignore"):
        weighted *= weights[order, None].astype(np.float32)
        means = np.add.reduceat(weighted, begins, axis=0) / sizes[:, None].astype(np.float32)
        sums = np.add.reduceat(means, np.searchsorted(template[begins], np.arange(len(ids))), axis=0)
    return unit_rows(sums, "IJB templates", ids, in_place=True), ids


@dataclass(frozen=True, repr=False)
class IJBVerification(MetricResult):
    """Result of the 1:1 protocol of IJB.

    Attributes
    ----------
    pairs, genuine, impostors : int
        Number of pairs, of pairs of one person, and of pairs of two people.
    fars : tuple of float
        False accept rates.
    tars : tuple of float
        For each rate, TAR at the point of the exact ROC with the nearest FAR, the higher TAR where two are equally near; NaN
        where there are fewer impostor pairs than 1 / FAR.
    roc : ROC
        Exact curve of the distances 1 - cosine.
    auc, eer : float
        See :class:`ROC`.

    Examples
    --------
    >>> evaluate_ijb_verification([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], [1, 2, 3], [[1, 2], [1, 3]], [1, 0], fars=[1.0])
    IJBVerification: 2 pairs (1 genuine, 1 impostor)
      tar@far=1  1
      auc        1
      eer        0
    """

    pairs: int
    genuine: int
    impostors: int
    fars: tuple[float, ...]
    tars: tuple[float, ...]
    roc: ROC
    auc: float
    eer: float

    def name_values(self) -> list[tuple[str, float]]:
        """Return (name, value) pairs: `tar@far=F` for each rate, then auc and eer."""
        return [*((f"tar@far={far:g}", tar) for far, tar in zip(self.fars, self.tars)), ("auc", self.auc), ("eer", self.eer)]

    def _summary(self) -> str:
        return f"{self.pairs:,} pairs ({self.genuine:,} genuine, {self.impostors:,} impostor)"


def evaluate_ijb_verification(
    embeddings: Any,
    ids: Any,
    pairs: Any,
    issame: Any,
    fars: Any = FARS,
    memory: int = MEMORY,
    progress: str | None = None,
) -> IJBVerification:
    """Evaluate the 1:1 protocol of IJB-B and IJB-C: cosine of listed pairs of IJB templates, TAR at each FAR.

    Parameters
    ----------
    embeddings : array-like, (T, D) float
        Pooled embeddings, as :func:`pool_ijb_templates` returns them.
    ids : array-like, (T,)
        IJB template of each row.
    pairs : array-like, (N, 2)
        The two IJB templates of each pair; 8 million in IJB-B, 15.7 million in IJB-C.
    issame : array-like, (N,) of 0 or 1
        1 where the pair shows one person.
    fars : sequence of float, default 1e-1 to 1e-6
        False accept rates.
    memory : int, default 256 MiB
        Bytes of working memory beside embeddings, pairs and scores.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    IJBVerification

    Raises
    ------
    UsageError, DataError
        A pair names an IJB template without an embedding, an id is repeated, lengths do not match, or embeddings are NaN or
        zero.

    Examples
    --------
    >>> embeddings, ids = [[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], [1, 2, 3]
    >>> evaluate_ijb_verification(embeddings, ids, [[1, 2], [1, 3]], [1, 0], fars=[1.0]).auc
    1.0
    """
    fars = rates(fars, "fars")
    embeddings, issame, pairs = unit_rows(embeddings, "IJB templates"), label_array(issame), as_array(pairs, "pairs")
    if pairs.shape != (len(issame), 2) or not len(issame):
        raise UsageError(f"pairs {pairs.shape} and issame {issame.shape} do not match; give two ids and one label per pair.")
    rows = _rows(ids, len(embeddings), pairs.ravel(), "a pair").reshape(-1, 2)
    distances = np.empty(len(issame), dtype=np.float32)
    step = max(1, memory // (16 * embeddings.shape[1]))
    with tqdm(
        total=len(issame), desc=progress, unit="pair", unit_scale=True, leave=False, disable=None if progress else True
    ) as bar:
        for start in range(0, len(issame), step):
            part = slice(start, start + step)
            distances[part] = 1 - np.einsum("ij,ij->i", embeddings[rows[part, 0]], embeddings[rows[part, 1]])
            bar.update(len(distances[part]))
    roc = roc_curve(np.clip(distances, 0, 2), issame)
    return IJBVerification(
        pairs=len(issame),
        genuine=roc.genuine,
        impostors=roc.impostors,
        fars=fars,
        tars=tuple(_tar_at_nearest_far(roc, far) for far in fars),
        roc=roc,
        auc=roc.auc,
        eer=roc.eer,
    )


def _tar_at_nearest_far(roc: ROC, far: float) -> float:
    if not roc.genuine or not is_resolvable(far, roc.impostors):
        return float("nan")
    gaps = np.abs(roc.far - far)
    # TAR rises along the curve: the last of equally near points has the highest.
    return float(roc.tar[np.flatnonzero(gaps == gaps.min())[-1]])


def _rows(ids: Any, count: int, wanted: Any, what: str) -> np.ndarray:
    """Return the row of each wanted IJB template."""
    ids = id_array(ids, "ids", count, "IJB template")
    known, first = np.unique(ids, return_index=True)
    if len(known) != len(ids):
        raise UsageError("ids: an IJB template is listed twice; pool its images into one embedding.")
    wanted = id_array(wanted, f"the IJB templates of {what}")
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    missing = np.flatnonzero(known[place] != wanted)
    if len(missing):
        raise DataError(f"{what} names IJB template {wanted[missing[0]]}, which has no embedding; embed its images too.")
    return first[place]


@dataclass(frozen=True, repr=False)
class IJBIdentification(MetricResult):
    """Result of the 1:N protocol of IJB over several galleries.

    Attributes
    ----------
    galleries : dict of str to IdentificationResult
        Result of each gallery.
    mean : dict of str to float
        Mean of each figure of `IdentificationResult.name_values` over the galleries; NaN where a gallery has none.

    Examples
    --------
    >>> rows, ids = [[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]], [1, 2, 3]
    >>> galleries = {"G1": ([1, 2], ["ann", "bob"])}
    >>> evaluate_ijb_identification(rows, ids, galleries, ([3], ["ann"]), ranks=[1], fpir_target=[1.0]).mean["rank-1"]
    1.0
    """

    galleries: dict[str, IdentificationResult]
    mean: dict[str, float]

    def name_values(self) -> list[tuple[str, float]]:
        """Return the means as (name, value) pairs."""
        return list(self.mean.items())

    def _summary(self) -> str:
        return f"mean over {len(self.galleries)} galleries ({', '.join(self.galleries)})"


def evaluate_ijb_identification(
    embeddings: Any,
    ids: Any,
    galleries: Mapping[str, tuple[Any, Any]],
    probes: tuple[Any, Any],
    memory: int = MEMORY,
    progress: str | None = None,
    **options: Any,
) -> IJBIdentification:
    """Evaluate the 1:N protocol of IJB-B and IJB-C: every probe is searched in each gallery.

    Each gallery of the protocol holds one IJB template per person, and no person is in both, so that a probe has its mate in
    one gallery and is a stranger to the other. TPIR at FPIR requires the mate at rank 1.

    Parameters
    ----------
    embeddings : array-like, (T, D) float
        Pooled embeddings, as :func:`pool_ijb_templates` returns them.
    ids : array-like, (T,)
        IJB template of each row.
    galleries : dict of str to (ids of IJB templates, ids of subjects)
        Such as {"G1": ..., "G2": ...}; a subject may have several IJB templates there.
    probes : (ids of IJB templates, ids of subjects)
        The probes, which are the same for all galleries.
    memory, progress, **options
        As for :func:`gluonfr.metrics.evaluate_identification`.

    Returns
    -------
    IJBIdentification

    Raises
    ------
    UsageError, DataError
        An IJB template has no embedding, there are no galleries, or the errors of `evaluate_identification`.

    Examples
    --------
    >>> rows, ids = [[1.0, 0.0], [0.0, 1.0], [0.9, 0.1]], [1, 2, 3]
    >>> galleries = {"G1": ([1], ["ann"]), "G2": ([2], ["bob"])}
    >>> result = evaluate_ijb_identification(rows, ids, galleries, ([3], ["ann"]))
    >>> result.galleries["G1"].mated, result.galleries["G2"].mated
    (1, 0)
    """
    if not isinstance(galleries, Mapping) or not galleries:
        raise UsageError("galleries must be a dict with at least one gallery: name to (ids of IJB templates, ids of subjects).")
    for name, listed in (("the probes", probes), *galleries.items()):
        if not isinstance(listed, (tuple, list)) or len(listed) != 2:
            raise UsageError(f"{name}: give two lists, ids of IJB templates and ids of subjects.")
    embeddings = unit_rows(embeddings, "IJB templates")
    probe_rows = embeddings[_rows(ids, len(embeddings), probes[0], "the probes")]
    results = {}
    for name, (template_ids, subjects) in galleries.items():
        results[name] = evaluate_identification(
            embeddings[_rows(ids, len(embeddings), template_ids, f"gallery {name}")],
            subjects,
            probe_rows,
            probes[1],
            memory=memory,
            progress=progress and f"{progress} {name}",
            **options,
        )
    figures = [dict(result.name_values()) for result in results.values()]
    mean = {name: float(np.mean([values[name] for values in figures])) for name in figures[0]}
    return IJBIdentification(results, mean)
