from __future__ import annotations

import logging
import os
import weakref
from typing import Any, Callable

import numpy as np

from gluonfr.core import DataError
from gluonfr.core.paths import open_regular
from gluonfr.data.records.cache import cache_path, fingerprint, is_cacheable, load_cache, save_cache
from gluonfr.data.records.framing import join_frames
from gluonfr.data.records.header import split_labels, split_record
from gluonfr.data.records.index import find_records, read_index
from gluonfr.data.records.offsets import ImageOffsets
from gluonfr.data.records.scan import find_headers, find_labels

logger = logging.getLogger(__name__)


class RecordFile:
    r"""The images of a `train.rec`, read in any order, from any thread, before and after a fork.

    Image i is the i-th image of the file, 0 <= i < len(file). Header records, which some layouts place beside the images, are
    left out. When the file has no `.idx`, the records are found by reading through it, which is logged. The offsets and labels
    of a large file are cached in a `.cache` beside it.

    Parameters
    ----------
    path : str
        The `.rec` file.

    Attributes
    ----------
    path : str
        Absolute path of the `.rec`.
    size : int
        Its bytes.
    headers : int
        Number of header records.

    Raises
    ------
    DataError
        The file is missing, truncated or not a RecordIO file, or the `.idx` belongs to another file. The length, label and
        offset of a record are checked when it is read.

    Examples
    --------
    >>> import tempfile
    >>> from gluonfr.data.records.writer import RecordWriter
    >>> folder = tempfile.mkdtemp()
    >>> with RecordWriter(folder, image_size=(8, 8)) as writer:
    ...     writer.add(np.zeros((8, 8, 3), np.uint8), label=5)
    >>> file = RecordFile(f"{folder}/train.rec")
    >>> label, content = file.read(0)
    >>> label, content[:2]
    (5.0, b'\xff\xd8')
    """

    def __init__(self, path: str) -> None:
        self.path = os.path.abspath(os.path.expanduser(os.fspath(path)))
        self._index_path = os.path.splitext(self.path)[0] + ".idx"
        self._scanned: tuple[np.ndarray, dict[int, str]] | None = None
        try:
            with open_regular(self.path) as file:
                self._descriptor = os.dup(file.fileno())
            weakref.finalize(self, os.close, self._descriptor)
            self.size = os.fstat(self._descriptor).st_size
            self._fingerprints = [fingerprint(name) for name in (self.path, self._index_path)]
            self._offsets, self.headers, self._cached = self._open()
        except OSError as error:
            raise DataError(f"{error.filename or self.path} cannot be read ({error.strerror}); check the path.") from error
        if not len(self):
            raise DataError(f"{self.path} holds no images, only {self.headers} header records; write the file again.")

    def __repr__(self) -> str:
        return f"RecordFile({self.path!r}, images={len(self)}, headers={self.headers})"

    def __len__(self) -> int:
        return len(self._offsets)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return RecordFile, (self.path,)

    @property
    def max_problems(self) -> int:
        """Number of damaged records that are reported one by one: 1 % of the file, but at least 1000."""
        return max(1000, len(self) // 100)

    @property
    def labels(self) -> np.ndarray:
        """Labels of all images: int64 (len,), read-only. Damage raises DataError. The first use scans all records."""
        labels, problems = self.scan()
        if problems:
            raise DataError(problems[min(problems)])
        return labels

    def span(self, i: int) -> tuple[int, int]:
        """Return the bytes (begin, end) of the record of image i."""
        return self._offsets.span(i)

    def read(self, i: int) -> tuple[float, bytes]:
        """Read the label of image i, a float with a whole number >= 0, and its encoded image."""
        label, content = self._read(i, split_record)
        if self._cached is not None and self._cached[i] != label:
            cache = os.path.basename(cache_path(self.path))
            raise DataError(f"{self.describe(i)} has the label {label:g}, but {cache} records another one; delete {cache}.")
        return label, content

    def read_labels(self, i: int) -> tuple[np.ndarray, bytes]:
        """Read all labels of image i, float32 (n,), and its encoded image."""
        return self._read(i, split_labels)

    def _read(self, i: int, split: Callable[[bytes], tuple[Any, bytes]]) -> tuple[Any, bytes]:
        if not 0 <= i < len(self):
            raise IndexError(f"image {i} of {len(self)} in {self.path}")
        begin, end = self.span(i)
        record = join_frames(os.pread(self._descriptor, end - begin, begin))
        if record is None:
            raise DataError(
                f"{self.describe(i)} is damaged or {os.path.basename(self._index_path)} does not match: "
                "delete the .idx so that it is rebuilt, and copy the .rec again if that does not help."
            )
        try:
            return split(record)
        except ValueError as error:
            raise DataError(f"{self.describe(i)} {error}; write the file again, or skip damaged records.") from None

    def describe(self, i: int) -> str:
        """Return the words that name image i in a message: file, image number and byte."""
        return f"{self.path}: image {i} (its record starts at byte {self.span(i)[0]})"

    def scan(self) -> tuple[np.ndarray, dict[int, str]]:
        """Check the offset, length and label of every record.

        The result is computed once. That of a large file is stored in `train.cache` and reused while the files do not change.

        Returns
        -------
        labels : np.ndarray
            int64 (len,), read-only; -1 where the record is damaged.
        problems : dict of int to str
            What is wrong with each damaged record, by image number.

        Raises
        ------
        DataError
            More than `max_problems` records are damaged, which means that the file as a whole is wrong.
        """
        if self._scanned is None:
            if self._cached is None:
                self._scanned = self._scan_records()
            else:
                problems: dict[int, str] = {}
                for i in np.flatnonzero(self._cached < 0).tolist():
                    self._read_label(i, problems)
                self._scanned = self._cached, problems
        return self._scanned

    def _open(self) -> tuple[ImageOffsets, int, np.ndarray | None]:
        cached = load_cache(self.path, self._fingerprints)
        if cached is not None:
            return cached
        if self.size == 0:
            raise DataError(f"{self.path} is empty; write or copy it again.")
        if os.path.exists(self._index_path):
            starts = read_index(self._index_path, self.path, self.size)
        else:
            logger.warning("%s is missing: finding the records by reading through %s", self._index_path, self.path)
            starts = find_records(self.path, self.size)
        headers = find_headers(self.path, self.size, starts)
        return ImageOffsets.from_records(starts, self.size, headers), len(headers), None

    def _scan_records(self) -> tuple[np.ndarray, dict[int, str]]:
        cacheable = is_cacheable(self.path, len(self))
        # A cache is mapped from the disk in the end, so this memory is needed only until then.
        labels: np.ndarray = np.empty(len(self), dtype=np.int32 if cacheable else np.int64)
        problems: dict[int, str] = {}
        for rows, found, doubtful in find_labels(self.path, self.size, self._offsets):
            labels[rows] = found
            # These are rare: images that contain the magic word, and damage, which `read` describes.
            for i in doubtful:
                labels[i] = self._read_label(i, problems)
        if cacheable and save_cache(self.path, self._fingerprints, self._offsets, self.headers, labels):
            cached: Any = load_cache(self.path, self._fingerprints)
            if cached is not None:
                self._offsets, _, self._cached = cached
                return cached[2], problems
        labels = labels.astype(np.int64, copy=False)
        labels.setflags(write=False)
        return labels, problems

    def _read_label(self, i: int, problems: dict[int, str]) -> float:
        try:
            return self.read(i)[0]
        except DataError as error:
            problems[i] = str(error)
            if len(problems) > self.max_problems:
                raise DataError(f"more than {self.max_problems} records are damaged: {problems[min(problems)]}") from None
            return -1
