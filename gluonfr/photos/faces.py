"""Faces of photos, and frames of videos."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from gluonfr.align import align_face
from gluonfr.core import GluonFRError
from gluonfr.data.crops import crop_for_network
from gluonfr.detection.selection import choose_face
from gluonfr.photos.find import VIDEOS, find_pictures
from gluonfr.photos.reading import Photo, PhotoError, read_file

MIN_FACE = 32


@dataclass(frozen=True)
class Face:
    """A face on a picture.

    Attributes
    ----------
    box : tuple of 4 float
        x0, y0, x1, y1 in pixels of the picture.
    score : float
        Of the detector, 0 to 1.
    crop : uint8 (H, W, 3) RGB
        As the network takes it.
    """

    box: tuple
    score: float
    crop: np.ndarray


def all_faces(embedder, pixels, aligned=None, min_face=MIN_FACE):
    """Every face on a picture of at least `min_face` pixels, from the left to the right: list of Face.

    `pixels` is uint8 (H, W, 3) RGB; `aligned` as of `Embedder`: a crop is one face.
    """
    crop = _as_crop(embedder, pixels, aligned)
    if crop is not None:
        return [Face((0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0])), 1.0, crop)]
    faces = []
    for box, score, landmarks in zip(*embedder.detect(pixels)):
        if _side(box) >= min_face:
            try:
                crop = align_face(pixels, landmarks, embedder.card.template)
            except GluonFRError:
                # Landmarks that are no face's.
                continue
            faces.append(Face(tuple(map(float, box)), float(score), _fitted(embedder, crop)))
    return sorted(faces, key=lambda face: face.box)


def main_face(embedder, content, aligned=None, min_face=MIN_FACE):
    """The face that a photo of one person is about: (crop, whether another could be meant). PhotoError says why there is none."""
    pixels = Photo(content).pixels()
    crop = _as_crop(embedder, pixels, aligned)
    if crop is not None:
        return crop, False
    boxes, scores, landmarks = embedder.detect(pixels)
    if not len(boxes):
        raise PhotoError("no face")
    index, ambiguous = choose_face(boxes, scores, pixels.shape)
    if _side(boxes[index]) < min_face:
        raise PhotoError("too small", f"a face of {_side(boxes[index]):.0f} pixels")
    try:
        return _fitted(embedder, align_face(pixels, landmarks[index], embedder.card.template)), ambiguous
    except GluonFRError as error:
        raise PhotoError("no face", "its landmarks are no face's") from error


def pictures(paths, every=1.0):
    """(name, pixels or None, why not) of each picture among files and folders: photos, and frames of videos.

    Of a video a frame each `every` seconds is taken, named `clip.mp4 at 12.0 s`. Pixels are uint8 (H, W, 3) RGB.
    """
    if not every > 0:
        raise GluonFRError(f"every must be a number of seconds above 0, got {every}.")
    for path in find_pictures(paths):
        if path.lower().endswith(VIDEOS):
            yield from _frames(path, every)
            continue
        try:
            yield path, Photo(read_file(path)).pixels(), ""
        except PhotoError as refused:
            yield path, None, why(refused)


def why(refused):
    """The reason and its detail in one text."""
    return f"{refused.reason} ({refused.detail})" if refused.detail else refused.reason


def _as_crop(embedder, pixels, aligned):
    """What the network takes of a picture that is a crop already; None when it is a photo."""
    if not (aligned or (aligned is None and pixels.shape[:2] == embedder.card.image_size)):
        return None
    try:
        return _fitted(embedder, pixels)
    except GluonFRError as error:
        raise PhotoError("wrong shape", str(error)) from error


def _fitted(embedder, crop):
    return crop_for_network(crop, embedder.card.image_size, embedder.card.template, "the picture")


def _side(box):
    return min(box[2] - box[0], box[3] - box[1])


def _frames(path, every):
    video = cv2.VideoCapture(path)
    try:
        rate, taken = video.get(cv2.CAP_PROP_FPS), 0
        rate = rate if 0 < rate < 1000 else 25.0
        number = 0
        # Frames between are skipped without being decoded.
        while video.grab():
            if number >= taken * every * rate:
                read, frame = video.retrieve()
                if read:
                    yield f"{path} at {number / rate:.1f} s", np.ascontiguousarray(frame[:, :, ::-1]), ""
                taken += 1
            number += 1
        if not number:
            yield path, None, "unreadable (no frame of this video can be read)"
    finally:
        video.release()
