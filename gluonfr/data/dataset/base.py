"""What all training sets have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

import mxnet as mx
import numpy as np
from mxnet.gluon.data import Dataset

from gluonfr.core import DataError
from gluonfr.data.dataset.property_file import MAX_CLASSES
from gluonfr.data.dataset.worker_seeds import SampleSeeds


class TrainingSet(Dataset):
    """Images with labels: the interface of `FRTrainRecordDataset` and `FRJoinedDataset`.

    Item i is `(image, label)`: a uint8 (H, W, 3) RGB NDArray and a float32, or the result of `transform(image, label)`. A
    slice, such as `dataset[:100]`, is a data set of these items.

    Attributes
    ----------
    name : str
        The set's name.
    labels : np.ndarray
        int64 (len,), read-only.
    num_classes : int
        All labels are below it.
    image_size : tuple of int
        (H, W).
    records : RecordFile or JoinedRecords
        The files of the images. `records.path` names them in messages, `records.describe(number)` names one image.
    transform_function : callable or None
        The `transform` of the set.

    Examples
    --------
    >>> from gluonfr.data import get_recognition_dataset
    >>> isinstance(get_recognition_dataset("emore"), TrainingSet)  # doctest: +SKIP
    True
    """

    records: Any

    def __init__(
        self,
        name: str,
        labels: np.ndarray,
        num_classes: int,
        image_size: tuple[int, int],
        transform: Callable[[Any, Any], Any] | None,
    ) -> None:
        if num_classes > MAX_CLASSES:
            raise DataError(
                f"{self.records.path}: {num_classes} classes are more than the {MAX_CLASSES} that float32 labels can tell "
                "apart; join fewer sets, or relabel the set."
            )
        self.name, self.labels, self.num_classes, self.image_size = name, labels, num_classes, image_size
        self.transform_function = transform
        self._seeds = SampleSeeds(name, len(labels))
        self._identities: ItemsByLabel | None = None

    def __repr__(self) -> str:
        counts = f"images={len(self)}, identities={self.num_people}, classes={self.num_classes}"
        return (
            f"{type(self).__name__}({self.name!r}, path={self.records.path!r}, {counts}, image_size={tuple(self.image_size)})"
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int | slice) -> Any:
        if isinstance(i, slice):
            return SetSlice(self, range(len(self))[i])
        i = item_number(i, len(self))
        self._seeds.begin(i)
        pixels, number = self.read(i)
        image, label = mx.nd.array(pixels, ctx=mx.cpu(), dtype=np.uint8), np.float32(number)
        return (image, label) if self.transform_function is None else self.transform_function(image, label)

    def read(self, i: int) -> tuple[np.ndarray, int]:
        """Read item i without the transform: a uint8 (H, W, 3) RGB array and the label. Thread-safe."""
        raise NotImplementedError

    @property
    def num_people(self) -> int:
        """Number of labels that have images."""
        return int(np.count_nonzero(np.bincount(self.labels)))

    @property
    def skipped(self) -> list[int]:
        """Numbers of the images in `records` that were left out or replaced up to now in all workers, sorted."""
        raise NotImplementedError

    @property
    def identities(self) -> ItemsByLabel:
        """Items of every label: `num_classes` int64 arrays, ascending; empty for a label without images.

        They are derived from the labels of the images, not from the ranges that some files store as float32.
        """
        if self._identities is None:
            self._identities = ItemsByLabel(self.labels, self.num_classes)
        return self._identities


class SetSlice(Dataset):
    """Some items of a training or verification set, in their order; they are read on access.

    Parameters
    ----------
    dataset : Dataset
        The set.
    numbers : range
        The items.

    Examples
    --------
    >>> SetSlice(mx.gluon.data.ArrayDataset([0, 10, 20, 30]), range(1, 4, 2))[1]
    30
    """

    def __init__(self, dataset: Dataset, numbers: range) -> None:
        self._dataset, self._numbers = dataset, numbers

    def __repr__(self) -> str:
        numbers = self._numbers
        return f"{self._dataset!r}[{numbers.start}:{numbers.stop}{f':{numbers.step}' if numbers.step != 1 else ''}]"

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, i: int | slice) -> Any:
        if isinstance(i, slice):
            return SetSlice(self._dataset, self._numbers[i])
        return self._dataset[self._numbers[item_number(i, len(self))]]


class ItemsByLabel(Sequence):
    """The items of every label: a sequence of `num_classes` int64 arrays.

    The arrays are made on access from two arrays for all labels, so that millions of labels take little memory.

    Parameters
    ----------
    labels : np.ndarray
        int64 (n,), from 0 to `num_classes` - 1.
    num_classes : int
        Number of labels.

    Examples
    --------
    >>> items = ItemsByLabel(np.array([0, 2, 0]), 3)
    >>> items[0].tolist(), items[1].tolist(), items[2].tolist()
    ([0, 2], [], [1])
    """

    def __init__(self, labels: np.ndarray, num_classes: int) -> None:
        self._ends = np.cumsum(np.bincount(labels, minlength=num_classes))
        # Records are mostly in the order of their labels already.
        in_order = bool((labels[1:] >= labels[:-1]).all())
        self._items = None if in_order else np.argsort(labels, kind="stable")

    def __repr__(self) -> str:
        return f"ItemsByLabel(labels={len(self)}, items={self._ends[-1] if len(self) else 0})"

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, label: Any) -> Any:
        if isinstance(label, slice):
            return [self[number] for number in range(*label.indices(len(self)))]
        begin, end = self._span(label)
        return np.arange(begin, end) if self._items is None else self._items[begin:end]

    def other_item(self, label: int, number: int) -> int:
        """Return the item at a position among those of all other labels, which are in the order of their labels."""
        begin, end = self._span(label)
        position = number if number < begin else number + end - begin
        return position if self._items is None else int(self._items[position])

    def _span(self, label: int) -> tuple[int, int]:
        label = item_number(label, len(self))
        return int(self._ends[label - 1]) if label else 0, int(self._ends[label])


def item_number(i: int, length: int) -> int:
    """Return the non-negative form of an index; negative ones count from the end.

    Examples
    --------
    >>> item_number(-1, 10)
    9
    """
    i = int(i)
    if not -length <= i < length:
        raise IndexError(f"item {i} of {length}")
    return i % length
