"""Faces of photos, and of frames of videos, as a network expects them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from gluonfr.align import align_face
from gluonfr.core import GluonFRError
from gluonfr.data.crops import crop_for_network
from gluonfr.detection.detector import Detections
from gluonfr.detection.selection import choose_face
from gluonfr.photos.find import find_photos, is_video
from gluonfr.photos.quality import check_quality
from gluonfr.photos.reading import Photo, PhotoError, read_file
from gluonfr.photos.videos import Video, check_times

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
    landmarks : np.ndarray, (5, 2), or None
        In pixels of the photo; None for an aligned crop.

    Examples
    --------
    >>> face = Face((10.0, 20.0, 60.0, 80.0), 0.99, np.zeros((112, 112, 3), np.uint8))
    >>> face.crop.shape
    (112, 112, 3)
    """

    box: tuple[float, float, float, float]
    score: float
    crop: np.ndarray
    landmarks: np.ndarray | None = None

    def problem(self) -> str:
        """Return why the face is too poor for a gallery, such as 'blurred (...)'; '' if it is good or an aligned crop."""
        if self.landmarks is None:
            return ""
        try:
            check_quality(self.crop, self.landmarks)
        except PhotoError as error:
            return str(error)
        return ""


def all_faces(
    embedder: Any, pixels: np.ndarray, aligned: bool | None = None, min_face: int = MIN_FACE, crop_template: str = ""
) -> list[Face]:
    """Find every face on a photo, from left to right.

    Parameters
    ----------
    embedder : Embedder
        Detects the faces; its card specifies the crops.
    pixels : np.ndarray, uint8 (H, W, 3)
        RGB.
    aligned : bool, optional
        Whether the image is one aligned crop. By default it is a photo, whatever its size, unless `crop_template` is set.
    min_face : int, default 32
        Shorter side in pixels of the smallest face to find.
    crop_template : str, default ''
        As :class:`gluonfr.photos.reading.Photo`.

    Raises
    ------
    PhotoError
        The image is a crop of another shape than the network expects.

    Examples
    --------
    >>> faces = all_faces(Embedder("y1"), Photo(read_file("group.jpg")).pixels())  # doctest: +SKIP
    """
    if is_crop(embedder, pixels, aligned, crop_template):
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
            faces.append(Face((x0, y0, x1, y1), float(score), _fit_crop(embedder, crop), landmarks))
    return sorted(faces, key=lambda face: face.box)


@dataclass(frozen=True)
class MainFace:
    """The face that is the subject of a photo of one person.

    Attributes
    ----------
    crop : np.ndarray, uint8 (H, W, 3)
        RGB, as the network expects it.
    ambiguous : bool, default False
        Whether another face could be the subject as well.
    is_crop : bool, default False
        Whether the file is an aligned crop.

    Examples
    --------
    >>> MainFace(np.zeros((112, 112, 3), np.uint8)).ambiguous
    False
    """

    crop: np.ndarray = field(repr=False)
    ambiguous: bool = False
    is_crop: bool = False


class Picture(NamedTuple):
    """A photo, or a frame of a video, that is searched for faces.

    Attributes
    ----------
    name : str
        The file; of a frame, the video and the time, such as `clip.mp4 at 12.0 s`.
    pixels : np.ndarray, uint8 (H, W, 3), or None
        RGB; None where it cannot be read.
    problem : str
        Why it cannot be read; of a video also which part of it.
    crop_template : str
        As :class:`gluonfr.photos.reading.Photo`.

    Examples
    --------
    >>> Picture("a.jpg", None, "no image").problem
    'no image'
    """

    name: str
    pixels: np.ndarray | None
    problem: str = ""
    crop_template: str = ""


def main_face(
    embedder: Any, content: bytes, aligned: bool | None = None, min_face: int = MIN_FACE, keep_poor: bool = True
) -> MainFace:
    """Find the face that is the subject of a photo of one person: the large one near the center.

    Parameters
    ----------
    embedder : Embedder
    content : bytes
        The image file.
    aligned, min_face
        As for :func:`all_faces`.
    keep_poor : bool, default True
        False refuses faces that :func:`gluonfr.photos.quality.check_quality` finds too poor. Aligned crops are not judged.

    Raises
    ------
    PhotoError
        There is no face, or it is too small or too poor, or the file cannot be read.

    Examples
    --------
    >>> main_face(Embedder("y1"), read_file("ann.jpg")).ambiguous  # doctest: +SKIP
    False
    """
    photo = Photo(content)
    pixels = photo.pixels()
    if is_crop(embedder, pixels, aligned, photo.crop_template):
        return MainFace(_fit_crop(embedder, pixels), is_crop=True)
    faces, index, ambiguous = choose_main_face(embedder, pixels, min_face)
    try:
        crop = align_face(pixels, faces.landmarks[index], embedder.card.template)
    except GluonFRError as error:
        raise PhotoError("no face", "its landmarks are not arranged like a face") from error
    if not keep_poor:
        check_quality(crop, faces.landmarks[index])
    return MainFace(_fit_crop(embedder, crop), ambiguous)


