"""RecordIO framing: a record is magic word, length and part number, content, padding to 4 bytes.

A record whose content has the magic word at a multiple of 4 bytes is split there into parts, without the word.
"""

from __future__ import annotations

import struct

from gluonfr.core import DataError, UsageError

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)
FRAME = struct.Struct("<II")
LENGTH_MASK = (1 << 29) - 1
WHOLE, FIRST, MIDDLE, LAST = range(4)


def padded(length: int) -> int:
    """Return the length rounded up to a multiple of 4.

    Examples
    --------
    >>> padded(5)
    8
    """
    return (length + 3) // 4 * 4


def join_frames(frames: bytes) -> bytes | None:
    """Return the content of the single record that fills `frames` exactly, or None.

    Examples
    --------
    >>> join_frames(split_frames(b"content"))
    b'content'
    """
    content: list[bytes] = []
    place, part = 0, None
    while part not in (WHOLE, LAST):
        if place + FRAME.size > len(frames):
            return None
        magic, word = FRAME.unpack_from(frames, place)
        length, part = word & LENGTH_MASK, word >> 29
        if magic != MAGIC or part not in ((MIDDLE, LAST) if content else (WHOLE, FIRST)):
            return None
        place += FRAME.size
        content.append(frames[place : place + length])
        place += padded(length)
    if place != len(frames):
        return None
    return content[0] if len(content) == 1 else MAGIC_BYTES.join(content)


def split_frames(content: bytes) -> bytes:
    """Return the frames of one record with this content.

    Examples
    --------
    >>> len(split_frames(b"content"))
    16
    """
    if len(content) > LENGTH_MASK:
        raise UsageError(
            f"a record of {len(content)} bytes is too long for a .rec, which holds at most {LENGTH_MASK}; use a smaller image."
        )
    cuts, place = [], content.find(MAGIC_BYTES)
    while place >= 0:
        if place % 4 == 0:
            cuts.append(place)
        place = content.find(MAGIC_BYTES, place + 4 - place % 4)
    begins, ends = [0] + [cut + 4 for cut in cuts], cuts + [len(content)]
    parts = [FIRST] + [MIDDLE] * (len(cuts) - 1) + [LAST] if cuts else [WHOLE]
    frames = []
    for part, begin, end in zip(parts, begins, ends):
        length = end - begin
        frames += [FRAME.pack(MAGIC, part << 29 | length), content[begin:end], bytes(padded(length) - length)]
    return b"".join(frames)


def truncated(path: str, size: int, start: int, end: int) -> DataError:
    """Return the error of a `.rec` that ends before its last record does.

    Examples
    --------
    >>> print(truncated("train.rec", 100, 80, 120))
    train.rec is truncated, the record at byte 80 ends at byte 120 but the file at byte 100; copy or write the file again.
    """
    return DataError(
        f"{path} is truncated, the record at byte {start} ends at byte {end} but the file at byte {size}; "
        "copy or write the file again."
    )


def not_a_record(path: str, place: int) -> DataError:
    """Return the error of a `.rec` that has no record where one must start.

    Examples
    --------
    >>> print(not_a_record("train.rec", 80))
    train.rec: no record starts at byte 80, so the file is damaged or not a RecordIO file; copy it again.
    """
    return DataError(f"{path}: no record starts at byte {place}, so the file is damaged or not a RecordIO file; copy it again.")
