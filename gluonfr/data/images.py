"""Image files inside sets: decoding within limits, encoding and resizing."""

from __future__ import annotations

from typing import Any, Callable, Union

import cv2
import numpy as np

from gluonfr.core import DataError, UsageError
from gluonfr.data.image_limits import exceeded_limit, image_size, still_png

# What names an image in a message: the words, or a function that returns them.
Where = Union[str, Callable[[], str]]

_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", b"\xff\xda", b"\xff\xd9"
_EXIF = b"Exif\0\0"
# OpenCV's flags by reduction.
_FLAGS = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_PNG_START = b"\x89PNG\r\n\x1a\n"
_EXTENSIONS = (
    (b"\xff\xd8\xff", ".jpg"),
    (_PNG_START, ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
)


def decode(content: bytes, where: Where, reduction: int = 1) -> np.ndarray:
    """Decode an image file (JPEG, PNG, WebP, BMP, GIF, TIFF or PNM) within the limits of `image_limits`.

    Parameters
    ----------
    content : bytes
        The image file.
    where : str or callable
        What names the image in a message, such as "train.rec: image 7", or a function that returns it.
    reduction : {1, 2, 4, 8}, default 1
        A JPEG is decoded at this part of its size, rounded up, which is faster than reducing it afterwards. Use 1 for others.

    Returns
    -------
    np.ndarray
        uint8 (H, W, 3), RGB.

    Raises
    ------
    DataError
        The image does not decode, is a truncated JPEG, or exceeds the limits.

    Examples
    --------
    >>> decode(encode(np.zeros((40, 60, 3), np.uint8)), "an image").shape
    (40, 60, 3)
    >>> decode(encode(np.zeros((40, 61, 3), np.uint8)), "an image", reduction=2).shape
    (20, 31, 3)
    """
    size, image = image_size(content), None
    excess = exceeded_limit(content, size)
    if excess:
        raise DataError(f"{_name(where)} {excess}; reduce the image or leave it out.")
    readable = still_png(content) if content.startswith(_PNG_START) else content
    if size is not None and readable and not _is_truncated(content):
        try:
            image = cv2.imdecode(np.frombuffer(readable, dtype=np.uint8), _FLAGS[reduction])
        except cv2.error:
            image = None
    if image is None:
        raise DataError(f"{_name(where)} does not decode as an image ({len(content)} bytes); write the file again.")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def jpeg_reduction(content: bytes, shorter_side: float) -> int:
    """Return the largest reduction for `decode` that leaves the shorter side of a JPEG as many pixels; 1 for other formats.

    A JPEG with EXIF data is not reduced: if it is turned, it would not begin at its first pixel.

    Examples
    --------
    >>> jpeg_reduction(encode(np.zeros((40, 60, 3), np.uint8)), shorter_side=16)
    2
    """
    size = image_size(content) if content.startswith(_JPEG_START) and _EXIF not in content else None
    fitting = (number for number in _FLAGS if size and number * shorter_side <= min(size))
    return max(fitting, default=1)


def encode(image: Any, quality: int = 95) -> bytes:
    r"""Encode an image as JPEG.

    Parameters
    ----------
    image : np.ndarray or mx.nd.NDArray
        uint8 (H, W, 3), RGB.
    quality : int, default 95
        JPEG quality, 1 to 100.

    Returns
    -------
    bytes
        The JPEG file.

    Examples
    --------
    >>> encode(np.zeros((8, 8, 3), np.uint8))[:2]
    b'\xff\xd8'
    """
    image = as_rgb(image, "the image")
    done, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    if not done:
        raise UsageError(f"the image of shape {image.shape} cannot be encoded as JPEG; use another size.")
    return content.tobytes()


def as_rgb(image: Any, where: str) -> np.ndarray:
    """Return an image as a contiguous NumPy array, or raise UsageError when it is not uint8 (H, W, 3).

    Parameters
    ----------
    image : np.ndarray or mx.nd.NDArray
        uint8 (H, W, 3), RGB.
    where : str
        What names the image in the message.

    Examples
    --------
    >>> as_rgb(np.zeros((2, 2), np.uint8), "photo 7")
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.UsageError: photo 7 must be uint8 (H, W, 3) in RGB, got uint8 (2, 2); convert it first.
    """
    image = image.asnumpy() if hasattr(image, "asnumpy") else image
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise UsageError(f"{where} must be uint8 (H, W, 3) in RGB, got {got}; convert it first.")
    return np.ascontiguousarray(image)


def resize(image: np.ndarray, size: tuple[int, int], where: Where) -> np.ndarray:
    """Resize an image to the size of its set, without distorting it.

    Area averaging is used when the image shrinks, bilinear interpolation when it grows. The aspect ratio must match: scaling
    the height to the new one must give the new width to the nearest pixel.

    Parameters
    ----------
    image : np.ndarray
        uint8 (h, w, 3).
    size : tuple of int
        (H, W).
    where : str or callable
        What names the image in a message, or a function that returns it.

    Returns
    -------
    np.ndarray
        uint8 (H, W, 3); `image` itself when it has that size.

    Raises
    ------
    DataError
        The image has another aspect ratio.

    Examples
    --------
    >>> resize(np.zeros((8, 8, 3), np.uint8), (4, 4), "an image").shape
    (4, 4, 3)
    """
    (height, width), (to_height, to_width) = image.shape[:2], size
    if (height, width) == (to_height, to_width):
        return image
    if abs(width * to_height - to_width * height) * 2 > height:
        raise DataError(
            f"{_name(where)} has {height}x{width} pixels (height x width), which would be distorted to {to_height}x{to_width}; "
            "align the image to that size first."
        )
    shrinks = height > to_height or width > to_width
    return cv2.resize(image, (to_width, to_height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def height_and_width(image: np.ndarray) -> tuple[int, int]:
    """Return (H, W) of an image.

    Examples
    --------
    >>> height_and_width(np.zeros((4, 6, 3)))
    (4, 6)
    """
    return image.shape[0], image.shape[1]


def extension(content: bytes) -> str:
    """Return the file name extension for an image file, or '.image' when the format is unknown.

    Examples
    --------
    >>> extension(encode(np.zeros((8, 8, 3), np.uint8)))
    '.jpg'
    """
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return next((name for start, name in _EXTENSIONS if content.startswith(start)), ".image")


def _name(where: Where) -> str:
    return where() if callable(where) else where


def _is_truncated(content: bytes) -> bool:
    # OpenCV decodes the beginning of a truncated JPEG and paints the rest gray. Neither marker can occur inside a scan, so
    # the end of the image must follow the last start of a scan. Some cameras write more data behind the end.
    if not content.startswith(_JPEG_START) or content.endswith(_JPEG_END):
        return False
    return content.rfind(_JPEG_END) < content.rfind(_JPEG_SCAN)
