"""The EXIF orientation of a photo: how a viewer turns the stored pixels to show them upright."""

from __future__ import annotations

import numpy as np
from PIL import Image

_TAG = 0x0112


def read_orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of an image, 1 to 8; 1 (as stored) where it is missing or damaged.

    Examples
    --------
    >>> read_orientation(Image.new("RGB", (4, 3)))
    1
    """
    try:
        orientation = image.getexif().get(_TAG, 1)
    except Exception:  # a damaged EXIF block, which can fail in any way, is no reason to lose the photo
        return 1
    return orientation if orientation in range(1, 9) else 1


def rotate_by_orientation(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Turn stored pixels upright.

    Parameters
    ----------
    pixels : np.ndarray, (H, W, 3)
    orientation : int
        From :func:`read_orientation`.

    Returns
    -------
    np.ndarray, (H, W, 3), or (W, H, 3) for orientations 5 to 8

    Examples
    --------
    >>> rotate_by_orientation(np.zeros((30, 40, 3), np.uint8), 6).shape
    (40, 30, 3)
    """
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    # Rows are stored from the bottom in 3, 4, 7, 8; columns, after the transposition, from the right in 2, 3, 6, 7.
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
