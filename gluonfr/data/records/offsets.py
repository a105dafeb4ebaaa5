from __future__ import annotations

from bisect import bisect_left

import numpy as np

_BLOCK_ROWS = 1 << 18


class ImageOffsets:
    """Where the record of each image begins and ends in a `.rec`.

    Records follow each other without gaps, so a record ends where the next one begins. Only the ends of records before a header
    record, and of the last one, are stored.

    Parameters
    ----------
    starts : np.ndarray
        int64 (n,), ascending: the bytes where the images' records begin.
    before : np.ndarray
        int64 (m,), ascending: the images that no image follows directly.
    ends : np.ndarray
        int64 (m,): the bytes where the records of those images end.

    Examples
    --------
    >>> offsets = ImageOffsets.from_records(np.array([0, 8, 20]), 40, np.array([1]))
    >>> [offsets.span(i) for i in range(len(offsets))]
    [(0, 8), (20, 40)]
    """

    def __init__(self, starts: np.ndarray, before: np.ndarray, ends: np.ndarray) -> None:
        self.starts, self.before, self.ends_before = starts, before, ends

    def __repr__(self) -> str:
        return f"ImageOffsets(images={len(self)})"

    @classmethod
    def from_records(cls, starts: np.ndarray, size: int, headers: np.ndarray) -> ImageOffsets:
        """Make the offsets of images from those of all records.

        Parameters
        ----------
        starts : np.ndarray
            int64: where all records of the file start. The array is overwritten.
        size : int
            Bytes of the file.
        headers : np.ndarray
            int64, ascending: the numbers of the header records.
        """
        if not len(starts) or len(headers) == len(starts):
            return cls(*np.zeros((3, 0), dtype=np.int64))
        last = np.setdiff1d(np.append(headers - 1, len(starts) - 1), np.append(headers, -1))
        ends = np.where(last + 1 < len(starts), starts[np.minimum(last + 1, len(starts) - 1)], size)
        return cls(_delete_in_place(starts, headers), last - np.searchsorted(headers, last), ends)

    def __len__(self) -> int:
        return len(self.starts)

    def span(self, i: int) -> tuple[int, int]:
        """Return the bytes (begin, end) of image i."""
        place = bisect_left(self.before, i)
        follows = self.before[place] != i
        return int(self.starts[i]), int(self.starts[i + 1] if follows else self.ends_before[place])

    def lengths(self, rows: slice) -> np.ndarray:
        """Return the bytes of the records of a slice of images, int64."""
        ends = np.empty(rows.stop - rows.start, dtype=np.int64)
        following = self.starts[rows.start + 1 : rows.stop + 1]
        ends[: len(following)] = following
        first, last = np.searchsorted(self.before, (rows.start, rows.stop))
        ends[self.before[first:last] - rows.start] = self.ends_before[first:last]
        return ends - self.starts[rows]


def _delete_in_place(starts: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Compute np.delete(starts, rows) in the memory of `starts`."""
    filled = 0
    for begin in range(0, len(starts), _BLOCK_ROWS):
        first, last = np.searchsorted(rows, (begin, begin + _BLOCK_ROWS))
        block = np.delete(starts[begin : begin + _BLOCK_ROWS], rows[first:last] - begin)
        starts[filled : filled + len(block)] = block
        filled += len(block)
    return starts[:filled]
