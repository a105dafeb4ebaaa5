"""Aligned crops of faces, cut out of photos by their landmarks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from gluonfr.align.image_checks import require_rgb
from gluonfr.align.templates import Template, get_template, similarity_transform

# A photo with more points per pixel of the crop than this is reduced before it is warped, which bounds memory.
_FINEST_GRID = 16


def align_face(image: Any, landmarks: Any, template: str | Template = "arcface") -> np.ndarray:
    """Crop a face so that its landmarks lie at the positions of a template.

    A face that is larger than its crop is averaged instead of sampled, which avoids aliasing. Parts of the crop outside the
    photo are black.

    Parameters
    ----------
    image : np.ndarray or mx.nd.NDArray, uint8 (H, W, 3)
        The photo, RGB.
    landmarks : array_like, (5, 2)
        x and y in pixels: left eye, right eye, nose, left and right mouth corner.
    template : str or Template, default 'arcface'
        A name of `gluonfr.align.TEMPLATES`: 'arcface' (112x112), 'arcface_96x112' (112 rows, 96 columns), 'dlib' (150x150).

    Returns
    -------
    np.ndarray, uint8 (h, w, 3)
        RGB, in the size of the template.

    Raises
    ------
    UsageError
        The image is not uint8 (H, W, 3), or the landmarks are not arranged like a face.

    Examples
    --------
    >>> photo = np.full((200, 300, 3), 128, np.uint8)
    >>> eyes_nose_mouth = [(110, 80), (150, 80), (130, 105), (115, 125), (145, 125)]
    >>> align_face(photo, eyes_nose_mouth).shape
    (112, 112, 3)
    """
    template = get_template(template)
    return _warp(require_rgb(image), similarity_transform(landmarks, template), template.image_size)


def align_faces(image: Any, landmarks: Any, template: str | Template = "arcface") -> np.ndarray:
    """Crop several faces out of one photo, as :func:`align_face` does.

    Parameters
    ----------
    image : np.ndarray or mx.nd.NDArray, uint8 (H, W, 3)
        The photo, RGB.
    landmarks : array_like, (N, 5, 2)
        As a detector returns them; N may be 0.
    template : str or Template, default 'arcface'

    Returns
    -------
    np.ndarray, uint8 (N, h, w, 3)

    Raises
    ------
    UsageError
        As :func:`align_face`.

    Examples
    --------
    >>> align_faces(np.zeros((20, 20, 3), np.uint8), np.zeros((0, 5, 2)), "dlib").shape
    (0, 150, 150, 3)
    """
    template, image = get_template(template), require_rgb(image)
    crops = np.empty((len(landmarks), *template.image_size, 3), dtype=np.uint8)
    for crop, transform in zip(crops, similarity_transform(landmarks, template)):
        crop[:] = _warp(image, transform, template.image_size)
    return crops


def realign(crop: Any, template: str | Template) -> np.ndarray:
    """Align a crop of the 'arcface' template again, to another template.

    The landmarks of an aligned crop lie at the positions of its template, so no detector is needed. Parts of the new crop
    outside the old one are black.

    Parameters
    ----------
    crop : np.ndarray or mx.nd.NDArray, uint8 (112, 112, 3)
        RGB, as training and verification sets contain them.
    template : str or Template

    Returns
    -------
    np.ndarray, uint8 (h, w, 3)
        In the size of the template.

    Examples
    --------
    >>> realign(np.zeros((112, 112, 3), np.uint8), "dlib").shape
    (150, 150, 3)
    """
    return align_face(crop, get_template("arcface").points, template)


def _warp(image: np.ndarray, transform: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    image, transform = _visible_part(image, transform, size)
    if not image.size:
        return np.zeros((height, width, 3), dtype=np.uint8)
    grid = _grid(transform)
    if grid > _FINEST_GRID:
        image, transform = _shrink(image, transform, grid / _FINEST_GRID)
        grid = _grid(transform)
    fine = transform * float(grid)
    fine[:, 2] += (grid - 1) / 2
    crop = cv2.warpAffine(image, fine, (width * grid, height * grid), flags=cv2.INTER_LINEAR, borderValue=0)
    return cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA) if grid > 1 else crop


def _grid(transform: np.ndarray) -> int:
    """Return the sampling points per side of a pixel of the crop, about one pixel of the photo apart."""
    return max(1, round(1 / np.hypot(*transform[:, 0])))


def _visible_part(image: np.ndarray, transform: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the part of the image that the crop shows, and the transform from there.

    OpenCV cannot warp images with a side of 32768 pixels or more.
    """
    height, width = size
    corners = np.array([(-1, -1), (width, -1), (-1, height), (width, height)], dtype=np.float64)
    seen = np.linalg.solve(transform[:, :2], (corners - transform[:, 2]).T).T
    x0, y0 = np.clip(np.floor(seen.min(0)) - 1, 0, image.shape[1::-1]).astype(int)
    x1, y1 = np.clip(np.ceil(seen.max(0)) + 2, 0, image.shape[1::-1]).astype(int)
    transform = transform.copy()
    transform[:, 2] += transform[:, :2] @ np.array([x0, y0])
    return image[y0:y1, x0:x1], transform


def _shrink(image: np.ndarray, transform: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    height, width = image.shape[:2]
    small = max(1, round(width / factor)), max(1, round(height / factor))
    ratio = np.array([width / small[0], height / small[1]])
    transform = transform.copy()
    # Pixel centers are whole numbers, so point p of the small image is point (p + 1/2) * ratio - 1/2 of the large one.
    transform[:, 2] += transform[:, :2] @ (ratio / 2 - 0.5)
    transform[:, :2] *= ratio
    return cv2.resize(image, small, interpolation=cv2.INTER_AREA), transform
