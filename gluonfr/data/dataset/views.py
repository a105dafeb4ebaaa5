"""Training sets derived from another one without copying it: other crops, or some of its people."""

from __future__ import annotations

from typing import Any

import numpy as np

from gluonfr.core import DataError, UsageError, generator
from gluonfr.data.crops import crop_for_network
from gluonfr.data.dataset.base import TrainingSet

_HOLD_OUT_PURPOSE = int.from_bytes(b"holdout", "big")
# The 10 folds of the protocol need pairs of both kinds; more pairs than this change the results little.
_MIN_PAIRS, _MAX_PAIRS = 20, 6000


class RealignedSet(TrainingSet):
    """A training set whose crops are re-aligned to the template and size of a network when they are read.

    Parameters
    ----------
    dataset : TrainingSet
        Crops of ArcFace's template, or of the network's own size and template.
    image_size : (H, W)
        Size of the network's input in pixels.
    template : str
        Crop template of the network, see :func:`gluonfr.align.get_template`.

    Examples
    --------
    >>> import tempfile
    >>> from gluonfr.data import FRTrainRecordDataset, RecordWriter
    >>> root = tempfile.mkdtemp()
    >>> with RecordWriter(f"{root}/tiny", image_size=(112, 112)) as writer:
    ...     writer.add(np.zeros((112, 112, 3), np.uint8), label=0)
    >>> RealignedSet(FRTrainRecordDataset("tiny", root), (150, 150), "dlib").read(0)[0].shape
    (150, 150, 3)
    """

    def __init__(self, dataset: TrainingSet, image_size: tuple[int, int], template: str) -> None:
        self.base, self.template, self.records = dataset, template, dataset.records
        super().__init__(dataset.name, dataset.labels, dataset.num_classes, image_size, dataset.transform_function)

    def read(self, i: int) -> tuple[np.ndarray, int]:
        """Read item i without the transform: a uint8 (H, W, 3) RGB array and the label. Thread-safe."""
        image, label = self.base.read(i)
        return crop_for_network(image, self.image_size, self.template, lambda: f"{self.records.path}: image {i}"), label

    @property
    def skipped(self) -> list[int]:
        """Numbers of the images in `records` that were left out or replaced up to now in all workers, sorted."""
        return self.base.skipped


class SelectedPeople(TrainingSet):
    """Some people of a training set, with labels from 0 in ascending order of their labels there.

    Parameters
    ----------
    dataset : TrainingSet
    people : array_like of int
        Labels of the people.

    Attributes
    ----------
    base : TrainingSet
    items : np.ndarray
        int64 (len,), the item of each image in `dataset`.

    Examples
    --------
    >>> SelectedPeople(dataset, [3, 7]).num_classes  # doctest: +SKIP
    2
    """

    def __init__(self, dataset: TrainingSet, people: Any) -> None:
        self.base, self.records = dataset, dataset.records
        chosen = np.unique(np.asarray(people, np.int64))
        self.items = np.flatnonzero(np.isin(dataset.labels, chosen))
        labels = np.searchsorted(chosen, dataset.labels[self.items])
        labels.setflags(write=False)
        super().__init__(dataset.name, labels, len(chosen), dataset.image_size, dataset.transform_function)

    def read(self, i: int) -> tuple[np.ndarray, int]:
        """Read item i without the transform: a uint8 (H, W, 3) RGB array and the label. Thread-safe."""
        return self.base.read(int(self.items[i]))[0], int(self.labels[i])

    @property
    def skipped(self) -> list[int]:
        """Numbers of the images in `records` that were left out or replaced up to now in all workers, sorted."""
        return self.base.skipped


class PartlyLabeled(TrainingSet):
    """The images of a training set, then those of another one whose labels are not used.

    Parameters
    ----------
    labeled, unlabeled : TrainingSet
        Of the same image size. All images of the second have the label `num_classes`, one above the last class.

    Examples
    --------
    >>> PartlyLabeled(celeb, web).num_classes == celeb.num_classes  # doctest: +SKIP
    True
    """

    def __init__(self, labeled: TrainingSet, unlabeled: TrainingSet) -> None:
        if tuple(labeled.image_size) != tuple(unlabeled.image_size):
            raise DataError(
                f"{unlabeled.records.path} has images of {unlabeled.image_size} pixels, {labeled.records.path} of "
                f"{labeled.image_size}; align them to one size."
            )
        self.labeled, self.unlabeled, self.records = labeled, unlabeled, labeled.records
        labels = np.concatenate([labeled.labels, np.full(len(unlabeled), labeled.num_classes)])
        labels.setflags(write=False)
        super().__init__(labeled.name, labels, labeled.num_classes, labeled.image_size, labeled.transform_function)

    def read(self, i: int) -> tuple[np.ndarray, int]:
        """Read item i without the transform: a uint8 (H, W, 3) RGB array and the label. Thread-safe."""
        inside = i - len(self.labeled)
        return (self.labeled.read(i) if inside < 0 else self.unlabeled.read(inside))[0], int(self.labels[i])

    @property
    def num_people(self) -> int:
        """Number of labels that occur among the labeled images."""
        return self.labeled.num_people

    @property
    def skipped(self) -> list[int]:
        """Numbers of the images in `records` that were left out or replaced up to now in all workers, sorted."""
        return self.labeled.skipped


