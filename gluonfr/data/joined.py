"""Several training sets as one."""

from __future__ import annotations

import csv
import logging
import os
from bisect import bisect_right
from itertools import accumulate

import numpy as np

from gluonfr.core import GluonFRError, require_file
from gluonfr.data.training import TrainingSet

logger = logging.getLogger(__name__)

_HEADER = ["dataset", "label", "identity"]


class FRJoinedDataset(TrainingSet):
    """Several training sets as one: the images of the first, then those of the second, and so on. Nothing is copied.

    Without `identities` people of different sets are different: the labels of a set follow those of the sets before it. With
    it, a CSV file tells who is who::

        dataset,label,identity
        emore,0,Ada
        celeb,17,Ada

    An identity is any text; people of one identity are one class. Every label that has images needs a row, and classes are
    numbered by the sets in their order and the labels in theirs, whatever the order of the rows. Rows of other sets are left
    aside, so that one file may serve several unions.

    Parameters
    ----------
    members : list of FRTrainRecordDataset
        Without a transform, of one image size, each with another `train.rec`.
    transform : callable, default None
        Gets `(image, label)`, the label being the one of the union.
    identities : str, default None
        The CSV file.

    Attributes
    ----------
    members : list of FRTrainRecordDataset
    num_classes : int
        The sum over the members, or how many identities the file gives to them.
    records : JoinedRecords

    Raises
    ------
    GluonFRError
        Members that do not fit together, or a file that does not fit them; more identities than 2**24.
    """

    def __init__(self, members, transform=None, identities=None) -> None:
        self.members = list(members)
        self.records = JoinedRecords([member.records for member in self.members])
        self._check()
        if identities is None:
            first = accumulate((member.num_classes for member in self.members), initial=0)
            self._classes = [begin + np.arange(member.num_classes) for begin, member in zip(first, self.members)]
            count = sum(member.num_classes for member in self.members)
        else:
            self._classes, count = _mapped_classes(identities, self.members)
        self._ends = list(accumulate(len(member) for member in self.members))
        labels = np.empty(self._ends[-1], dtype=np.int64)
        for end, member, classes in zip(self._ends, self.members, self._classes):
            # 'clip' is the mode without a copy; labels are below num_classes.
            np.take(classes, member.labels, out=labels[end - len(member) : end], mode="clip")
        labels.setflags(write=False)
        name = ",".join(member.name for member in self.members)
        super().__init__(name, labels, count, self.members[0].image_size, transform)

    def read(self, i):
        number = bisect_right(self._ends, i)
        member = self.members[number]
        image, label = member.read(i - self._ends[number] + len(member))
        return image, int(self._classes[number][label])

    @property
    def skipped(self):
        return [first + number for first, member in zip(self.records.firsts, self.members) for number in member.skipped]

    def _check(self) -> None:
        if not self.members:
            raise GluonFRError("no training set was named; name one, or several with commas between.")
        one, paths = self.members[0], {}
        for member in self.members:
            path = os.path.realpath(member.records.path)
            if path in paths:
                raise GluonFRError(f"{paths[path]} and {member.name} are the same set, {path}; name each set once.")
            paths[path] = member.name
            if member._transform is not None:
                raise GluonFRError(f"{member.name}: sets are joined without a transform; give it to the union instead.")
            if tuple(member.image_size) != tuple(one.image_size):
                raise GluonFRError(
                    f"{member.records.path} has images of {_by(member.image_size)} and {one.records.path} of "
                    f"{_by(one.image_size)} (height x width); pack them to one size before training on both."
                )


class JoinedRecords:
    """The records of several files, numbered one file after the other.

    Attributes
    ----------
    path : str
        The paths of all, for messages.
    size : int
        The bytes of all.
    firsts : list of int
        The number that the first record of each file has here.
    """

    def __init__(self, files) -> None:
        self._files = list(files)
        *self.firsts, self._length = accumulate((len(file) for file in self._files), initial=0)
        self.path = ", ".join(file.path for file in self._files)
        self.size = sum(file.size for file in self._files)

    def __len__(self) -> int:
        return self._length

    def describe(self, number):
        """The words that name an image in a message."""
        file = bisect_right(self.firsts, number) - 1
        return self._files[file].describe(number - self.firsts[file])


def _mapped_classes(path, members):
    """For each member an int64 array of the class of each of its labels, -1 for those without images; and how many classes."""
    path = require_file(path, "file of identities")
    given = _read_rows(path, {member.name: member.num_classes for member in members})
    known, classes = {}, []
    for member in members:
        of_label = given[member.name]
        missing = [label for label in np.unique(member.labels).tolist() if label not in of_label]
        if missing:
            raise GluonFRError(
                f"{path}: has no row for {len(missing)} labels of {member.name} that have images, {missing[0]} is the first; "
                "add a row for each."
            )
        table = np.full(member.num_classes, -1, dtype=np.int64)
        for label in sorted(of_label):
            table[label] = known.setdefault(of_label[label], len(known))
        classes.append(table)
    return classes, len(known)


def _read_rows(path, num_classes):
    """Name of a set -> {label: identity}."""
    found, others = {name: {} for name in num_classes}, 0
    try:
        with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.reader(file)
            if next(rows, None) != _HEADER:
                raise GluonFRError(f"{path}: the first line is not {','.join(_HEADER)}; correct it.")
            for row in rows:
                if row and row[0] not in found:
                    others += 1
                elif row:
                    _take(row, found[row[0]], num_classes[row[0]], f"{path}: line {rows.line_num}")
    except (OSError, csv.Error) as error:
        raise GluonFRError(f"{path}: cannot be read ({error}); correct it.") from error
    if others:
        logger.info("%s: %d rows of other sets than %s are left aside", path, others, ", ".join(found))
    return found


def _take(row, labels, num_classes, where) -> None:
    # isdecimal alone admits digits of other scripts, which int() reads too.
    if len(row) != 3 or not (row[1].isascii() and row[1].isdecimal()) or not row[2]:
        raise GluonFRError(f"{where} is not dataset,label,identity with a whole number as label; correct it.")
    name, label, identity = row[0], int(row[1]), row[2]
    if label >= num_classes:
        raise GluonFRError(f"{where}: {name} has no label {label}, its labels are 0 to {num_classes - 1}; correct it.")
    if label in labels:
        raise GluonFRError(f"{where}: label {label} of {name} has a row already; keep one.")
    labels[label] = identity


def _by(size):
    return "x".join(map(str, size))
