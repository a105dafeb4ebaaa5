from __future__ import annotations

import cv2
import numpy as np

from gluonfr.core import GluonFRError

_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_EXTENSIONS = (
    (b"\xff\xd8\xff", ".jpg"),
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
)


def decode(payload, where):
    """Decode an image file (JPEG, PNG, ...).

    Parameters
    ----------
    payload : bytes
    where : str or callable
        What names the image in a message, such as "train.rec: image 7", or a function that gives it.

    Returns
    -------
    uint8 (H, W, 3), RGB. An image that does not decode, or a JPEG that is cut off, raises GluonFRError.
    """
    image = None
    if payload and not _cut_off(payload):
        try:
            image = cv2.imdecode(np.frombuffer(payload, dtype=np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            image = None
    if image is None:
        where = where() if callable(where) else where
        raise GluonFRError(f"{where} does not decode as an image ({len(payload)} bytes); write or fetch it again.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def encode(image, quality=95):
    """JPEG bytes of an image, HWC uint8 RGB, array or NDArray."""
    image = as_rgb(image, "the image")
    done, payload = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    if not done:
        raise GluonFRError(f"the image of shape {image.shape} could not be written as a JPEG; use another size.")
    return payload.tobytes()


def as_rgb(image, where):
    """The image as a contiguous NumPy array if it is uint8 (H, W, 3); anything else raises GluonFRError."""
    image = image.asnumpy() if hasattr(image, "asnumpy") else image
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise GluonFRError(f"{where} must be uint8 (H, W, 3) in RGB, got {got}; convert it first.")
    return np.ascontiguousarray(image)


def fit(image, size, where):
    """Bring an image to the size that its set has.

    An image of the same shape is resized (area averaging when it shrinks, bilinear when it grows); the same shape means that
    scaling its height to the set's gives the set's width, to the nearest pixel. Another shape would be distorted: it raises
    GluonFRError.

    Parameters
    ----------
    image : uint8 (h, w, 3)
    size : (H, W)
    where : str or callable
        What names the image in a message, or a function that gives it.
    """
    (height, width), (to_height, to_width) = image.shape[:2], size
    if (height, width) == (to_height, to_width):
        return image
    if abs(width * to_height - to_width * height) * 2 > height:
        where = where() if callable(where) else where
        raise GluonFRError(
            f"{where} has {height}x{width} pixels (height x width), which would distort to {to_height}x{to_width}; "
            "align it to that size first."
        )
    shrinks = height > to_height or width > to_width
    return cv2.resize(image, (to_width, to_height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def _cut_off(payload):
    # OpenCV decodes the beginning of a JPEG that was cut off and paints the rest grey. Neither marker can stand inside a
    # scan, so the end must come after the last start of a scan; some cameras write more behind it.
    if not payload.startswith(_JPEG_START) or payload.endswith(_JPEG_END):
        return False
    return payload.rfind(_JPEG_END) < payload.rfind(_JPEG_SCAN)


def extension(payload):
    """'.jpg', '.png', ... by the image file's first bytes; '.image' where they are unknown."""
    if payload[:4] == b"RIFF" and payload[8:12] == b"WEBP":
        return ".webp"
    return next((each for start, each in _EXTENSIONS if payload.startswith(start)), ".image")
