"""Quality of face crops: blurred faces, or tiny ones that were enlarged, resemble each other more than they resemble people."""

from __future__ import annotations

import cv2
import numpy as np

# Measured on 56 head-and-shoulder photos (2026-11-29): sharp faces had 0.12 to 0.51, the same faces reduced to 10 pixels and
# enlarged again 0.02 to 0.10, those reduced to 14 pixels 0.04 to 0.13.
MIN_SHARPNESS = 0.11

_SIDE, _MARGIN, _COARSE = 112, 16, 20


def sharpness(crop: np.ndarray) -> float:
    """Measure the fine detail of a face, relative to its contrast.

    The center of the crop is compared with itself after a reduction to 20x20 pixels. What the reduction loses is the detail
    that an enlarged or blurred face does not have.

    Parameters
    ----------
    crop : np.ndarray, uint8 (H, W, 3)
        Aligned, RGB.

    Returns
    -------
    float
        Standard deviation of the detail divided by that of the crop; 0 for a crop of one color. Sharp faces have 0.12 or more.

    Examples
    --------
    >>> noise = np.random.RandomState(0).randint(0, 256, (112, 112, 3), np.uint8)
    >>> ramp = np.arange(112, dtype=np.uint8)[:, None, None].repeat(112, 1).repeat(3, 2)
    >>> sharpness(noise) > 0.5, sharpness(ramp) < 0.1
    (True, True)
    """
    gray = cv2.cvtColor(cv2.resize(crop, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    center = gray[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN].astype(np.float32)
    coarse = cv2.resize(center, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
    coarse = cv2.resize(coarse, center.shape[::-1], interpolation=cv2.INTER_CUBIC)
    contrast = float(center.std())
    return float((center - coarse).std()) / contrast if contrast > 0 else 0.0


def quality_problem(crop: np.ndarray, min_sharpness: float = MIN_SHARPNESS) -> str:
    """Return why a crop is too poor for a gallery or a training set; empty when it is good enough.

    Parameters
    ----------
    crop : np.ndarray, uint8 (H, W, 3)
        Aligned, RGB.
    min_sharpness : float, default 0.11
        See :func:`sharpness`.

    Examples
    --------
    >>> quality_problem(np.zeros((112, 112, 3), np.uint8))
    'sharpness 0.00, at least 0.11'
    """
    found = sharpness(crop)
    return f"sharpness {found:.2f}, at least {min_sharpness:.2f}" if found < min_sharpness else ""
