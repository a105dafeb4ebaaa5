"""Degradations of an image: blur, noise and JPEG compression."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from gluonfr.core import generator

_NOISE_STEPS = 32.0


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur an image with a Gaussian of `sigma` pixels.

    Examples
    --------
    >>> blurred(np.full((4, 4, 3), 9, np.uint8), 1.0).max()
    9
    """
    # Three times as fast as cv2.GaussianBlur, which computes exactly in fixed point for 8 bits.
    kernel = cv2.getGaussianKernel(2 * int(2 * sigma + 1) + 1, sigma, cv2.CV_32F)
    return cv2.sepFilter2D(image, -1, kernel, kernel)


@lru_cache(maxsize=1)
def _noise_table() -> np.ndarray:
    # Drawing 112 x 112 x 3 normal numbers takes longer than all other changes together; drawing a place in a table does not.
    normal = generator(0).standard_normal(1 << 19, dtype=np.float32)
    return np.clip(np.rint(128 + _NOISE_STEPS * normal), 0, 255).astype(np.uint8)


def noisy(image: np.ndarray, sigma: float, draw: float) -> np.ndarray:
    """Add Gaussian noise of `sigma` gray levels; `draw` in [0, 1) selects the noise.

    Examples
    --------
    >>> noisy(np.zeros((4, 4, 3), np.uint8), 5.0, 0.5).shape
    (4, 4, 3)
    """
    table = _noise_table()
    start = int(draw * (table.size // 2))
    noise = table[start : start + image.size] if image.size <= table.size // 2 else np.resize(table[start:], image.size)
    weight = sigma / _NOISE_STEPS
    return cv2.addWeighted(image, 1.0, noise.reshape(image.shape), weight, -128 * weight)


def recompressed(image: np.ndarray, quality: int) -> np.ndarray:
    """Compress an image as JPEG of `quality` 1 to 100, and decode it.

    Examples
    --------
    >>> recompressed(np.zeros((4, 4, 3), np.uint8), 90).shape
    (4, 4, 3)
    """
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality))
    return cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
