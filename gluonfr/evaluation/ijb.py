from __future__ import annotations

import numpy as np

from gluonfr.align import align_face
from gluonfr.core import GluonFRError, atomic_file, read_npz
from gluonfr.metrics import pool_templates, template_identification, template_verification
from gluonfr.photos.reading import Photo, PhotoError, read_file


def image_embeddings(lists, embedder=None, stored=None, save=None, progress=None):
    """Embeddings of all images of IJB-B or IJB-C, cut out by the landmarks of its lists.

    Parameters
    ----------
    lists : data.ijb.IJB
    embedder : Embedder, optional
    stored : str, optional
        `.npz` that `save` wrote, in place of an embedder.
    save : str, optional
        `.npz` to write: `embeddings` (N, D), in the order of the lists.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    float32 (N, D), with the lengths that the network gives, flip-summed unless the embedder was told otherwise
    """
    if stored:
        embeddings = read_npz(stored, "the array embeddings, as --save writes it").get("embeddings", np.empty(0))
        if embeddings.ndim != 2 or len(embeddings) != len(lists.images):
            raise GluonFRError(f"{stored}: embeddings {embeddings.shape} for {len(lists.images)} images; it is another set's.")
        return embeddings
    embeddings = embedder(_Crops(lists, embedder.card.template), aligned=True, progress=progress, normalize=False)
    if save:
        with atomic_file(save) as file:
            np.savez(file, embeddings=embeddings)
    return embeddings


class _Crops:
    """Aligned crops of the images, made when they are asked for."""

    def __init__(self, lists, template) -> None:
        if lists.landmarks is None:
            raise GluonFRError(f"{lists.name}_name_5pts_score.txt is missing: it says where the faces are; fetch it too.")
        self._lists, self._template = lists, template

    def __len__(self) -> int:
        return len(self._lists.images)

    def __getitem__(self, i):
        path = self._lists.images[i]
        try:
            pixels = Photo(read_file(path)).pixels()
        except PhotoError as refused:
            raise GluonFRError(f"{path} cannot be used: {refused.reason}; fetch it again.") from refused
        return align_face(pixels, self._lists.landmarks[i], self._template)


def evaluate_ijb(lists, embeddings, detector_score=False, progress=None):
    """The 1:1 and 1:N protocols of IJB-B or IJB-C, as far as the lists go.

    Parameters
    ----------
    lists : data.ijb.IJB
    embeddings : (N, D) float
        Of all its images.
    detector_score : bool, default False
        Weight each image by the detector's score before pooling.
    progress : str, optional
        Text of progress bars.

    Returns
    -------
    (TemplateVerification or None, TemplateIdentification or None)
        None where the lists are missing.
    """
    weights = lists.detector_scores if detector_score else None
    if detector_score and weights is None:
        raise GluonFRError(f"{lists.name}_name_5pts_score.txt is missing, which holds the detector's scores; fetch it too.")
    if lists.pairs is None and not (lists.galleries and lists.probes):
        raise GluonFRError(f"{lists.name}: neither pairs nor galleries and probes are listed; fetch the lists of one protocol.")
    templates, ids = pool_templates(embeddings, lists.template_ids, lists.media_ids, weights)
    verification = identified = None
    if lists.pairs is not None:
        verification = template_verification(templates, ids, lists.pairs, lists.issame, progress=progress)
    if lists.galleries and lists.probes:
        identified = template_identification(templates, ids, lists.galleries, lists.probes, progress=progress)
    return verification, identified
