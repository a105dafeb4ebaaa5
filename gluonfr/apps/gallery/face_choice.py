"""Which face of a photo is meant: one in a box, or the large face nearest the middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

import numpy as np

from gluonfr.deploy import Embedder
from gluonfr.detection.selection import choose_face
from gluonfr.photos.faces import MIN_FACE, Face, all_faces
from gluonfr.photos.reading import PhotoError

# Intersection over union from which a box means a face.
_SAME_BOX = 0.5


@dataclass(frozen=True)
class ChosenFace:
    """The face of a photo that is meant.

    Attributes
    ----------
    face : Face
    faces : int
        Number of faces on the photo.
    ambiguous : bool
        Whether another face could be meant.

    Examples
    --------
    >>> ChosenFace(Face((0, 0, 9, 9), 0.9, np.zeros((9, 9, 3), np.uint8)), faces=2, ambiguous=True)
    ChosenFace(box=(0, 0, 9, 9), faces=2, ambiguous=True)
    """

    face: Face
    faces: int
    ambiguous: bool

    def __repr__(self) -> str:
        return f"ChosenFace(box={self.face.box}, faces={self.faces}, ambiguous={self.ambiguous})"


def select_face(
    embedder: Embedder,
    pixels: np.ndarray,
    box: Sequence[float] | None = None,
    aligned: bool | None = None,
    min_face: int = MIN_FACE,
    crop_template: str = "",
) -> ChosenFace:
    """Return the face of a photo that is meant.

    Parameters
    ----------
    embedder : Embedder
    pixels : np.ndarray, uint8 (H, W, 3) RGB
    box : sequence of 4 float, optional
        x0, y0, x1, y1 in pixels. Default: the large face nearest the middle.
    aligned : bool, optional
        As `Embedder`.
    min_face : int, default 32
        Shorter side of the smallest face, in pixels.
    crop_template : str, default ''
        As `gluonfr.photos.reading.Photo`.

    Returns
    -------
    ChosenFace

    Raises
    ------
    PhotoError
        There is no face, or none in the box.

    Examples
    --------
    >>> from gluonfr.core import Card
    >>> from gluonfr.deploy import RawPixels
    >>> embedder = Embedder(RawPixels(), Card(image_size=(8, 8)))
    >>> select_face(embedder, np.full((8, 8, 3), 200, np.uint8), aligned=True)
    ChosenFace(box=(0.0, 0.0, 8.0, 8.0), faces=1, ambiguous=False)
    """
    faces = all_faces(embedder, pixels, aligned, min_face, crop_template)
    if not faces:
        raise PhotoError("no face")
    boxes = np.array([face.box for face in faces])
    if box is None:
        index, ambiguous = choose_face(boxes, [face.score for face in faces], pixels.shape)
        return ChosenFace(faces[index], len(faces), ambiguous)
    overlap = _intersection_over_union(boxes, np.asarray(box, np.float64))
    index = int(overlap.argmax())
    if not overlap[index] >= _SAME_BOX:
        raise PhotoError("no face", "none in that box")
    return ChosenFace(faces[index], len(faces), False)


def _intersection_over_union(boxes: np.ndarray, box: Any) -> np.ndarray:
    """Return the overlap of (n, 4) boxes with one box; NaN for a box without an area."""
    sides = np.clip(np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2]), 0, None)
    shared, areas = sides.prod(axis=1), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return shared / (areas + (box[2:] - box[:2]).prod() - shared)
