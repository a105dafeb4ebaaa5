"""Faces of photos, and of frames of videos, as a network expects them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gluonfr.align import align_face
from gluonfr.core import GluonFRError, UsageError
from gluonfr.data.crops import crop_for_network
from gluonfr.detection.selection import choose_face
from gluonfr.photos.find import find_photos, is_video
from gluonfr.photos.reading import Photo, PhotoError, read_file
from gluonfr.photos.videos import Video

MIN_FACE = 32


@dataclass(frozen=True)
class Face:
    """A face on a photo.

    Attributes
    ----------
    box : tuple of 4 float
        x0, y0, x1, y1 in pixels of the upright photo.
    score : float
        Of the detector, 0 to 1.
    crop : np.ndarray, uint8 (H, W, 3)
        RGB, as the network expects it.
    """

    box: tuple[float, float, float, float]
    score: float
    crop: np.ndarray


def all_faces(embedder: Any, pixels: np.ndarray, aligned: bool | None = None, min_face: int = MIN_FACE) -> list[Face]:
    """Find every face on a photo, from left to right.

    Parameters
    ----------
    embedder : Embedder
        Detects the faces; its card specifies the crops.
    pixels : np.ndarray, uint8 (H, W, 3)
        RGB.
    aligned : bool, optional
        True: the photo is one aligned crop. By default it is a photo, whatever its size.
    min_face : int, default 32
        Shorter side in pixels of the smallest face to find.

    Raises
    ------
    PhotoError
        `aligned` is True and the crop has another shape than the network expects.

    Examples
    --------
    >>> faces = all_faces(Embedder("y1"), Photo(read_file("group.jpg")).pixels())  # doctest: +SKIP
    """
    if aligned:
        box = (0.0, 0.0, float(pixels.shape[1]), float(pixels.shape[0]))
        return [Face(box, 1.0, _fit_crop(embedder, pixels))]
    faces = []
    for box, score, landmarks in zip(*embedder.detect(pixels, min_face)):
        if _side(box) >= min_face:
            try:
                crop = align_face(pixels, landmarks, embedder.card.template)
            except GluonFRError:
                continue  # the landmarks are not arranged like a face
            x0, y0, x1, y1 = map(float, box)
            faces.append(Face((x0, y0, x1, y1), float(score), _fit_crop(embedder, crop)))
    return sorted(faces, key=lambda face: face.box)


def main_face(embedder: Any, content: bytes, aligned: bool | None = None, min_face: int = MIN_FACE) -> tuple[np.ndarray, bool]:
    """Find the face that is the subject of a photo of one person: the large one near the center.

    Parameters
    ----------
    embedder : Embedder
    content : bytes
        The image file.
    aligned, min_face
        As for :func:`all_faces`.

    Returns
    -------
    crop : np.ndarray, uint8 (H, W, 3)
    ambiguous : bool
        Whether another face could be the subject as well.

    Raises
    ------
    PhotoError
        There is no face, or it is too small, or the file cannot be read.

    Examples
    --------
    >>> crop, ambiguous = main_face(Embedder("y1"), read_file("ann.jpg"))  # doctest: +SKIP
    """
    pixels = Photo(content).pixels()
    if aligned:
        return _fit_crop(embedder, pixels), False
    boxes, landmarks, index, ambiguous = choose_main_face(embedder, pixels, min_face)
    try:
        return _fit_crop(embedder, align_face(pixels, landmarks[index], embedder.card.template)), ambiguous
    except GluonFRError as error:
        raise PhotoError("no face", "its landmarks are not arranged like a face") from error


def choose_main_face(embedder: Any, pixels: np.ndarray, min_face: int) -> tuple[np.ndarray, np.ndarray, int, bool]:
    """Detect the faces of a photo and choose its subject: (boxes, landmarks, index, ambiguous).

    Large faces are searched first, and smaller ones only where there is none, which takes several times as long.

    Raises
    ------
    PhotoError
        There is no face, or it has fewer than `min_face` pixels.

    Examples
    --------
    >>> boxes, landmarks, index, ambiguous = choose_main_face(Embedder("y1"), pixels, 32)  # doctest: +SKIP
    """
    boxes, scores, landmarks = embedder.detect(pixels)
    if not len(boxes):
        boxes, scores, landmarks = embedder.detect(pixels, min_face)
    if not len(boxes):
        raise PhotoError("no face", "an aligned crop must be declared as one" if max(pixels.shape[:2]) <= 160 else "")
    index, ambiguous = choose_face(boxes, scores, pixels.shape)
    if _side(boxes[index]) < min_face:
        raise PhotoError("too small", f"a face of {_side(boxes[index]):.0f} pixels")
    return boxes, landmarks, index, ambiguous


def pictures(paths: Iterable[str], every: float = 1.0) -> Iterator[tuple[str, np.ndarray | None, str]]:
    """Read all photos, and frames of all videos, among files and folders.

    Parameters
    ----------
    paths : iterable of str
    every : float, default 1.0
        Seconds between two frames of a video.

    Yields
    ------
    name : str
        The file; of a frame, the video and the time, such as `clip.mp4 at 12.0 s`.
    pixels : np.ndarray, uint8 (H, W, 3), or None
        RGB; None where it cannot be read.
    problem : str
        Why it cannot be read; of a video also which part of it.

    Examples
    --------
    >>> for name, pixels, problem in pictures(["photos/", "clip.mp4"]):  # doctest: +SKIP
    ...     print(name, problem or pixels.shape)
    """
    if not every > 0:
        raise UsageError(f"every must be a number of seconds above 0, got {every}.")
    for path in find_photos(paths):
        try:
            if is_video(path):
                video = Video(path, every)
                for seconds, pixels in video:
                    yield f"{path} at {seconds:.1f} s", pixels, ""
                if video.problem:
                    yield path, None, str(video.problem)
            else:
                yield path, Photo(read_file(path)).pixels(), ""
        except PhotoError as error:
            yield path, None, str(error)


def _fit_crop(embedder: Any, crop: np.ndarray) -> np.ndarray:
    try:
        return crop_for_network(crop, embedder.card.image_size, embedder.card.template, "the crop")
    except GluonFRError as error:
        raise PhotoError("wrong shape", str(error)) from error


def _side(box: np.ndarray) -> float:
    return float(min(box[2] - box[0], box[3] - box[1]))
