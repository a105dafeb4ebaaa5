"""Limits on the work of decoding an image file, checked before it is decoded."""

from __future__ import annotations

import io
import re
import struct
import warnings
from typing import Iterator

# Sets hold crops of faces: 4096 x 4096 pixels are far more than any of them has.
MAX_PIXELS = 1 << 24
# Encoders write 10 to 20 scans into a progressive JPEG. Decoding takes time for every scan, however short it is.
MAX_SCANS = 64

_JPEG_START, _JPEG_SCAN = b"\xff\xd8", b"\xff\xda"
_PNG_START = b"\x89PNG\r\n\x1a\n"
# Chunks of the frames after the first one.
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
# JPEG markers in a byte stream: without fill bytes, stuffed zeros and restart markers.
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN, _END_OF_IMAGE, _NO_LENGTH = 0xDA, 0xD9, (0x01, 0xD8)
# Pillow reads the size of these formats and OpenCV decodes them, from the same header. JPEG 2000 and AVIF store the size twice,
# so the two libraries may disagree on a crafted file.
_LONGEST_PNM_HEADER = 10_000
_OTHER_FORMATS = ("WEBP", "BMP", "GIF", "TIFF", "PPM")


def exceeded_limit(
    content: bytes, size: tuple[int, int] | None, max_pixels: int = MAX_PIXELS, max_scans: int = MAX_SCANS
) -> str:
    """Return which limit an image file exceeds, judged by its header and markers without decoding it.

    Parameters
    ----------
    content : bytes
        The image file.
    size : tuple of int or None
        (H, W) from `image_size`.
    max_pixels : int, default 2**24
        Largest height times width.
    max_scans : int, default 64
        Largest number of scans of a JPEG. Each scan costs the decoder a pass over all pixels.

    Returns
    -------
    str
        The second half of a sentence, such as "has 200 scans (at most 64 are read)"; empty when all limits are met.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.data.images import encode
    >>> content = encode(np.zeros((40, 60, 3), np.uint8))
    >>> exceeded_limit(content, image_size(content), max_pixels=1000)
    'has 40x60 pixels (at most 1,000 are read)'
    >>> exceeded_limit(content, image_size(content))
    ''
    """
    height, width = size or (0, 0)
    if height * width > max_pixels:
        return f"has {height}x{width} pixels (at most {max_pixels:,} are read)"
    # The bytes of the marker are counted first, which is faster than finding the markers.
    scans = count_jpeg_scans(content) if content.count(_JPEG_SCAN) > max_scans else 0
    return f"has {scans:,} scans (at most {max_scans:,} are read)" if scans > max_scans else ""


def image_size(content: bytes) -> tuple[int, int] | None:
    """Read the size of an image file from its header.

    Parameters
    ----------
    content : bytes
        The image file.

    Returns
    -------
    tuple of int or None
        (H, W) as stored, before any rotation by EXIF; None when the header is damaged or of an unknown format.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.data.images import encode
    >>> image_size(encode(np.zeros((4, 6, 3), np.uint8)))
    (4, 6)
    """
    if content.startswith(_JPEG_START):
        return _jpeg_size(content)
    if content.startswith(_PNG_START):
        width, height = struct.unpack_from(">II", content, 16) if len(content) >= 24 else (0, 0)
        return (height, width) if height and width else None
    return _size_by_pillow(content)


def count_jpeg_scans(content: bytes) -> int:
    """Count the scans of a JPEG without decoding it.

    Parameters
    ----------
    content : bytes
        An image file.

    Returns
    -------
    int
        The number of scans; 0 for other formats. Embedded thumbnails do not count.

    Examples
    --------
    >>> import numpy as np
    >>> from gluonfr.data.images import encode
    >>> count_jpeg_scans(encode(np.zeros((8, 8, 3), np.uint8)))
    1
    """
    if not content.startswith(_JPEG_START):
        return 0
    return sum(marker == _START_OF_SCAN for marker, _ in _jpeg_markers(content))


def still_png(content: bytes) -> bytes | None:
    r"""Return a PNG without its animation and what follows its end, or None when its chunks do not fit into the file.

    OpenCV allocates what the length of a chunk declares, gigabytes for a file of some bytes, and reads beyond the end of a
    PNG that has no pixels.

    Parameters
    ----------
    content : bytes
        A PNG file.

    Examples
    --------
    >>> still_png(b"\x89PNG\r\n\x1a\n" + b"\xff\xff\xff\xffIHDR") is None
    True
    """
    place, parts, start = len(_PNG_START), [], 0
    kind = b""
    while kind != b"IEND":
        kind, end = content[place + 4 : place + 8], place + 12 + int.from_bytes(content[place : place + 4], "big")
        # The header is the first chunk and the only one of its kind.
        if end > len(content) or (kind == b"IHDR") != (place == len(_PNG_START)):
            return None
        if kind in _ANIMATION:
            parts.append(content[start:place])
            start = end
        place = end
    return b"".join((*parts, content[start:place])) if parts or place < len(content) else content


def _jpeg_markers(content: bytes) -> Iterator[tuple[int, int]]:
    """Yield (marker, place of its segment), as libjpeg finds them: bytes between segments are skipped."""
    found = _MARKER.search(content, 2)
    while found:
        marker, place = found.group(1)[0], found.end()
        yield marker, place
        if marker == _END_OF_IMAGE:
            return
        length = 0 if marker in _NO_LENGTH else int.from_bytes(content[place : place + 2], "big")
        found = _MARKER.search(content, place + length)


def _jpeg_size(content: bytes) -> tuple[int, int] | None:
    for marker, place in _jpeg_markers(content):
        if marker in _FRAME_MARKERS:
            height, width = struct.unpack_from(">HH", content, place + 3) if place + 7 <= len(content) else (0, 0)
            return (height, width) if height and width else None
        if marker == _START_OF_SCAN:
            return None
    return None


def _size_by_pillow(content: bytes) -> tuple[int, int] | None:
    from PIL import Image

    if content.startswith(b"P"):
        # Of PNM, whose header may contain comments of any length.
        content = content[:_LONGEST_PNM_HEADER]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            Image.init()
            with Image.open(io.BytesIO(content), formats=[name for name in _OTHER_FORMATS if name in Image.OPEN]) as image:
                width, height = image.size
        except Image.DecompressionBombError:
            return 1 << 16, 1 << 16
        # Damaged headers can fail in any way.
        except Exception:
            return None
    return height, width
