"""Where the records of a `.rec` start: from its `.idx`, or found by reading from record to record."""

from __future__ import annotations

import mmap
import os
import warnings
from array import array

import numpy as np
from tqdm import tqdm

from gluonfr.core import DataError
from gluonfr.data.records.framing import (
    FIRST,
    FRAME,
    LAST,
    LENGTH_MASK,
    MAGIC,
    MAGIC_BYTES,
    MIDDLE,
    WHOLE,
    not_a_record,
    padded,
    truncated,
)

_BLOCK_BYTES = 1 << 24
# Reading an `.idx` of this size takes long enough for a progress bar.
_PROGRESS_BYTES = 1 << 27
_REMEDY = "delete it so that it is rebuilt"


def find_records(path: str, size: int) -> np.ndarray:
    """Find the records of a `.rec` by reading from record to record.

    Parameters
    ----------
    path : str
        The `.rec`.
    size : int
        Its bytes.

    Returns
    -------
    np.ndarray
        int64: the byte where each record starts.

    Examples
    --------
    >>> import tempfile
    >>> from gluonfr.data.records.framing import split_frames
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(split_frames(b"one") + split_frames(b"three"))
    ...     file.flush()
    ...     find_records(file.name, 28).tolist()
    [0, 12]
    """
    starts, place, begin, word = array("q"), 0, 0, 0
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        while place < size:
            if place + FRAME.size > size:
                raise truncated(path, size, place, place + FRAME.size)
            magic, word = FRAME.unpack_from(content, place)
            if magic != MAGIC:
                raise not_a_record(path, place)
            if word >> 29 in (WHOLE, FIRST):
                begin = place
                starts.append(begin)
            place += FRAME.size + padded(word & LENGTH_MASK)
    if place > size or word >> 29 not in (WHOLE, LAST):
        raise truncated(path, size, begin, place)
    return np.array(starts, dtype=np.int64)


def read_index(index_path: str, path: str, size: int) -> np.ndarray:
    """Read an `.idx` and check it against its `.rec`.

    The rows themselves and the first and last record are checked. The records in between are checked when they are read.

    Parameters
    ----------
    index_path : str
        The `.idx`.
    path : str
        The `.rec`.
    size : int
        Bytes of the `.rec`.

    Returns
    -------
    np.ndarray
        int64, ascending: the byte where each record starts.

    Examples
    --------
    >>> read_index("train.idx", "train.rec", 28)  # doctest: +SKIP
    array([ 0, 12])
    """
    starts = read_offsets(index_path)
    if starts is None:
        raise DataError(f"{index_path} is not a list of record numbers and offsets, one pair per line; {_REMEDY}.")
    if not _is_ascending(starts):
        starts.sort()
    if starts[0] != 0 or not _is_ascending(starts) or np.bitwise_or.reduce(starts) & 3:
        raise DataError(f"{index_path}: its offsets are not starts of records (from 0, each once); {_REMEDY}.")
    if int(starts[-1]) + FRAME.size > size:
        raise DataError(
            f"{path} has {size} bytes, but {os.path.basename(index_path)} lists a record at byte {starts[-1]}: the .rec is "
            "truncated (copy it again), or the .idx belongs to another file (delete it so that it is rebuilt)."
        )
    if _end_of_last(index_path, path, size, int(starts[-1])) != size:
        raise DataError(f"{index_path} has fewer rows than {path} has records; {_REMEDY}.")
    return starts


def read_offsets(index_path: str) -> np.ndarray | None:
    r"""Read the offsets of an `.idx` in its order, as int64; return None when the file has another format.

    The record numbers are not used: their meaning differs from writer to writer, and the offsets give the order.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("1\t0\n2\t12\n")
    ...     file.flush()
    ...     read_offsets(file.name).tolist()
    [0, 12]
    """
    size, rest, filled = os.path.getsize(index_path), b"", 0
    hide = None if size > _PROGRESS_BYTES else True
    with open(index_path, "rb") as file, tqdm(
        total=size, desc=os.path.basename(index_path), unit="B", unit_scale=True, disable=hide
    ) as bar:
        offsets = np.empty(1 + sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK_BYTES), b"")), np.int64)
        file.seek(0)
        while True:
            block = file.read(_BLOCK_BYTES)
            bar.update(len(block))
            text = rest + block
            end = text.rfind(b"\n") + 1 if block else len(text)
            lines, rest = text[:end].strip(), text[end:]
            if lines:
                numbers = _whole_numbers(lines)
                rows = lines.count(b"\n") + 1
                if len(numbers) != 2 * rows:
                    return None
                offsets[filled : filled + rows] = numbers[1::2]
                filled += rows
            if not block:
                return offsets[:filled] if filled else None


def _whole_numbers(text: bytes) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, dtype=np.int64, sep=" ")
        except (ValueError, DeprecationWarning):
            return np.zeros(0, dtype=np.int64)


def _is_ascending(starts: np.ndarray) -> bool:
    return bool((starts[1:] > starts[:-1]).all())


def _end_of_last(index_path: str, path: str, size: int, start: int) -> int:
    with open(path, "rb") as file:
        if file.read(4) != MAGIC_BYTES:
            raise not_a_record(path, 0)
        end, part = start, None
        while part not in (WHOLE, LAST):
            file.seek(end)
            frame = file.read(FRAME.size)
            if len(frame) < FRAME.size:
                raise truncated(path, size, start, end + FRAME.size)
            magic, word = FRAME.unpack(frame)
            part = word >> 29
            if magic != MAGIC or part not in ((WHOLE, FIRST) if end == start else (MIDDLE, LAST)):
                raise DataError(f"{index_path} lists byte {start} of {path}, where no record starts; {_REMEDY}.")
            end += FRAME.size + padded(word & LENGTH_MASK)
    if end > size:
        raise truncated(path, size, start, end)
    return end
