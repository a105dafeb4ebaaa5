from __future__ import annotations

import logging
import os
import shutil
import struct
import tempfile
from array import array

import numpy as np

from gluonfr.core import GluonFRError, atomic_files
from gluonfr.data import images
from gluonfr.data.records import cache as record_cache
from gluonfr.data.records import framing as recordio
from gluonfr.data.records import scan as record_scan
from gluonfr.data.records.scan import LABEL_LIMIT, Places

logger = logging.getLogger(__name__)

HEADER = struct.Struct("<IfQQ")

# float32 holds every whole number below this.
_EXACT = 2**24


class RecordFile:
    """The images of a `train.rec`, read in any order, from any thread, before and after a fork.

    Image i is the i-th image in the file's own order, 0 <= i < len(file). Header records (flag > 0 and an empty payload),
    which some layouts put beside the images, are left out. When no `.idx` lies beside the file its offsets are found by
    walking through it, which is logged. What was found in a big file is remembered in a `.cache` beside it (`record_cache`).

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
        How many header records were left out.

    Raises
    ------
    GluonFRError
        The file is missing, cut off or no RecordIO file, or the `.idx` belongs to another file. Every record's own length,
        label and place are checked when it is read.
    """

    def __init__(self, path) -> None:
        self.path = os.path.abspath(os.path.expanduser(os.fspath(path)))
        self._index_path = os.path.splitext(self.path)[0] + ".idx"
        self._descriptor = None
        self._scanned = None
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY)
            self.size = os.fstat(self._descriptor).st_size
            self._fingerprints = [record_cache.fingerprint(path) for path in (self.path, self._index_path)]
            remembered = record_cache.load(self.path, self._fingerprints)
            if remembered is None:
                starts = self._find_records()
                rows = record_scan.find_headers(self.path, self.size, starts)
                remembered = Places.among(starts, self.size, rows), len(rows), None
        except OSError as error:
            raise GluonFRError(f"{error.filename or self.path}: cannot be read ({error.strerror}); check the path.") from error
        self._places, self.headers, self._remembered = remembered
        if not len(self):
            raise GluonFRError(f"{self.path}: holds no images, only {self.headers} header records; write or fetch it again.")

    def __len__(self) -> int:
        return len(self._places)

    @property
    def most_problems(self):
        """How many damaged records are looked at one by one: 1 % of the file, but at least 1000."""
        return max(1000, len(self) // 100)

    def __reduce__(self):
        return RecordFile, (self.path,)

    def __del__(self) -> None:
        if getattr(self, "_descriptor", None) is not None:
            os.close(self._descriptor)

    def read(self, i):
        """`(label, payload)` of image i: a float that holds a whole number >= 0, and the encoded image as bytes."""
        if not 0 <= i < len(self):
            raise IndexError(f"image {i} of {len(self)} in {self.path}")
        start, end = self._places.of(i)
        record = recordio.join(os.pread(self._descriptor, end - start, start))
        if record is None:
            raise self._misplaced(i)
        if len(record) < HEADER.size:
            raise self._damaged(i, f"is too short for a header ({len(record)} bytes)")
        flag, label, _, _ = HEADER.unpack_from(record)
        begin = HEADER.size + 4 * flag
        if begin > len(record):
            raise self._damaged(i, f"announces {flag} labels and is too short for them ({len(record)} bytes)")
        if flag:
            (label,) = struct.unpack_from("<f", record, HEADER.size)
        if not (0 <= label < LABEL_LIMIT and label.is_integer()):
            raise self._damaged(i, f"has the label {label:g}, which is no whole number from 0 to {LABEL_LIMIT - 1}")
        if self._remembered is not None and self._remembered[i] != label:
            cache = os.path.basename(record_cache.cache_path(self.path))
            raise GluonFRError(f"{self.describe(i)} has the label {label:g} and another one in {cache}; delete {cache}.")
        return label, record[begin:]

    def describe(self, i) -> str:
        """The words that name image i in a message: file, image number and byte."""
        return f"{self.path}: image {i} (its record starts at byte {self._places.of(i)[0]})"

    @property
    def labels(self):
        """int64 (len,), read-only: every image's label. Damage raises; the first use looks at every record's header."""
        labels, problems = self.scan()
        if problems:
            raise GluonFRError(problems[min(problems)])
        return labels

    def scan(self):
        """Look at every record's place, length and label, once: what was found in a big file is remembered in `train.cache`
        beside it, as long as neither it nor its `.idx` changes.

        Returns
        -------
        labels : int64 (len,), read-only
            -1 where the record is damaged.
        problems : dict
            Image number -> the sentence that says what is wrong with its record. More than `most_problems` of them raise:
            then it is not single records that are damaged.
        """
        if self._scanned is None:
            if self._remembered is None:
                self._scanned = self._look_at_all()
            else:
                problems = {}
                for i in np.flatnonzero(self._remembered < 0).tolist():
                    self._look_closer(i, problems)
                self._scanned = self._remembered, problems
        return self._scanned

    def _look_at_all(self):
        remember = record_cache.is_wanted(self.path, len(self))
        # What is remembered is mapped from the disk in the end, so the memory is only needed until then.
        labels, problems = np.empty(len(self), dtype=np.int32 if remember else np.int64), {}
        for rows, found, doubtful in record_scan.find_labels(self.path, self.size, self._places):
            labels[rows] = found
            # These are rare: images that hold the magic word, and damage, for which `read` has the words.
            for i in doubtful:
                labels[i] = self._look_closer(i, problems)
        if remember and record_cache.save(self.path, self._fingerprints, self._places, self.headers, labels):
            remembered = record_cache.load(self.path, self._fingerprints)
            if remembered is not None:
                self._places, _, self._remembered = remembered
                return self._remembered, problems
        labels = labels.astype(np.int64, copy=False)
        labels.setflags(write=False)
        return labels, problems

    def _look_closer(self, i, problems):
        try:
            return self.read(i)[0]
        except GluonFRError as error:
            problems[i] = str(error)
            if len(problems) > self.most_problems:
                raise GluonFRError(f"more than {self.most_problems} records are damaged: {problems[min(problems)]}") from None
            return -1

    def _find_records(self):
        if self.size == 0:
            raise GluonFRError(f"{self.path}: holds no records, it is empty; write or fetch it again.")
        if os.path.exists(self._index_path):
            return recordio.read_index(self._index_path, self.path, self.size)
        logger.warning("%s is missing: finding the records by walking through %s", self._index_path, self.path)
        return recordio.walk(self.path, self.size)

    def _damaged(self, i, what):
        return GluonFRError(f"{self.describe(i)} {what}; write or fetch the file again, or ask to skip damaged records.")

    def _misplaced(self, i):
        return GluonFRError(
            f"{self.describe(i)} is damaged or {os.path.basename(self._index_path)} does not match: "
            "delete the .idx so that it is rebuilt, and fetch the .rec again if that does not help."
        )


class RecordWriter:
    """Write a training set: `train.rec`, `train.idx` and `property` in one folder, which appear together or not at all.

    A context manager; the files appear when the block ends well. The layout is InsightFace's: images are records 1..N, then
    a header record a person with the range of his images, then record 0 with the range of these headers.

    Images may come in any order: those of one person must lie together, so when they did not come by ascending label, the
    file is rewritten in that order at the end (on disk: it needs its size once more there, not in memory). Images of one
    person keep their order. `num_classes` is the largest label + 1. A label without images gets no header record and is
    logged, since a classifier learns nothing for it.

    Parameters
    ----------
    folder : str
        Created when missing; `root/NAME` makes the set known as NAME.
    image_size : (H, W)
        Size that every image must have.
    quality : int
        JPEG quality of images that are given as pixels.
    """

    def __init__(self, folder, image_size=(112, 112), quality=95) -> None:
        self.folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
        self.image_size = tuple(int(length) for length in image_size)
        self.quality = quality
        self._labels, self._starts = array("q"), array("q")
        self._files = self._rec = None

    def __enter__(self):
        self._files = atomic_files(
            *(os.path.join(self.folder, name) for name in ("train.idx", "property", "train.rec")), mode="w+b"
        )
        self._idx, self._property, self._rec = self._files.__enter__()
        return self

    def __exit__(self, kind, error, trace):
        try:
            if kind is None:
                self._finish()
        except BaseException as failed:
            self._files.__exit__(type(failed), failed, failed.__traceback__)
            raise
        self._files.__exit__(kind, error, trace)

    def __len__(self) -> int:
        return len(self._labels)

    def add(self, image, label) -> None:
        """Append one image.

        Parameters
        ----------
        image : uint8 (H, W, 3) RGB, array or NDArray, written as JPEG; or bytes, an encoded image that is kept byte for byte
        label : int
            The person, 0 <= label < 2**24 (a .rec holds labels as float32).
        """
        if self._rec is None:
            raise GluonFRError(f"{self.folder}: open the writer first: `with RecordWriter(folder) as writer: writer.add(...)`.")
        where = f"image {len(self)} for {self.folder}"
        if isinstance(label, bool) or not isinstance(label, (int, np.integer)) or not 0 <= label < _EXACT:
            raise GluonFRError(f"{where}: the label must be a whole number from 0 to {_EXACT - 1}, got {label!r}.")
        if isinstance(image, (bytes, bytearray, memoryview)):
            payload = bytes(image)
            image = images.decode(payload, where)
        else:
            image = images.as_rgb(image, where)
            payload = None
        if image.shape[:2] != self.image_size:
            raise GluonFRError(f"{where}: has the size {image.shape[:2]}, this set is of {self.image_size}; resize it first.")
        payload = images.encode(image, self.quality) if payload is None else payload
        self._labels.append(int(label))
        self._starts.append(self._rec.tell())
        self._rec.write(recordio.split(HEADER.pack(0, label, len(self), 0) + payload))

    def _finish(self) -> None:
        if not len(self):
            raise GluonFRError(f"{self.folder}: no image was added; a training set needs at least one.")
        labels = np.array(self._labels, dtype=np.int64)
        if (np.diff(labels) < 0).any():
            order = np.argsort(labels, kind="stable")
            self._reorder(order)
            labels = labels[order]
        people, first = np.unique(labels, return_index=True)
        missing = np.setdiff1d(np.arange(labels[-1]), people)
        if len(missing):
            logger.warning("%s: %d labels have no images, %d is the first", self.folder, len(missing), missing[0])
        if len(labels) + len(people) >= _EXACT:
            logger.warning("%s: too many records for exact ranges of people, which are float32", self.folder)
        ends = np.append(first[1:], len(labels))
        for number, (begin, end) in enumerate(zip(first, ends), len(labels) + 1):
            self._write_range(number, begin + 1, end + 1)
        self._write_range(0, len(labels) + 1, len(labels) + len(people) + 1)
        rows = list(enumerate(self._starts[:-1], 1)) + [(0, self._starts[-1])]
        self._idx.writelines(b"%d\t%d\n" % row for row in rows)
        self._property.write(b"%d,%d,%d\n" % (labels[-1] + 1, *self.image_size))

    def _write_range(self, number, begin, end) -> None:
        self._starts.append(self._rec.tell())
        self._rec.write(recordio.split(HEADER.pack(2, 0, number, 0) + struct.pack("<ff", begin, end)))

    def _reorder(self, order) -> None:
        ends = np.append(self._starts[1:], self._rec.tell())
        starts, self._starts = self._starts, array("q")
        with tempfile.TemporaryFile(dir=self.folder) as arrived:
            self._rec.seek(0)
            shutil.copyfileobj(self._rec, arrived)
            self._rec.seek(0)
            self._rec.truncate()
            for number, i in enumerate(order, 1):
                arrived.seek(starts[i])
                record = recordio.join(arrived.read(ends[i] - starts[i]))
                flag, label, _, id2 = HEADER.unpack_from(record)
                self._starts.append(self._rec.tell())
                self._rec.write(recordio.split(HEADER.pack(flag, label, number, id2) + record[HEADER.size :]))
