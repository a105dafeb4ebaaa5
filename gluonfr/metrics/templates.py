from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from gluonfr.core import GluonFRError
from gluonfr.core.top_k import MEMORY, as_vectors
from gluonfr.metrics.identification import IdentificationResult, evaluate_identification
from gluonfr.metrics.operating import can_resolve
from gluonfr.metrics.protocol import label_array
from gluonfr.metrics.result import plain
from gluonfr.metrics.roc import ROC, roc_curve
from gluonfr.metrics.unit import unit_rows

FARS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)


def pool_templates(embeddings, template_ids, media_ids, weights=None):
    """One embedding a template: the mean within each medium, the sum over the media, L2-normalized.

    A template is what is known of a person at one time: photos, and videos of many frames. Each photo is a medium, all
    frames of a video are one, so that a long video does not outvote the photos (IJB-B, IJB-C).

    Parameters
    ----------
    embeddings : array-like, (N, D) float
        Of images, flip-summed where the protocol wants it. They are taken with the lengths they have, which carry quality in
        some networks; normalize them first where that is not wanted.
    template_ids : array-like, (N,)
    media_ids : array-like, (N,)
        Numbers that mean something within a template only.
    weights : array-like, (N,) float, default None
        Such as the detector's score of each image; multiplies its embedding.

    Returns
    -------
    pooled : float32 (T, D), rows of norm 1
    ids : (T,)
        The template of each row, rising.

    Raises
    ------
    GluonFRError
        Lengths that do not match, NaN, or a template whose sum is zero.
    """
    embeddings = as_vectors(embeddings, "embeddings")
    template_ids, media_ids = np.asarray(template_ids), np.asarray(media_ids)
    weights = np.ones(len(embeddings)) if weights is None else np.asarray(weights, dtype=np.float64)
    if {template_ids.shape, media_ids.shape, weights.shape} != {(len(embeddings),)} or not len(embeddings):
        raise GluonFRError(
            f"{len(embeddings)} embeddings came with template_ids {template_ids.shape}, media_ids {media_ids.shape} and "
            f"weights {weights.shape}; give one of each for every image, and at least one image."
        )
    if not (np.isfinite(weights).all() and weights.min() >= 0):
        raise GluonFRError("weights must be finite and not negative; check the detector's scores.")
    ids, template = np.unique(template_ids, return_inverse=True)
    # Images of one medium side by side, media of one template side by side.
    order = np.lexsort((media_ids, template))
    template, media = template[order], media_ids[order]
    begins = np.flatnonzero(np.append(True, (np.diff(template) != 0) | (media[1:] != media[:-1])))
    sizes = np.diff(np.append(begins, len(order)))
    # A sorted copy of all images once, instead of a loop over templates.
    weighted = embeddings[order]
    weighted *= weights[order, None].astype(np.float32)
    means = np.add.reduceat(weighted, begins, axis=0) / sizes[:, None].astype(np.float32)
    sums = np.add.reduceat(means, np.searchsorted(template[begins], np.arange(len(ids))), axis=0)
    return unit_rows(sums, "templates", ids, in_place=True), ids


@dataclass(frozen=True)
class TemplateVerification:
    """1:1 verification of pairs of templates.

    Attributes
    ----------
    pairs, genuine, impostors : int
    fars : tuple of float
    tars : tuple of float
        TAR at the point of the exact ROC whose FAR lies nearest to each rate, the higher TAR where two are as near; NaN
        where there are fewer impostor pairs than 1 / FAR.
    roc : ROC
        Of the distances 1 - cosine.
    auc, eer : float
    """

    pairs: int
    genuine: int
    impostors: int
    fars: tuple[float, ...]
    tars: tuple[float, ...]
    roc: ROC
    auc: float
    eer: float

    def name_values(self):
        """List of (name, float): `tar@far=F`, then auc and eer."""
        return [*((f"tar@far={far:g}", tar) for far, tar in zip(self.fars, self.tars)), ("auc", self.auc), ("eer", self.eer)]

    def to_dict(self):
        """Plain Python for JSON; NaN becomes None, the ROC is given by its corners."""
        return plain(self)


