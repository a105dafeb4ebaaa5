from __future__ import annotations

from typing import Any

import numpy as np

from gluonfr.core import UsageError


def require_rgb(image: Any, name: str = "image") -> np.ndarray:
    """Return the image as a contiguous array; anything but uint8 (H, W, 3) raises UsageError.

    Parameters
    ----------
    image : np.ndarray or mx.nd.NDArray, uint8 (H, W, 3)
    name : str, default 'image'
        What the message calls the image.

    Examples
    --------
    >>> require_rgb(np.zeros((4, 6, 3), np.uint8)).shape
    (4, 6, 3)
    """
    image = image.asnumpy() if hasattr(image, "asnumpy") else image
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UsageError(f"{name} must be uint8 (H, W, 3) in RGB, got {got}; convert it first.")
    return np.ascontiguousarray(image)
