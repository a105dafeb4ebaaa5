"""The images of a set that is read to write another one."""

from __future__ import annotations

import logging
import os
from typing import Iterable, Iterator, Sequence

import numpy as np
from tqdm import tqdm

from gluonfr.core import DataError
from gluonfr.data import images
from gluonfr.data.identities import read_identities, write_identities
from gluonfr.data.records.file import RecordFile
from gluonfr.data.records.writer import RecordWriter

logger = logging.getLogger(__name__)


class RecordSource:
    """The good images of a `.rec`, with their encoded files unchanged.

    Parameters
    ----------
    path : str
        A `.rec`, or a folder with `train.rec`.
    skip : bool, default False
        Leave out damaged records, which is logged, instead of raising DataError at the first.

    Attributes
    ----------
    records : RecordFile
        The file.
    labels : np.ndarray
        int64 (len(records),); -1 where the record is damaged.
    names : dict of int to str, or None
        Names by label, from `identities.csv` beside the file.
    image_size : tuple of int
        (H, W) of the first good image.
    left_out : dict of int to str
        What is wrong with each image that was left out, by image number; grows while the images are read.

    Examples
    --------
    >>> source = RecordSource("emore")  # doctest: +SKIP
    >>> for label, content in source.read(source.numbers()):  # doctest: +SKIP
    ...     ...
    """

    def __init__(self, path: str, skip: bool = False) -> None:
        self.records = RecordFile(find_train_rec(path))
        self.names = read_identities(os.path.dirname(self.records.path))
        self._skip = skip
        self.left_out: dict[int, str] = {}
        self.labels, problems = self.records.scan()
        for number in sorted(problems):
            self._leave_out(number, problems[number])
        self.image_size = self._first_size()

    def __repr__(self) -> str:
        return f"RecordSource({self.records.path!r}, images={len(self.records)}, image_size={self.image_size})"

    @property
    def people(self) -> np.ndarray:
        """The labels that have images: int64, ascending."""
        return np.unique(self.labels[self.labels >= 0])

    def name(self, label: int) -> str:
        """Return the person's name, or the label as text where the name is unknown."""
        return (self.names or {}).get(label, str(label))

    def numbers(self) -> np.ndarray:
        """Return the numbers of the images whose records are good, int64."""
        return np.flatnonzero(self.labels >= 0)

    def read(self, numbers: Sequence[int] | np.ndarray) -> Iterator[tuple[int, bytes]]:
        """Yield (label, encoded image) of these images. Each is decoded once to check it."""
        for number, content in self.read_numbered(numbers):
            yield int(self.labels[number]), content

    def read_numbered(self, numbers: Sequence[int] | np.ndarray) -> Iterator[tuple[int, bytes]]:
        """Yield (image number, encoded image) of these images. Each is decoded once to check it."""
        for number in tqdm(numbers, desc=os.path.basename(os.path.dirname(self.records.path)), unit="image", disable=None):
            number = int(number)
            try:
                content = self.records.read(number)[1]
                images.decode(content, lambda number=number: self.records.describe(number))  # type: ignore[misc]
            except DataError as error:
                self._leave_out(number, str(error))
                continue
            yield number, content

    def _first_size(self) -> tuple[int, int]:
        for number in self.numbers().tolist():
            try:
                content = self.records.read(number)[1]
                return images.height_and_width(images.decode(content, self.records.describe(number)))
            except DataError:
                if not self._skip:
                    raise
        raise DataError(f"{self.records.path}: none of its images can be used; write the file again.")

    def _leave_out(self, number: int, problem: str) -> None:
        if not self._skip:
            raise DataError(problem)
        if number not in self.left_out:
            logger.warning("left out: %s", problem)
            self.left_out[number] = problem


def find_train_rec(path: str) -> str:
    """Return the absolute path of a `.rec`, given it or its folder.

    Examples
    --------
    >>> find_train_rec("/sets/emore/other.rec")
    '/sets/emore/other.rec'
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    return os.path.join(path, "train.rec") if os.path.isdir(path) else path


def write_set(
    folder: str, labeled_images: Iterable[tuple[int, bytes]], names: Sequence[str], image_size: tuple[int, int]
) -> None:
    """Write a training set with `identities.csv` into an existing folder.

    Parameters
    ----------
    folder : str
        The folder.
    labeled_images : iterable of (label, encoded image)
        The images.
    names : sequence of str
        The person's name by label.
    image_size : tuple of int
        (H, W).

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> write_set(folder, [(0, images.encode(np.zeros((8, 8, 3), np.uint8)))], ["Ada"], (8, 8))
    >>> RecordSource(folder).name(0)
    'Ada'
    """
    counts = np.zeros(len(names), dtype=np.int64)
    with RecordWriter(folder, image_size) as writer:
        for label, content in labeled_images:
            writer.add(content, label)
            counts[label] += 1
    write_identities(folder, [(label, name, counts[label]) for label, name in enumerate(names)])