def choose_main_face(embedder: Any, pixels: np.ndarray, min_face: int = MIN_FACE) -> tuple[Detections, int, bool]:
    """Detect the faces of a photo and choose its subject.

    Large faces are searched first, and smaller ones only where there is none, which takes several times as long.

    Parameters
    ----------
    embedder : Embedder
    pixels : np.ndarray, uint8 (H, W, 3)
        RGB.
    min_face : int, default 32
        Shorter side in pixels of the smallest face to use.

    Returns
    -------
    faces : Detections
    index : int
        Of the subject.
    ambiguous : bool
        Whether another face could be the subject as well.

    Raises
    ------
    PhotoError
        There is no face, or it has fewer than `min_face` pixels.

    Examples
    --------
    >>> faces, index, ambiguous = choose_main_face(Embedder("y1"), pixels)  # doctest: +SKIP
    """
    faces = Detections(*embedder.detect(pixels))
    if not len(faces.boxes):
        faces = Detections(*embedder.detect(pixels, min_face))
    if not len(faces.boxes):
        raise PhotoError("no face", "an aligned crop must be declared as one" if max(pixels.shape[:2]) <= 160 else "")
    index, ambiguous = choose_face(faces.boxes, faces.scores, pixels.shape)
    if _side(faces.boxes[index]) < min_face:
        raise PhotoError("too small", f"a face of {_side(faces.boxes[index]):.0f} pixels")
    return faces, index, ambiguous


def is_crop(embedder: Any, pixels: np.ndarray, aligned: bool | None, crop_template: str) -> bool:
    """Return whether an image is an aligned crop: by the caller's word, or by the mark of this toolkit, never by its size.

    Parameters
    ----------
    embedder : Embedder
    pixels : np.ndarray, uint8 (H, W, 3)
    aligned : bool or None
        What the caller declares; None lets the mark decide.
    crop_template : str
        As :class:`gluonfr.photos.reading.Photo`.

    Examples
    --------
    >>> is_crop(None, np.zeros((112, 112, 3), np.uint8), None, "")
    False
    """
    if aligned is not None or not crop_template:
        return bool(aligned)
    card = embedder.card
    # Crops of ArcFace's template are aligned again for other networks.
    return crop_template == "arcface" or (crop_template == card.template and pixels.shape[:2] == tuple(card.image_size))


def pictures(
    paths: Iterable[str],
    every: float = 1.0,
    start: float = 0.0,
    end: float | None = None,
    progress: str | None = None,
) -> Iterator[Picture]:
    """Read all photos, and frames of all videos, among files and folders.

    Parameters
    ----------
    paths : iterable of str
    every : float, default 1.0
        Seconds between two frames of a video.
    start, end : float, optional
        Part of each video to read, in seconds. Default: all of it.
    progress : str, optional
        Text of a progress bar that counts files, and of one that shows the time within each video.

    Yields
    ------
    Picture

    Examples
    --------
    >>> for picture in pictures(["photos/", "clip.mp4"]):  # doctest: +SKIP
    ...     print(picture.name, picture.problem)
    """
    check_times(every, start, end)
    shown = {"disable": None if progress else True, "leave": False}
    for path in tqdm(find_photos(paths), desc=progress, unit="file", **shown):
        try:
            if is_video(path):
                video = Video(path, every, start, end)
                with tqdm(desc=os.path.basename(path), total=round(video.length, 1) or None, unit="s", **shown) as bar:
                    for seconds, pixels in video:
                        yield Picture(f"{path} at {seconds:.1f} s", pixels)
                        bar.update(seconds - start - bar.n)
                if video.problem:
                    yield Picture(path, None, str(video.problem))
            else:
                photo = Photo(read_file(path))
                yield Picture(path, photo.pixels(), "", photo.crop_template)
        except PhotoError as error:
            yield Picture(path, None, str(error))


def _fit_crop(embedder: Any, crop: np.ndarray) -> np.ndarray:
    try:
        return crop_for_network(crop, embedder.card.image_size, embedder.card.template, "the crop")
    except GluonFRError as error:
        raise PhotoError("wrong shape", str(error)) from error


def _side(box: np.ndarray) -> float:
    return float(min(box[2] - box[0], box[3] - box[1]))
