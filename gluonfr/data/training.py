from __future__ import annotations

from collections.abc import Sequence

import mxnet as mx
import numpy as np
from mxnet.gluon.data import Dataset

from gluonfr.core import GluonFRError
from gluonfr.data.worker_seeds import SampleSeeds

# A label travels as float32, which holds every whole number up to this one.
MOST_CLASSES = 2**24


class TrainingSet(Dataset):
    """Images with labels: what `FRTrainRecordDataset` and `FRJoinedDataset` have in common, and all that a loader, a sampler
    and a training run know of a training set.

    Item i is `(image, label)`: an HWC uint8 RGB NDArray and a float32, or what `transform(image, label)` makes of them.

    Attributes
    ----------
    name : str
    labels : int64 (len,), read-only
    num_classes : int
        Labels are below it.
    image_size : (H, W)
    records
        What the images lie in; `records.path` names it in messages, `records.describe(number)` one image.
    """

    def __init__(self, name, labels, num_classes, image_size, transform) -> None:
        if num_classes > MOST_CLASSES:
            raise GluonFRError(
                f"{self.records.path}: {num_classes} identities are more than the {MOST_CLASSES} whose labels float32 tells "
                "apart; join fewer sets, or number the identities anew."
            )
        self.name, self.labels, self.num_classes, self.image_size = name, labels, num_classes, image_size
        self._transform = transform
        self._seeds = SampleSeeds(name, len(labels))
        self._identities = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i):
        i = item_number(i, len(self))
        self._seeds.begin(i)
        image, label = self.read(i)
        image, label = mx.nd.array(image, ctx=mx.cpu(), dtype=np.uint8), np.float32(label)
        return (image, label) if self._transform is None else self._transform(image, label)

    def read(self, i):
        """`(image, label)` of item i without the transform: uint8 array (H, W, 3) RGB and int. Safe in many threads."""
        raise NotImplementedError

    @property
    def skipped(self):
        """Sorted list of the images (numbers as in `records`) that were left out or replaced so far, in all workers."""
        raise NotImplementedError

    @property
    def identities(self):
        """`num_classes` int64 arrays: the items of each person, ascending; empty for a label without images.

        They come from the images' own labels, not from the ranges that some files hold as float32.
        """
        if self._identities is None:
            self._identities = Identities(self.labels, self.num_classes)
        return self._identities


class Identities(Sequence):
    """The items of each label: a sequence of `num_classes` int64 arrays, made when asked for from two arrays for all.

    Parameters
    ----------
    labels : int64 (n,)
        From 0 to `num_classes` - 1.
    num_classes : int
    """

    def __init__(self, labels, num_classes) -> None:
        self._ends = np.cumsum(np.bincount(labels, minlength=num_classes))
        # Records mostly lie in the order of their labels already.
        in_order = bool((labels[1:] >= labels[:-1]).all())
        self._items = None if in_order else np.argsort(labels, kind="stable")

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, label):
        if isinstance(label, slice):
            return [self[each] for each in range(*label.indices(len(self)))]
        label = item_number(label, len(self))
        begin, end = int(self._ends[label - 1]) if label else 0, int(self._ends[label])
        return np.arange(begin, end) if self._items is None else self._items[begin:end]


def item_number(i, length):
    """`i` as an index from 0; negative ones count from the end."""
    i = int(i)
    if not -length <= i < length:
        raise IndexError(f"item {i} of {length}")
    return i % length
