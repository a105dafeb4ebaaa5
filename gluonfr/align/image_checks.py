from __future__ import annotations

import cv2
import numpy as np

from gluonfr.core import GluonFRError


def need_rgb(image):
    """The photo as a contiguous array if it is uint8 (H, W, 3), array or NDArray; anything else raises GluonFRError."""
    image = image.asnumpy() if hasattr(image, "asnumpy") else image
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise GluonFRError(f"image: a photo must be uint8 (H, W, 3) in RGB, got {got}; convert it first.")
    return np.ascontiguousarray(image)


def check_between(name, value, low, high):
    """The number if it lies in low..high, else GluonFRError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not low <= value <= high:
        raise GluonFRError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}.")
    return float(value)


def shrink_photo(image, max_pixels):
    """The photo with about `max_pixels` pixels at most, and how many pixels of the photo one of those is, (x, y)."""
    height, width = image.shape[:2]
    factor = (max_pixels / (height * width)) ** 0.5
    if factor >= 1:
        return image, np.ones(2, np.float32)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    ratio = np.array([width / size[0], height / size[1]], np.float32)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), ratio


def in_photo(faces, ratio):
    """Boxes, scores and landmarks of a shrunk photo in pixels of the photo itself; landmarks leave as pixel centers."""
    boxes, scores, landmarks = faces
    landmarks = landmarks * ratio - np.float32(0.5)
    return tuple(np.ascontiguousarray(each, np.float32) for each in (boxes * np.tile(ratio, 2), scores, landmarks))
