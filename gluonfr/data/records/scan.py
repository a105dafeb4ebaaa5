"""Where the images of a `.rec` lie and whose they are, from a look at every record's header, in little memory."""

from __future__ import annotations

import os
from bisect import bisect_left

import numpy as np
from tqdm import tqdm

from gluonfr.data.records import framing as recordio

HEADER_SIZE = 24
LABEL_LIMIT = 2**31

# Magic, length, flag, label, two ids of two words each, and the first of several labels.
_WORDS_LOOKED_AT = 9
# Records are looked at in blocks: of so many, and of so many bytes of the file, which may all come into memory.
_ROWS_AT_ONCE = 1 << 18
_BYTES_AT_ONCE = 1 << 26
# Header records are short: only records up to this many bytes are looked at.
_LONGEST_HEADER_RECORD = 2048
# Records from which on looking takes so long that it shows.
_MANY = 1_000_000


class Places:
    """Where each image's record begins and ends.

    Records follow each other without a gap, so a record ends where the next one begins, and only the ends of those before a
    header record, and of the last one, have to be remembered.

    Parameters
    ----------
    starts : int64 (n,), ascending
        Bytes where the images' records begin.
    before : int64 (m,), ascending
        The images that no image follows at once.
    ends : int64 (m,)
        Bytes where the records of those end.
    """

    def __init__(self, starts, before, ends) -> None:
        self.starts, self.before, self.ends_before = starts, before, ends

    @classmethod
    def among(cls, starts, size, headers):
        """From the starts of all records of a file of `size` bytes, which are used up, and the numbers of those that are
        headers.
        """
        if not len(starts) or len(headers) == len(starts):
            return cls(*np.zeros((3, 0), dtype=np.int64))
        last = np.setdiff1d(np.append(headers - 1, len(starts) - 1), np.append(headers, -1))
        ends = np.where(last + 1 < len(starts), starts[np.minimum(last + 1, len(starts) - 1)], size)
        return cls(_without(starts, headers), last - np.searchsorted(headers, last), ends)

    def __len__(self) -> int:
        return len(self.starts)

    def of(self, i):
        """(begin, end) of image i in bytes."""
        place = bisect_left(self.before, i)
        follows = self.before[place] != i
        return int(self.starts[i]), int(self.starts[i + 1] if follows else self.ends_before[place])

    def lengths(self, rows):
        """int64: the bytes of the records of a slice of images."""
        ends = np.empty(rows.stop - rows.start, dtype=np.int64)
        following = self.starts[rows.start + 1 : rows.stop + 1]
        ends[: len(following)] = following
        first, last = np.searchsorted(self.before, (rows.start, rows.stop))
        ends[self.before[first:last] - rows.start] = self.ends_before[first:last]
        return ends - self.starts[rows]


def _without(starts, rows):
    """np.delete(starts, rows) in the memory of `starts`."""
    kept = 0
    for begin in range(0, len(starts), _ROWS_AT_ONCE):
        first, last = np.searchsorted(rows, (begin, begin + _ROWS_AT_ONCE))
        block = np.delete(starts[begin : begin + _ROWS_AT_ONCE], rows[first:last] - begin)
        starts[kept : kept + len(block)] = block
        kept += len(block)
    return starts[:kept]


def find_headers(path, size, starts):
    """int64, ascending: which of a file's records are headers: flag > 0 and an empty payload."""
    found = [np.zeros(0, dtype=np.int64)]
    for rows, words in _blocks(path, size, starts, "header records"):
        begins = starts[rows]
        following = starts[rows.start + 1 : rows.stop + 1]
        length = (following if len(following) == len(begins) else np.append(following, size)) - begins
        short = np.flatnonzero((length <= _LONGEST_HEADER_RECORD) & (length >= recordio.FRAME.size + HEADER_SIZE))
        if len(short):
            places = (begins[short] - begins[0]) // 4
            flag = words[places + 2].astype(np.int64)
            found.append(short[(flag > 0) & (words[places + 1] == HEADER_SIZE + 4 * flag)] + rows.start)
    return np.concatenate(found)


def find_labels(path, size, places):
    """Yield (rows, labels, doubtful), block by block: the label of each record, int64, and the numbers of the records that
    are damaged or in several parts, whose label is -1.
    """
    for rows, words in _blocks(path, size, places.starts, "labels"):
        begins = (places.starts[rows] - places.starts[rows.start]) // 4

        def word(number, words=words, begins=begins):
            return words[np.minimum(begins + number, len(words) - 1)]

        frame, flag = word(1), word(2).astype(np.int64)
        length = (frame & recordio.LENGTH_MASK).astype(np.int64)
        label = np.where(flag == 0, word(3), word(8)).view("<f4")
        good = (word(0) == recordio.MAGIC) & (frame >> 29 == recordio.WHOLE)
        good &= recordio.FRAME.size + recordio.padded(length) == places.lengths(rows)
        good &= length >= HEADER_SIZE + 4 * flag
        good &= (label >= 0) & (label < LABEL_LIMIT) & (label == np.floor(label))
        yield rows, np.where(good, label, -1).astype(np.int64), (np.flatnonzero(~good) + rows.start).tolist()


def _blocks(path, size, starts, what):
    """Yield (rows, words): a slice of records, and the file's words from where the first of them begins.

    Each block is mapped by itself: pages of a map stay in memory as long as it lives, and they may be the whole file.
    """
    name, begin = os.path.basename(path), 0
    shown = None if len(starts) >= _MANY else True
    with tqdm(total=len(starts), desc=f"{name}: {what}", unit="record", unit_scale=True, disable=shown) as bar:
        while begin < len(starts):
            block = starts[begin : begin + _ROWS_AT_ONCE]
            end = begin + max(1, int(np.searchsorted(block, block[0] + _BYTES_AT_ONCE)))
            first, last = int(block[0]), min(int(starts[end - 1]) + 4 * _WORDS_LOOKED_AT, size)
            yield slice(begin, end), np.memmap(path, dtype="<u4", mode="r", offset=first, shape=((last - first) // 4,))
            bar.update(end - begin)
            begin = end
