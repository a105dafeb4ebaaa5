from __future__ import annotations

import logging
import os
import shutil
import struct
import tempfile
from array import array
from contextlib import ExitStack
from typing import IO, Any

import numpy as np

from gluonfr.core import UsageError, atomic_files
from gluonfr.data import images
from gluonfr.data.records.framing import join_frames, split_frames
from gluonfr.data.records.header import HEADER, LABEL_LIMIT

logger = logging.getLogger(__name__)


class RecordWriter:
    """Write a training set: `train.rec`, `train.idx` and `property` in one folder.

    Use it as a context manager. The three files are written atomically when the block ends without an error. The layout is
    InsightFace's: images are records 1..N, then one header record per person with the range of their images, then record 0 with
    the range of these headers.

    Images may be added in any order. The images of one person must be adjacent in the file, so if they were not added by
    ascending label, the file is rewritten in that order at the end. This needs its size once more on the disk, not in memory.
    `num_classes` is the largest label + 1. Labels without images get no header record and are logged.

    Parameters
    ----------
    folder : str
        Created when missing; `root/NAME` makes the set available as NAME.
    image_size : tuple of int, default (112, 112)
        (H, W) that every image must have.
    quality : int, default 95
        JPEG quality of images that are given as pixels.

    Examples
    --------
    >>> folder = tempfile.mkdtemp()
    >>> with RecordWriter(folder, image_size=(8, 8)) as writer:
    ...     writer.add(np.zeros((8, 8, 3), np.uint8), label=0)
    >>> sorted(os.listdir(folder))
    ['property', 'train.idx', 'train.rec']
    """

    _rec: IO[bytes]
    _idx: IO[bytes]
    _property: IO[bytes]

    def __init__(self, folder: str, image_size: tuple[int, int] = (112, 112), quality: int = 95) -> None:
        self.folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
        self.image_size = tuple(int(length) for length in image_size)
        self.quality = quality
        self._labels, self._starts = array("q"), array("q")
        self._files: ExitStack | None = None

    def __repr__(self) -> str:
        return f"RecordWriter({self.folder!r}, images={len(self)}, image_size={self.image_size})"

    def __len__(self) -> int:
        return len(self._labels)

    def __enter__(self) -> RecordWriter:
        self._files = ExitStack()
        names = ("train.idx", "property", "train.rec")
        self._idx, self._property, self._rec = self._files.enter_context(
            atomic_files(*(os.path.join(self.folder, name) for name in names), mode="w+b")
        )
        # Runs before the files are closed and renamed.
        self._files.push(self._finish)
        return self

    def __exit__(self, *exception: Any) -> None:
        files, self._files = self._files, None
        assert files is not None
        files.__exit__(*exception)

    def add(self, image: Any, label: int) -> None:
        """Append one image.

        Parameters
        ----------
        image : np.ndarray, mx.nd.NDArray or bytes
            uint8 (H, W, 3) RGB, which is written as JPEG; or an encoded image, which is stored unchanged.
        label : int
            The person, 0 <= label < 2**24 (records hold labels as float32).
        """
        if self._files is None:
            raise UsageError(f"{self.folder}: open the writer first: `with RecordWriter(folder) as writer: writer.add(...)`.")
        where = f"image {len(self)} for {self.folder}"
        if isinstance(label, bool) or not isinstance(label, (int, np.integer)) or not 0 <= label < LABEL_LIMIT:
            raise UsageError(f"{where}: the label must be a whole number from 0 to {LABEL_LIMIT - 1}, got {label!r}.")
        if isinstance(image, (bytes, bytearray, memoryview)):
            content: bytes | None = bytes(image)
            image = images.decode(bytes(image), where)
        else:
            content, image = None, images.as_rgb(image, where)
        if image.shape[:2] != self.image_size:
            raise UsageError(f"{where} has the size {image.shape[:2]}, this set has {self.image_size}; resize it first.")
        content = images.encode(image, self.quality) if content is None else content
        self._labels.append(int(label))
        self._starts.append(self._rec.tell())
        self._rec.write(split_frames(HEADER.pack(0, label, len(self), 0) + content))

    def _finish(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is not None:
            return
        if not len(self):
            raise UsageError(f"{self.folder}: no image was added; a training set needs at least one.")
        labels = np.array(self._labels, dtype=np.int64)
        if (np.diff(labels) < 0).any():
            order = np.argsort(labels, kind="stable")
            self._reorder(order)
            labels = labels[order]
        people, first = np.unique(labels, return_index=True)
        missing = int(labels[-1]) + 1 - len(people)
        if missing:
            # Labels and ranks are equal up to the first gap.
            gap = int(np.flatnonzero(people != np.arange(len(people)))[0])
            logger.warning("%s: %d labels have no images, %d is the first", self.folder, missing, gap)
        if len(labels) + len(people) >= LABEL_LIMIT:
            logger.warning("%s: too many records for exact ranges of people, which are float32", self.folder)
        ends = np.append(first[1:], len(labels))
        for number, (begin, end) in enumerate(zip(first, ends), len(labels) + 1):
            self._write_range(number, begin + 1, end + 1)
        self._write_range(0, len(labels) + 1, len(labels) + len(people) + 1)
        rows = list(enumerate(self._starts[:-1], 1)) + [(0, self._starts[-1])]
        self._idx.writelines(b"%d\t%d\n" % row for row in rows)
        self._property.write(b"%d,%d,%d\n" % (labels[-1] + 1, *self.image_size))

    def _write_range(self, number: int, begin: int, end: int) -> None:
        self._starts.append(self._rec.tell())
        self._rec.write(split_frames(HEADER.pack(2, 0, number, 0) + struct.pack("<ff", begin, end)))

    def _reorder(self, order: np.ndarray) -> None:
        ends = np.append(self._starts[1:], self._rec.tell())
        starts, self._starts = self._starts, array("q")
        with tempfile.TemporaryFile(dir=self.folder) as unordered:
            self._rec.seek(0)
            shutil.copyfileobj(self._rec, unordered)
            self._rec.seek(0)
            self._rec.truncate()
            for number, i in enumerate(order, 1):
                unordered.seek(starts[i])
                record = join_frames(unordered.read(ends[i] - starts[i]))
                assert record is not None, "a record that was just written"
                flag, label, _, id2 = HEADER.unpack_from(record)
                self._starts.append(self._rec.tell())
                self._rec.write(split_frames(HEADER.pack(flag, label, number, id2) + record[HEADER.size :]))
