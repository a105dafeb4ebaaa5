"""Find the header records and the labels of a `.rec` from the first bytes of every record, in little memory."""

from __future__ import annotations

import os
from typing import Iterator

import numpy as np
from tqdm import tqdm

from gluonfr.data.records.framing import FRAME, LENGTH_MASK, MAGIC, WHOLE
from gluonfr.data.records.header import HEADER, LABEL_LIMIT, is_header_record
from gluonfr.data.records.offsets import ImageOffsets

# Magic, length, flag, label, two ids of two words each, and the first of several labels.
_WORDS_READ = 9
# A block holds at most this many records and spans at most this many bytes of the file, all of which may be in memory.
_BLOCK_ROWS = 1 << 18
_BLOCK_BYTES = 1 << 26
# Header records are short: only records up to this many bytes are checked.
_MAX_HEADER_RECORD = 2048
# Reading this many records takes long enough for a progress bar.
_PROGRESS_ROWS = 1_000_000


def find_headers(path: str, size: int, starts: np.ndarray) -> np.ndarray:
    """Find the header records of a file.

    Parameters
    ----------
    path : str
        The `.rec`.
    size : int
        Its bytes.
    starts : np.ndarray
        int64: the byte where each record starts.

    Returns
    -------
    np.ndarray
        int64, ascending: the numbers of the header records, see `is_header_record`.

    Examples
    --------
    >>> find_headers("train.rec", 26_214_400, starts)  # doctest: +SKIP
    array([5967, 5968, ..., 6260])
    """
    found = [np.zeros(0, dtype=np.int64)]
    for rows, words in _blocks(path, size, starts, "header records"):
        begins = starts[rows]
        following = starts[rows.start + 1 : rows.stop + 1]
        length = (following if len(following) == len(begins) else np.append(following, size)) - begins
        short = np.flatnonzero((length <= _MAX_HEADER_RECORD) & (length >= FRAME.size + HEADER.size))
        if len(short):
            places = (begins[short] - begins[0]) // 4
            found.append(short[is_header_record(words[places + 2].astype(np.int64), words[places + 1])] + rows.start)
    return np.concatenate(found)


def find_labels(path: str, size: int, offsets: ImageOffsets) -> Iterator[tuple[slice, np.ndarray, list[int]]]:
    """Yield the labels of all images, block by block.

    Parameters
    ----------
    path : str
        The `.rec`.
    size : int
        Its bytes.
    offsets : ImageOffsets
        Where the images' records lie.

    Yields
    ------
    rows : slice
        The images of the block.
    labels : np.ndarray
        int64: their labels; -1 for damaged records and records in several parts.
    doubtful : list of int
        The numbers of the images that have -1.

    Examples
    --------
    >>> next(find_labels("train.rec", 26_214_400, offsets))  # doctest: +SKIP
    (slice(0, 5967, None), array([  0,   0, ..., 292]), [])
    """
    for rows, words in _blocks(path, size, offsets.starts, "labels"):
        begins = (offsets.starts[rows] - offsets.starts[rows.start]) // 4

        def word(number: int, words: np.ndarray = words, begins: np.ndarray = begins) -> np.ndarray:
            return words[np.minimum(begins + number, len(words) - 1)]

        frame, flag = word(1), word(2).astype(np.int64)
        length = (frame & LENGTH_MASK).astype(np.int64)
        label = np.where(flag == 0, word(3), word(8)).view("<f4")
        good = (word(0) == MAGIC) & (frame >> 29 == WHOLE)
        good &= FRAME.size + (length + 3) // 4 * 4 == offsets.lengths(rows)
        good &= length >= HEADER.size + 4 * flag
        good &= (label >= 0) & (label < LABEL_LIMIT) & (label == np.floor(label))
        yield rows, np.where(good, label, -1).astype(np.int64), (np.flatnonzero(~good) + rows.start).tolist()


def _blocks(path: str, size: int, starts: np.ndarray, what: str) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (rows, words): a slice of records, and the file's 32-bit words from the start of the first of them.

    Each block is mapped separately: the pages of a map stay in memory while it exists, and they may be the whole file.
    """
    name, begin = os.path.basename(path), 0
    hide = None if len(starts) >= _PROGRESS_ROWS else True
    with tqdm(total=len(starts), desc=f"{name}: {what}", unit="record", unit_scale=True, disable=hide) as bar:
        while begin < len(starts):
            block = starts[begin : begin + _BLOCK_ROWS]
            end = begin + max(1, int(np.searchsorted(block, block[0] + _BLOCK_BYTES)))
            first, last = int(block[0]), min(int(starts[end - 1]) + 4 * _WORDS_READ, size)
            yield slice(begin, end), np.memmap(path, dtype="<u4", mode="r", offset=first, shape=((last - first) // 4,))
            bar.update(end - begin)
            begin = end
