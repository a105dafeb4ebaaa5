from __future__ import annotations

import cv2
import numpy as np

from gluonfr.align.image_checks import need_rgb
from gluonfr.align.templates import get_template, similarity_transform

# A face that shrinks more than this is halved and so on before it is turned, which bounds memory.
_FINEST_GRID = 16


def align_face(image, landmarks, template="arcface"):
    """Cut a face out of a photo, turned, scaled and shifted so that its landmarks lie where the template says.

    A face that is larger than its crop is averaged, not picked at points, so that fine patterns do not turn into coarse ones.
    What lies outside the photo is black.

    Parameters
    ----------
    image : uint8 (H, W, 3) array or NDArray
        The photo, RGB.
    landmarks : (5, 2)
        x and y in pixels: left eye, right eye, nose, left and right corner of the mouth.
    template : str or Template, default 'arcface'
        A name of `gluonfr.align.TEMPLATES`: 'arcface' (112x112), 'arcface_96x112' (96 wide), 'dlib' (150x150).

    Returns
    -------
    uint8 array (h, w, 3), RGB, in the template's size

    Raises
    ------
    GluonFRError
        The image is something else, or the landmarks cannot be a face's.
    """
    template = get_template(template)
    return _warp(need_rgb(image), similarity_transform(landmarks, template), template.image_size)


def align_faces(image, landmarks, template="arcface"):
    """Cut several faces out of one photo, as `align_face` does.

    Parameters
    ----------
    image : uint8 (H, W, 3) array or NDArray
    landmarks : (N, 5, 2)
        As a detector gives them; N may be 0.
    template : str or Template, default 'arcface'

    Returns
    -------
    uint8 array (N, h, w, 3)
    """
    template, image = get_template(template), need_rgb(image)
    crops = np.empty((len(landmarks), *template.image_size, 3), dtype=np.uint8)
    for crop, each in zip(crops, similarity_transform(landmarks, template)):
        crop[:] = _warp(image, each, template.image_size)
    return crops


def recut(crop, template):
    """Cut a crop of ArcFace's template again, for a network that wants another part of the face.

    The landmarks of an aligned crop lie where its template says, so that no detector is needed. What the new crop shows
    beyond the old one is black.

    Parameters
    ----------
    crop : uint8 (112, 112, 3) array, RGB
        As training and verification sets hold them.
    template : str or Template

    Returns
    -------
    uint8 array (h, w, 3), in the template's size
    """
    return align_face(crop, np.array(get_template("arcface").points), template)


def _warp(image, transform, size):
    height, width = size
    image, transform = _part(image, transform, size)
    if not image.size:
        return np.zeros((height, width, 3), dtype=np.uint8)
    grid = _grid(transform)
    if grid > _FINEST_GRID:
        image, transform = _shrink(image, transform, grid / _FINEST_GRID)
        grid = _grid(transform)
    fine = transform * grid
    fine[:, 2] += (grid - 1) / 2
    crop = cv2.warpAffine(image, fine, (width * grid, height * grid), flags=cv2.INTER_LINEAR, borderValue=0)
    return cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA) if grid > 1 else crop


def _grid(transform):
    """Points a side to take in each pixel of the crop, so that neighboring points are about a pixel of the photo apart."""
    return max(1, round(1 / np.hypot(*transform[:, 0])))


def _part(image, transform, size):
    """The part of the image that the crop sees, and the transform from there: OpenCV turns no image of 32768 pixels a side."""
    height, width = size
    corners = np.array([(-1, -1), (width, -1), (-1, height), (width, height)], dtype=np.float64)
    seen = np.linalg.solve(transform[:, :2], (corners - transform[:, 2]).T).T
    x0, y0 = np.clip(np.floor(seen.min(0)) - 1, 0, image.shape[1::-1]).astype(int)
    x1, y1 = np.clip(np.ceil(seen.max(0)) + 2, 0, image.shape[1::-1]).astype(int)
    transform = transform.copy()
    transform[:, 2] += transform[:, :2] @ (x0, y0)
    return image[y0:y1, x0:x1], transform


def _shrink(image, transform, factor):
    height, width = image.shape[:2]
    small = max(1, round(width / factor)), max(1, round(height / factor))
    ratio = np.array([width / small[0], height / small[1]])
    transform = transform.copy()
    # Pixel centers are whole numbers, so the small image's point p is the large one's (p + 1/2) * ratio - 1/2.
    transform[:, 2] += transform[:, :2] @ (ratio / 2 - 0.5)
    transform[:, :2] *= ratio
    return cv2.resize(image, small, interpolation=cv2.INTER_AREA), transform
