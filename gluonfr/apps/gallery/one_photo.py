"""One photo at a time, as somebody hands it in who waits for the answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from gluonfr.apps.gallery.gallery import checked_name
from gluonfr.detection.selection import choose_face
from gluonfr.photos.faces import MIN_FACE, Face, all_faces
from gluonfr.photos.reading import PhotoError

# A box that somebody points at must share so much with a face's, of the union of the two.
_SAME_BOX = 0.5


@dataclass(frozen=True)
class Chosen:
    """The face of a photo that is meant.

    Attributes
    ----------
    face : Face
    faces : int
        On the photo.
    ambiguous : bool
        Whether another one could be meant as well.
    """

    face: Face
    faces: int
    ambiguous: bool


def chosen_face(embedder, pixels, box=None, aligned=None, min_face=MIN_FACE):
    """The face of a photo that is meant: `Chosen`. `PhotoError` says why there is none.

    Parameters
    ----------
    embedder : Embedder
    pixels : uint8 (H, W, 3) RGB
    box : sequence of 4 float, optional
        x0, y0, x1, y1 in pixels: the face that lies there. By default the large one in the middle.
    aligned, min_face
        As `Embedder` and `enroll_folder`.
    """
    faces = all_faces(embedder, pixels, aligned, min_face)
    if not faces:
        raise PhotoError("no face")
    boxes = np.array([face.box for face in faces])
    if box is None:
        index, ambiguous = choose_face(boxes, [face.score for face in faces], pixels.shape)
        return Chosen(faces[index], len(faces), ambiguous)
    shared = _shared(boxes, np.asarray(box, np.float64))
    index = int(shared.argmax())
    if not shared[index] >= _SAME_BOX:
        raise PhotoError("no face", "none in that box")
    return Chosen(faces[index], len(faces), False)


def enroll_photo(gallery, embedder, name, content, pixels, box=None, source="", aligned=None, min_face=MIN_FACE):
    """Enroll one face of one photo: returns how many photos of the person were new, 0 or 1.

    A photo of one face is known by its bytes, as `enroll_folder` knows it; of several faces each is a photo of its own, and
    without a box they are refused.

    Parameters
    ----------
    gallery : Gallery
    embedder : Embedder
        Of the gallery's network.
    name : str
    content : bytes
        The file.
    pixels : uint8 (H, W, 3) RGB
        What it shows.
    box, aligned, min_face
        As `chosen_face`.
    source : str, optional
        Where it came from.

    Raises
    ------
    PhotoError
        There is no face, or several and no box.
    GluonFRError
        What `Gallery.enroll` raises.
    """
    # Before a network runs for nothing.
    name = checked_name(name)
    chosen = chosen_face(embedder, pixels, box, aligned, min_face)
    if box is None and chosen.faces > 1:
        raise PhotoError("several faces", f"{chosen.faces} of them")
    known_by = content if chosen.faces == 1 else chosen.face.crop.tobytes()
    embedding = embedder([chosen.face.crop], aligned=True)
    return gallery.enroll(name, embedding, [hashlib.sha256(known_by).digest()], [source])


def _shared(boxes, box):
    """What each of (n, 4) boxes shares with one box, as a part of their union; NaN for a box without an area."""
    corners = np.clip(np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2]), 0, None)
    shared, areas = corners.prod(axis=1), (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return shared / (areas + (box[2:] - box[:2]).prod() - shared)