class PeoplePairs:
    """A verification set from the images of a training set: the interface of `FRValDataset` that validation uses.

    All pairs of two images of one person, at most `max_pairs` / 2 of them, and as many pairs of images of two people. They
    alternate, so that each fold of the protocol has both kinds.

    Parameters
    ----------
    dataset : TrainingSet
    seed : int, default 0
        Seed of the choice of pairs.
    max_pairs : int, default 6000

    Attributes
    ----------
    path : str
        The records, for messages.
    issame : list of bool
    image_size : (H, W)

    Raises
    ------
    DataError
        There are too few pairs for the 10 folds of the protocol.

    Examples
    --------
    >>> PeoplePairs(dataset).issame[:4]  # doctest: +SKIP
    [True, False, True, False]
    """

    def __init__(self, dataset: TrainingSet, seed: int = 0, max_pairs: int = _MAX_PAIRS) -> None:
        self._dataset, self.path, self.image_size = dataset, dataset.records.path, tuple(dataset.image_size)
        rng = generator(seed, _HOLD_OUT_PURPOSE, 1)
        same = np.concatenate([np.empty((0, 2), np.int64), *(_pairs(items) for items in dataset.identities)])
        count = min(len(same), max_pairs // 2)
        labels = dataset.labels
        others = rng.integers(len(labels), size=(20 * count, 2)) if count else same
        others = np.unique(np.sort(others[labels[others[:, 0]] != labels[others[:, 1]]], axis=1), axis=0)
        count = min(count, len(others))
        if count < _MIN_PAIRS:
            raise DataError(
                f"{self.path}: {dataset.num_people} people who are held out, with {len(labels)} images, give too few pairs to "
                "validate on; name a verification set (val=), or train without one (hold_out=0)."
            )
        chosen = [rows[np.sort(rng.choice(len(rows), count, replace=False))] for rows in (same, others)]
        self._images = np.stack(chosen, axis=1)[rng.permutation(count)].reshape(-1, 2)
        self.issame = [True, False] * count

    def __len__(self) -> int:
        return len(self.issame)

    def __repr__(self) -> str:
        return f"PeoplePairs({self._dataset!r}, pairs={len(self)})"

    def image(self, k: int) -> np.ndarray:
        """Read one image: image `k % 2` of pair `k // 2`, uint8 (H, W, 3) RGB."""
        return self._dataset.read(int(self._images[k // 2, k % 2]))[0]

    def distinct(self) -> tuple[list[int], list[int]]:
        """Find images that occur in several pairs; see `FRValDataset.distinct`."""
        _, first, place = np.unique(self._images.ravel(), return_index=True, return_inverse=True)
        return first.tolist(), place.ravel().tolist()


def _pairs(items: np.ndarray) -> np.ndarray:
    """Return pairs (n, 2) of the items of one person; of many items, each with its next ten only."""
    near = [np.stack([items[:-step], items[step:]], axis=1) for step in range(1, min(len(items), 11))]
    return np.concatenate([np.empty((0, 2), np.int64), *near])


def hold_out(dataset: TrainingSet, share: float, seed: int = 0) -> tuple[SelectedPeople, SelectedPeople]:
    """Divide the people of a training set into those to train on and those to validate on.

    Parameters
    ----------
    dataset : TrainingSet
    share : float
        Fraction of the people to validate on, above 0 and below 1; at least two people on either side.
    seed : int, default 0
        Seed of the choice.

    Returns
    -------
    training, validation : SelectedPeople

    Raises
    ------
    UsageError
        The set has fewer than four people.

    Examples
    --------
    >>> training, validation = hold_out(dataset, 0.1)  # doctest: +SKIP
    """
    people = np.flatnonzero(np.bincount(dataset.labels, minlength=dataset.num_classes))
    if len(people) < 4:
        raise UsageError(
            f"{dataset.records.path}: none of its {len(people)} people can be held out for validation; name a verification set "
            "(val=), or train without one (hold_out=0)."
        )
    count = min(max(2, round(share * len(people))), len(people) - 2)
    chosen = generator(seed, _HOLD_OUT_PURPOSE, 0).choice(len(people), count, replace=False)
    return SelectedPeople(dataset, np.delete(people, chosen)), SelectedPeople(dataset, people[chosen])