def template_verification(templates, ids, pairs, issame, fars=FARS, memory=MEMORY, progress=None):
    """The 1:1 protocol of IJB-B and IJB-C: cosine of listed pairs of templates, TAR at each FAR.

    Parameters
    ----------
    templates : array-like, (T, D) float
        As :func:`pool_templates` gives them.
    ids : array-like, (T,)
        The template of each row.
    pairs : array-like, (N, 2)
        Ids of the two templates of each pair; 8 million in IJB-B, 15.7 million in IJB-C.
    issame : array-like, (N,) of 0 or 1
    fars : sequence of float, default 1e-1 to 1e-6
    memory : int, default 256 MiB
        Bytes of working memory beside templates, pairs and scores.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    TemplateVerification

    Raises
    ------
    GluonFRError
        A pair names a template that is not there, an id stands twice, lengths that do not match, NaN or zero templates.
    """
    templates, issame, pairs = unit_rows(templates, "templates"), label_array(issame), np.asarray(pairs)
    if pairs.shape != (len(issame), 2) or not len(issame):
        raise GluonFRError(
            f"pairs {pairs.shape} and issame {issame.shape} do not fit; give two ids and one label for each pair."
        )
    if not all(0 < far <= 1 for far in fars):
        raise GluonFRError(f"fars are {tuple(fars)}; give false accept rates above 0 and at most 1.")
    places = _places(ids, len(templates), pairs.ravel()).reshape(-1, 2)
    distances = np.empty(len(issame), dtype=np.float32)
    step = max(1, memory // (16 * templates.shape[1]))
    with tqdm(
        total=len(issame), desc=progress, unit="pair", unit_scale=True, leave=False, disable=None if progress else True
    ) as bar:
        for start in range(0, len(issame), step):
            part = slice(start, start + step)
            distances[part] = 1 - np.einsum("ij,ij->i", templates[places[part, 0]], templates[places[part, 1]])
            bar.update(len(distances[part]))
    roc = roc_curve(np.clip(distances, 0, 2), issame)
    return TemplateVerification(
        pairs=len(issame),
        genuine=roc.genuine,
        impostors=roc.impostors,
        fars=tuple(fars),
        tars=tuple(_nearest(roc, far) for far in fars),
        roc=roc,
        auc=roc.auc,
        eer=roc.eer,
    )


def _nearest(roc, far):
    if not roc.genuine or not can_resolve(far, roc.impostors):
        return float("nan")
    gaps = np.abs(roc.far - far)
    # TAR rises along the curve: the last of equally near points has the highest.
    return float(roc.tar[np.flatnonzero(gaps == gaps.min())[-1]])


def _places(ids, rows, wanted, what="a pair"):
    """Row of each wanted template."""
    ids = np.asarray(ids)
    if ids.shape != (rows,):
        raise GluonFRError(f"ids {ids.shape} do not fit {rows} templates; give one id for each.")
    known, first = np.unique(ids, return_index=True)
    if len(known) != len(ids):
        raise GluonFRError("ids: a template stands there twice; pool its images into one.")
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    missing = np.flatnonzero(known[place] != wanted)
    if len(missing):
        raise GluonFRError(f"{what} names template {wanted[missing[0]]}, of which there is no embedding; embed its images too.")
    return first[place]


@dataclass(frozen=True)
class TemplateIdentification:
    """1:N identification over several galleries.

    Attributes
    ----------
    galleries : dict of str to IdentificationResult
    mean : dict of str to float
        Each figure of `IdentificationResult.name_values`, as the mean over the galleries; NaN where one has none.
    """

    galleries: dict[str, IdentificationResult]
    mean: dict[str, float]

    def to_dict(self):
        """Plain Python for JSON; NaN becomes None."""
        return plain({"galleries": {name: each.to_dict() for name, each in self.galleries.items()}, "mean": self.mean})


def template_identification(templates, ids, galleries, probes, memory=MEMORY, progress=None, **options):
    """The 1:N protocol of IJB-B and IJB-C: every probe template is looked for in each gallery.

    Both galleries hold one template a person, and no person stands in two, so that a probe has its mate in one of them and
    is a stranger to the other. TPIR at FPIR asks for the mate at rank 1.

    Parameters
    ----------
    templates : array-like, (T, D) float
    ids : array-like, (T,)
    galleries : dict of str to (template ids, subject ids)
        Such as {"G1": ..., "G2": ...}; a subject may have several templates there.
    probes : (template ids, subject ids)
    memory, progress, **options
        As :func:`gluonfr.metrics.evaluate_identification`.

    Returns
    -------
    TemplateIdentification

    Raises
    ------
    GluonFRError
        A template that is not there, no galleries, and what `evaluate_identification` refuses.
    """
    if not galleries:
        raise GluonFRError("galleries: there is none; give at least one.")
    templates = unit_rows(templates, "templates")

    def rows(listed, what):
        return templates[_places(ids, len(templates), np.asarray(listed[0]), what)], np.asarray(listed[1])

    probe_templates, probe_subjects = rows(probes, "the probes")
    results = {}
    for name, listed in galleries.items():
        gallery, subjects = rows(listed, f"gallery {name}")
        results[name] = evaluate_identification(
            gallery,
            subjects,
            probe_templates,
            probe_subjects,
            memory=memory,
            progress=progress and f"{progress} {name}",
            **options,
        )
    figures = [dict(result.name_values()) for result in results.values()]
    mean = {name: float(np.mean([each[name] for each in figures])) for name in figures[0]}
    return TemplateIdentification(results, mean)
