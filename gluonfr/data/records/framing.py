"""RecordIO framing: a record is magic, length with a part number, content, padding to 4 bytes.

A record whose content holds the magic word at a multiple of 4 bytes is cut there into parts, without the word.
"""

from __future__ import annotations

import mmap
import os
import struct
import warnings
from array import array

import numpy as np
from tqdm import tqdm

from gluonfr.core import GluonFRError

MAGIC = 0xCED7230A
MAGIC_BYTES = struct.pack("<I", MAGIC)
FRAME = struct.Struct("<II")
LENGTH_MASK = (1 << 29) - 1
WHOLE, FIRST, MIDDLE, LAST = range(4)

_INDEX_AT_ONCE = 1 << 24
# Bytes from which on reading an `.idx` takes so long that it shows.
_LONG_INDEX = 1 << 27


def padded(length):
    """The length with its padding to a multiple of 4."""
    return (length + 3) // 4 * 4


def join(frames):
    """The content of the one record that fills `frames` (bytes) exactly, or None when it does not."""
    content, place, part = [], 0, None
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


def split(content):
    """The frames (bytes) of one record with this content."""
    if len(content) > LENGTH_MASK:
        raise GluonFRError(
            f"a record of {len(content)} bytes is too long for a .rec, which takes {LENGTH_MASK}; use a smaller image."
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


def walk(path, size):
    """int64: the byte where each record of a `.rec` of `size` bytes starts, found by going from record to record."""
    starts, place, begin = array("q"), 0, 0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        while place < size:
            if place + FRAME.size > size:
                raise cut_off(path, size, place, place + FRAME.size)
            magic, word = FRAME.unpack_from(content, place)
            if magic != MAGIC:
                raise no_records(path, place)
            if word >> 29 in (WHOLE, FIRST):
                begin = place
                starts.append(begin)
            place += FRAME.size + padded(word & LENGTH_MASK)
    if place > size or word >> 29 not in (WHOLE, LAST):
        raise cut_off(path, size, begin, place)
    return np.array(starts, dtype=np.int64)


def read_index(index_path, path, size):
    """int64, ascending: the byte where each record starts, from an `.idx` that is checked against its `.rec` of `size` bytes.

    Checked are the rows themselves and the first and the last record; the ones between show when they are read.
    """
    cure = "delete it so that it is rebuilt"
    starts = _second_column(index_path)
    if starts is None:
        raise GluonFRError(f"{index_path}: is not a list of record numbers and bytes, one pair a line; {cure}.")
    if not _ascending(starts):
        starts.sort()
    if starts[0] != 0 or not _ascending(starts) or np.bitwise_or.reduce(starts) & 3:
        raise GluonFRError(f"{index_path}: the bytes it gives are no starts of records (from 0, each once); {cure}.")
    if starts[-1] + FRAME.size > size:
        raise GluonFRError(
            f"{path}: has {size} bytes but {os.path.basename(index_path)} names a record at byte {starts[-1]}: the .rec is "
            "cut off (fetch it again), or the .idx belongs to another file (delete it so that it is rebuilt)."
        )
    end = _end_of_last(index_path, path, size, int(starts[-1]), cure)
    if end != size:
        raise GluonFRError(f"{index_path}: has fewer rows than {path} has records; {cure}.")
    return starts


def _second_column(index_path):
    """int64: the bytes that an `.idx` names, in its order; None when it is something else.

    The record numbers are not kept: what they count differs from writer to writer, and the bytes tell the order.
    """
    size, rest, filled = os.path.getsize(index_path), b"", 0
    with open(index_path, "rb") as file, tqdm(
        total=size, desc=os.path.basename(index_path), unit="B", unit_scale=True, disable=None if size > _LONG_INDEX else True
    ) as bar:
        column = np.empty(1 + sum(block.count(b"\n") for block in iter(lambda: file.read(_INDEX_AT_ONCE), b"")), np.int64)
        file.seek(0)
        while True:
            block = file.read(_INDEX_AT_ONCE)
            bar.update(len(block))
            text = rest + block
            end = text.rfind(b"\n") + 1 if block else len(text)
            lines, rest = text[:end].strip(), text[end:]
            if lines:
                numbers = _whole_numbers(lines)
                rows = lines.count(b"\n") + 1
                if len(numbers) != 2 * rows:
                    return None
                column[filled : filled + rows] = numbers[1::2]
                filled += rows
            if not block:
                return column[:filled] if filled else None


def _whole_numbers(text):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, dtype=np.int64, sep=" ")
        except (ValueError, DeprecationWarning):
            return np.zeros(0, dtype=np.int64)


def _ascending(starts):
    return bool((starts[1:] > starts[:-1]).all())


def _end_of_last(index_path, path, size, start, cure):
    with open(path, "rb") as file:
        if file.read(4) != MAGIC_BYTES:
            raise no_records(path, 0)
        end, part = start, None
        while part not in (WHOLE, LAST):
            file.seek(end)
            frame = file.read(FRAME.size)
            if len(frame) < FRAME.size:
                raise cut_off(path, size, start, end + FRAME.size)
            magic, word = FRAME.unpack(frame)
            part = word >> 29
            if magic != MAGIC or part not in ((WHOLE, FIRST) if end == start else (MIDDLE, LAST)):
                raise GluonFRError(f"{index_path}: names byte {start} of {path}, where no record starts; {cure}.")
            end += FRAME.size + padded(word & LENGTH_MASK)
    if end > size:
        raise cut_off(path, size, start, end)
    return end


def cut_off(path, size, start, end):
    return GluonFRError(
        f"{path}: is cut off, the record at byte {start} ends at byte {end} and the file at {size}; write or fetch it again."
    )


def no_records(path, place):
    return GluonFRError(f"{path}: no record starts at byte {place}, so it is damaged or no RecordIO file; fetch it again.")
