"""Identification of the people on photos and videos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator, Sequence

import numpy as np

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.apps.gallery.unknown import Identification, Threshold
from gluonfr.deploy import Embedder
from gluonfr.photos.faces import MIN_FACE, all_faces, pictures
from gluonfr.photos.reading import PhotoError


@dataclass(frozen=True)
class IdentifiedFace:
    """A face on an image, and its identification.

    Attributes
    ----------
    box : tuple of 4 float
        x0, y0, x1, y1 in pixels.
    score : float
        Score of the detector.
    answer : Identification

    Examples
    --------
    >>> IdentifiedFace((0.0, 0.0, 9.04, 9.0), 0.99, Identification(None, ())).to_dict()
    {'box': [0.0, 0.0, 9.0, 9.0], 'score': 0.99, 'name': None, 'matches': []}
    """

    box: tuple[float, ...]
    score: float
    answer: Identification

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, for JSON."""
        return {"box": [round(corner, 1) for corner in self.box], "score": self.score, **self.answer.to_dict()}


@dataclass(frozen=True)
class IdentifiedImage:
    """An image and the people on it.

    Attributes
    ----------
    name : str
        Path of the file; of a frame, path of the video and time.
    pixels : np.ndarray, uint8 (H, W, 3) RGB, or None
    faces : list of IdentifiedFace
        From left to right.
    left_out : str
        Why the image has no result; empty otherwise.

    Examples
    --------
    >>> IdentifiedImage("a.jpg", None, [], "no face").to_dict()
    {'file': 'a.jpg', 'faces': [], 'left_out': 'no face'}
    """

    name: str
    pixels: np.ndarray | None
    faces: list[IdentifiedFace]
    left_out: str = ""

    def __repr__(self) -> str:
        return f"IdentifiedImage({self.name!r}, faces={len(self.faces)}, left_out={self.left_out!r})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, for JSON."""
        return {"file": self.name, "faces": [face.to_dict() for face in self.faces], "left_out": self.left_out}


def identify_faces(
    gallery: Gallery,
    embedder: Embedder,
    pixels: np.ndarray,
    threshold: Threshold,
    k: int = 5,
    aligned: bool | None = None,
    min_face: int = MIN_FACE,
    crop_template: str = "",
) -> list[IdentifiedFace]:
    """Identify all faces of an image.

    Parameters
    ----------
    gallery : Gallery
    embedder : Embedder
        With the gallery's network.
    pixels : np.ndarray, uint8 (H, W, 3) RGB
    threshold : Threshold
        From `Gallery.threshold`.
    k : int, default 5
        Number of candidates per face.
    aligned : bool, optional
        As `Embedder`.
    min_face : int, default 32
        Shorter side of the smallest face to use, in pixels.
    crop_template : str, default ''
        As `gluonfr.photos.reading.Photo`.

    Returns
    -------
    list of IdentifiedFace

    Raises
    ------
    PhotoError
        The image is an aligned crop of the wrong shape.

    Examples
    --------
    >>> faces = identify_faces(gallery, embedder, pixels, gallery.threshold())  # doctest: +SKIP
    >>> [face.answer.name for face in faces]  # doctest: +SKIP
    ['Ann', None]
    """
    faces = all_faces(embedder, pixels, aligned, min_face, crop_template)
    answers = gallery.identify(embedder([face.crop for face in faces], aligned=True), k, threshold) if faces else []
    return [IdentifiedFace(face.box, face.score, answer) for face, answer in zip(faces, answers)]


def identify_files(
    gallery: Gallery,
    embedder: Embedder,
    paths: Sequence[str],
    threshold: Threshold,
    k: int = 5,
    aligned: bool | None = None,
    min_face: int = MIN_FACE,
    every: float = 1.0,
    progress: str | None = None,
    start: float = 0.0,
    end: float | None = None,
) -> Iterator[IdentifiedImage]:
    """Iterate over the identified images of files and folders: photos, and frames of videos.

    Parameters
    ----------
    gallery, embedder, threshold, k, aligned, min_face
        As `identify_faces`.
    paths : sequence of str
        Photos, videos and folders.
    every : float, default 1.0
        Seconds between the frames of a video.
    progress : str, optional
        Text of a progress bar.
    start, end : float, optional
        Part of each video to look at, in seconds. Default: all of it.

    Yields
    ------
    IdentifiedImage

    Examples
    --------
    >>> for image in identify_files(gallery, embedder, ["photos"], gallery.threshold()):  # doctest: +SKIP
    ...     print(image)
    """
    for name, pixels, reason, crop_template in pictures(paths, every, start, end, progress):
        if pixels is None:
            yield IdentifiedImage(name, None, [], reason)
            continue
        try:
            faces = identify_faces(gallery, embedder, pixels, threshold, k, aligned, min_face, crop_template)
            yield IdentifiedImage(name, pixels, faces, "" if faces else "no face")
        except PhotoError as refused:
            yield IdentifiedImage(name, pixels, [], str(refused))
