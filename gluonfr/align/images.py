import numpy as np

from gluonfr.core import GluonFRError


def need_rgb(image):
    """The photo as a contiguous array if it is uint8 (H, W, 3), array or NDArray; anything else raises GluonFRError."""
    image = image.asnumpy() if hasattr(image, "asnumpy") else image
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise GluonFRError(f"image: a photo must be uint8 (H, W, 3) in RGB, got {got}; convert it first.")
    return np.ascontiguousarray(image)
