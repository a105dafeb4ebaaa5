"""Several training sets as one."""

from __future__ import annotations

import os
from bisect import bisect_right
from itertools import accumulate
from typing import Any, Callable, Sequence

import numpy as np

from gluonfr.core import DataError, UsageError
from gluonfr.data.dataset.base import TrainingSet
from gluonfr.data.dataset.identity_map import read_identity_map
from gluonfr.data.dataset.train import FRTrainRecordDataset
from gluonfr.data.records.file import RecordFile


class FRJoinedDataset(TrainingSet):
    """Several training sets as one: the images of the first, then those of the second, and so on. Nothing is copied.

    Without `identities`, people of different sets are different: the labels of a set follow those of the sets before it. With
    it, a CSV file names the person of each label::

        dataset,label,identity
        emore,0,Ada
        celeb,17,Ada

    An identity is any text, and labels of one identity are one class. Every label that has images needs a row. Classes are
    numbered in the order of the sets and their labels, whatever the order of the rows. Rows of other sets are ignored, so that
    one file can serve several unions.

    Parameters
    ----------
    members : list of FRTrainRecordDataset
        Without a transform, of the same image size, each with a different `train.rec`.
    transform : callable, optional
        Called with `(image, label)`, where the label is the one of the union.
    identities : str, optional
        The CSV file.

    Attributes
    ----------
    members : list of FRTrainRecordDataset
        The sets.
    num_classes : int
        The sum over the members, or the number of identities that the file gives to them.
    records : JoinedRecords
        The records of all members.

    Raises
    ------
    DataError
        The members do not fit together, the file does not fit them, or there are more than 2**24 identities.

    Examples
    --------
    >>> import tempfile
    >>> from gluonfr.data.records import RecordWriter
    >>> root = tempfile.mkdtemp()
    >>> for name in ("a", "b"):
    ...     with RecordWriter(f"{root}/{name}", image_size=(8, 8)) as writer:
    ...         writer.add(np.zeros((8, 8, 3), np.uint8), label=0)
    >>> FRJoinedDataset([FRTrainRecordDataset(name, root) for name in ("a", "b")]).labels.tolist()
    [0, 1]
    """

    records: JoinedRecords

    def __init__(
        self,
        members: Sequence[FRTrainRecordDataset],
        transform: Callable[[Any, Any], Any] | None = None,
        identities: str | None = None,
    ) -> None:
        self.members = list(members)
        _check_members(self.members)
        self.records = JoinedRecords([member.records for member in self.members])
        if identities is None:
            first = accumulate((member.num_classes for member in self.members), initial=0)
            self._classes = [begin + np.arange(member.num_classes) for begin, member in zip(first, self.members)]
            count = sum(member.num_classes for member in self.members)
        else:
            self._classes, count = _classes_by_identity(identities, self.members)
        self._ends = list(accumulate(len(member) for member in self.members))
        labels = np.empty(self._ends[-1], dtype=np.int64)
        for end, member, classes in zip(self._ends, self.members, self._classes):
            # mode="clip" avoids a copy; the labels are below num_classes.
            np.take(classes, member.labels, out=labels[end - len(member) : end], mode="clip")
        labels.setflags(write=False)
        name = ",".join(member.name for member in self.members)
        super().__init__(name, labels, count, self.members[0].image_size, transform)

    def read(self, i: int) -> tuple[np.ndarray, int]:
        """Read item i without the transform: a uint8 (H, W, 3) RGB array and the label. Thread-safe."""
        number = bisect_right(self._ends, i)
        member = self.members[number]
        image, label = member.read(i - self._ends[number] + len(member))
        return image, int(self._classes[number][label])

    @property
    def skipped(self) -> list[int]:
        """Numbers of the images in `records` that were left out or replaced up to now in all workers, sorted."""
        return [first + number for first, member in zip(self.records.firsts, self.members) for number in member.skipped]


class JoinedRecords:
    """The records of several files, numbered one file after the other.

    Parameters
    ----------
    files : sequence of RecordFile
        The files.

    Attributes
    ----------
    path : str
        The paths of all files, for messages.
    size : int
        Bytes of all files.
    firsts : list of int
        The number of the first record of each file.

    Examples
    --------
    >>> dataset.records.describe(7)  # doctest: +SKIP
    'a/train.rec: image 7 (its record starts at byte 1024)'
    """

    def __init__(self, files: Sequence[RecordFile]) -> None:
        self._files = list(files)
        *self.firsts, self._length = accumulate((len(file) for file in self._files), initial=0)
        self.path = ", ".join(file.path for file in self._files)
        self.size = sum(file.size for file in self._files)

    def __repr__(self) -> str:
        return f"JoinedRecords({self.path!r}, images={len(self)})"

    def __len__(self) -> int:
        return self._length

    def describe(self, number: int) -> str:
        """Return the words that name an image in a message."""
        file = bisect_right(self.firsts, number) - 1
        return self._files[file].describe(number - self.firsts[file])


def _check_members(members: list[FRTrainRecordDataset]) -> None:
    if not members:
        raise UsageError("no training set was named; name one, or several separated by commas.")
    one = members[0]
    names: dict[str, str] = {}
    for member in members:
        path = os.path.realpath(member.records.path)
        if path in names:
            raise UsageError(f"{names[path]} and {member.name} are the same set, {path}; name each set once.")
        names[path] = member.name
        if member.transform_function is not None:
            raise UsageError(f"{member.name}: sets are joined without a transform; pass the transform to the union instead.")
        if tuple(member.image_size) != tuple(one.image_size):
            raise DataError(
                f"{member.records.path} has images of {_by(member.image_size)} and {one.records.path} of "
                f"{_by(one.image_size)} (height x width); pack them to one size before training on both."
            )


def _classes_by_identity(path: str, members: list[FRTrainRecordDataset]) -> tuple[list[np.ndarray], int]:
    """Return an int64 array per member, the class of each of its labels or -1, and the number of classes."""
    identities = read_identity_map(path, {member.name: member.num_classes for member in members})
    class_of: dict[str, int] = {}
    tables = []
    for member in members:
        of_label = identities[member.name]
        missing = [label for label in np.unique(member.labels).tolist() if label not in of_label]
        if missing:
            raise DataError(
                f"{path} has no row for {len(missing)} labels of {member.name} that have images, {missing[0]} is the first; "
                "add a row for each."
            )
        table = np.full(member.num_classes, -1, dtype=np.int64)
        for label in sorted(of_label):
            table[label] = class_of.setdefault(of_label[label], len(class_of))
        tables.append(table)
    return tables, len(class_of)


def _by(size: tuple[int, int]) -> str:
    return "x".join(map(str, size))
