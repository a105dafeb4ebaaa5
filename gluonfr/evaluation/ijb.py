"""The 1:1 and 1:N protocols of IJB-B and IJB-C, from images to results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gluonfr.align import align_face
from gluonfr.core import DataError, UsageError, atomic_file, read_npz
from gluonfr.metrics import evaluate_ijb_identification, evaluate_ijb_verification, pool_ijb_templates
from gluonfr.photos.reading import Photo, PhotoError, read_file

if TYPE_CHECKING:
    from gluonfr.deploy import Embedder
    from gluonfr.evaluation.ijb_files import IJB
    from gluonfr.metrics import IJBIdentification, IJBVerification


def embed_ijb(lists: IJB, embedder: Embedder, save: str | None = None, progress: str | None = None) -> np.ndarray:
    """Embed all images of IJB-B or IJB-C, aligned by the landmarks of the lists.

    Parameters
    ----------
    lists : IJB
    embedder : Embedder
    save : str, optional
        `.npz` to write the embeddings to, for :func:`read_ijb_embeddings`.
    progress : str, optional
        Label of a progress bar.

    Returns
    -------
    np.ndarray, float32 (N, D)
        Not normalized, in the order of the lists.

    Examples
    --------
    >>> embeddings = embed_ijb(read_ijb("IJBC/"), Embedder("y1"), save="ijbc.npz")  # doctest: +SKIP
    """
    embeddings = embedder(_Crops(lists, embedder.card.template), aligned=True, progress=progress, normalize=False)
    if save:
        with atomic_file(save) as file:
            np.savez(file, embeddings=embeddings)
    return embeddings


def read_ijb_embeddings(lists: IJB, path: str) -> np.ndarray:
    """Read the embeddings that :func:`embed_ijb` saved; raises DataError when they belong to another set.

    Examples
    --------
    >>> embeddings = read_ijb_embeddings(read_ijb("IJBC/"), "ijbc.npz")  # doctest: +SKIP
    """
    embeddings = read_npz(path, "the array embeddings, as `gluonfr ijb` saves it").get("embeddings", np.empty(0))
    if embeddings.dtype.kind not in "fiu" or embeddings.ndim != 2 or len(embeddings) != len(lists.images):
        raise DataError(
            f"{path}: embeddings {embeddings.dtype} {embeddings.shape} do not match the {len(lists.images)} images of "
            f"{lists.name}. Give the embeddings of this set."
        )
    return embeddings


class _Crops:
    """Sequence of the aligned crops of the images, each made on access."""

    def __init__(self, lists: IJB, template: str) -> None:
        if lists.landmarks is None:
            raise DataError(f"{lists.name}_name_5pts_score.txt is missing, which lists the landmarks. Add it to meta/.")
        self._images, self._landmarks, self._template = lists.images, lists.landmarks, template

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, i: int) -> np.ndarray:
        path = self._images[i]
        try:
            pixels = Photo(read_file(path)).pixels()
        except PhotoError as error:
            raise DataError(f"{path} cannot be used ({error.reason}). Download it again.") from error
        return align_face(pixels, self._landmarks[i], self._template)


def evaluate_ijb(
    lists: IJB, embeddings: np.ndarray, detector_score: bool = False, progress: str | None = None
) -> tuple[IJBVerification | None, IJBIdentification | None]:
    """Run the 1:1 and the 1:N protocol of IJB-B or IJB-C, as far as the lists are present.

    Parameters
    ----------
    lists : IJB
    embeddings : np.ndarray, (N, D)
        Embeddings of all images, in the order of the lists.
    detector_score : bool, default False
        Weight each image by the score of its detection before pooling.
    progress : str, optional
        Label of progress bars.

    Returns
    -------
    verification : IJBVerification or None
    identification : IJBIdentification or None
        None where the lists are missing.

    Raises
    ------
    DataError
        The lists of both protocols are missing.
    UsageError
        `detector_score` without a list of scores.

    Examples
    --------
    >>> verification, identification = evaluate_ijb(lists, embeddings)  # doctest: +SKIP
    """
    weights = lists.detector_scores if detector_score else None
    if detector_score and weights is None:
        raise UsageError(
            f"{lists.name}_name_5pts_score.txt is missing, which lists the detector's scores. Add it to meta/, or pass "
            "detector_score=False."
        )
    if lists.pairs is None and not (lists.galleries and lists.probes):
        raise DataError(
            f"{lists.name}: meta/ contains neither the list of pairs nor those of galleries and probes. Add the lists of one "
            "protocol."
        )
    templates, ids = pool_ijb_templates(embeddings, lists.template_ids, lists.media_ids, weights)
    verification = identification = None
    if lists.pairs is not None:
        verification = evaluate_ijb_verification(templates, ids, lists.pairs, lists.issame, progress=progress)
    if lists.galleries and lists.probes:
        identification = evaluate_ijb_identification(templates, ids, lists.galleries, lists.probes, progress=progress)
    return verification, identification
