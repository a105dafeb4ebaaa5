"""The mark of aligned crops that this toolkit wrote, which tells them from photos of the same size."""

from __future__ import annotations

import struct
import zlib

_START, _APP0, _COMMENT = b"\xff\xd8", b"\xff\xe0", b"\xff\xfe"
_PREFIX = b"gluonfr aligned crop "


def mark_crop(content: bytes, template: str) -> bytes:
    """Add the mark to a crop: a JPEG comment with the template and a checksum of the file.

    Programs that change an image may copy its comment; the checksum does not hold for such a copy.

    Parameters
    ----------
    content : bytes
        JPEG file.
    template : str
        Name of the template by which the crop is aligned.

    Examples
    --------
    >>> from gluonfr.data.images import encode
    >>> import numpy as np
    >>> crop = mark_crop(encode(np.zeros((112, 112, 3), np.uint8)), "arcface")
    >>> marked_template(crop), marked_template(crop + b"changed")
    ('arcface', '')
    """
    comment = _PREFIX + f"{template} {zlib.crc32(content):08x}".encode("ascii")
    place = _end_of_header(content)
    return content[:place] + _COMMENT + struct.pack(">H", 2 + len(comment)) + comment + content[place:]


def marked_template(content: bytes) -> str:
    """Return the template of a marked crop; '' for any other file.

    Parameters
    ----------
    content : bytes

    Examples
    --------
    >>> marked_template(b"no crop")
    ''
    """
    place = _end_of_header(content)
    if content[place : place + 2] != _COMMENT or not content.startswith(_PREFIX, place + 4):
        return ""
    end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    template, _, checksum = content[place + 4 + len(_PREFIX) : end].partition(b" ")
    same = checksum == b"%08x" % zlib.crc32(content[end:], zlib.crc32(content[:place]))
    return template.decode("ascii", "replace") if same else ""


def _end_of_header(content: bytes) -> int:
    """Return the place behind the start of a JPEG and its JFIF segment, which must come first."""
    if not content.startswith(_START):
        return 0
    if content[2:4] != _APP0:
        return 2
    return 4 + int.from_bytes(content[4:6], "big")
