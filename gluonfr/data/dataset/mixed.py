"""Synthetic faces, mixed from those of two people of a training set."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from gluonfr.core import DataError, check_integer, generator
from gluonfr.data.dataset.base import TrainingSet

# To be raised whenever the images change: embeddings of them are cached.
MIXING_VERSION = 1
# Their embeddings alone are 50 GB.
MOST_IMAGES = 100_000_000
_PURPOSE = int.from_bytes(b"mixed", "big")
# The face on a crop for ArcFace's template, in parts of its height and width.
_FACE = slice(0.18, 0.89), slice(0.18, 0.82)
_CENTER, _HALF_HEIGHT, _HALF_WIDTH = (0.59, 0.5), (0.32, 0.45), (0.25, 0.34)


class MixedFaces(TrainingSet):
    """Images without a person, each mixed from images of two people: a blend, two halves, or the inner face on the other head.

    The images may be mirrored before, and the colors of one matched to the other.

    The teacher's embeddings of many such faces teach a student more than those of the few people of a small set alone.

    Parameters
    ----------
    dataset : TrainingSet
        Crops of ArcFace's template, of at least two people.
    count : int
        Number of images, at most 100 million.
    seed : int, default 0
        Image i depends on the seed, i and the images of `dataset` alone.

    Attributes
    ----------
    base : TrainingSet
        `dataset`.

    Raises
    ------
    DataError
        All images of `dataset` show one person.

    Examples
    --------
    >>> import tempfile
    >>> from gluonfr.data import FRTrainRecordDataset, RecordWriter
    >>> root = tempfile.mkdtemp()
    >>> with RecordWriter(f"{root}/tiny", image_size=(112, 112)) as writer:
    ...     for label in range(2):
    ...         writer.add(np.full((112, 112, 3), 100 * label, np.uint8), label)
    >>> mixed = MixedFaces(FRTrainRecordDataset("tiny", root), 5)
    >>> len(mixed), mixed.read(4)[0].shape
    (5, (112, 112, 3))
    """

    def __init__(self, dataset: TrainingSet, count: int, seed: int = 0) -> None:
        self.base, self.records, self.seed = dataset, dataset.records, seed
        check_integer("count", count, 1, MOST_IMAGES)
        if dataset.num_people < 2:
            raise DataError(
                f"{dataset.records.path}: faces of two people are mixed, but all images have one label; label the people, or "
                "train without mixed faces (mixed=0)."
            )
        labels = np.zeros(count, np.int64)
        labels.setflags(write=False)
        super().__init__(f"mixed-{dataset.name}", labels, 1, dataset.image_size, None)

    def read(self, i: int) -> tuple[np.ndarray, int]:
        """Return the mixed image i, uint8 (H, W, 3) RGB, and the label 0. Thread-safe."""
        rng = generator(self.seed, _PURPOSE, i)
        first, second = (self._read(item, rng) for item in self._two_people(rng))
        if rng.random() < 0.8:
            second = _with_colors_of(first, second)
        mask = cv2.merge([_mask(rng, *self.image_size)] * 3)
        # Rounds, and ends at 0 and 255.
        return cv2.convertScaleAbs(cv2.max(second + (first - second) * mask, 0)), 0

    @property
    def skipped(self) -> list[int]:
        """Numbers of the images in `records` that were left out or replaced up to now in all workers, sorted."""
        return self.base.skipped

    def _two_people(self, rng: np.random.Generator) -> tuple[int, int]:
        first = int(rng.integers(len(self.base)))
        label, people = self.base.labels[first], self.base.identities
        return first, people.other_item(label, int(rng.integers(len(self.base) - len(people[label]))))

    def _read(self, item: int, rng: np.random.Generator) -> np.ndarray:
        image = self.base.read(item)[0]
        return (cv2.flip(image, 1) if rng.random() < 0.5 else image).astype(np.float32)


def _with_colors_of(model: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Give the face on an image the mean and the spread of the colors of another one."""
    height, width = image.shape[:2]
    rows, columns = (slice(int(part.start * side), int(part.stop * side)) for part, side in zip(_FACE, (height, width)))
    (mean, spread), (wanted, wanted_spread) = (cv2.meanStdDev(one[rows, columns]) for one in (image, model))
    # The summand keeps the noise of an even face from being amplified.
    gain: Any = (wanted_spread + 8) / (spread + 8)
    return image * gain[:, 0].astype(np.float32) + (wanted - mean * gain)[:, 0].astype(np.float32)


def _mask(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return the share (H, W) of the first image in every pixel."""
    kind = rng.integers(4)
    if kind < 2:
        return np.full((height, width), rng.uniform(0.3, 0.7), np.float32)
    y = (np.arange(height, dtype=np.float32) / height)[:, None]
    x = (np.arange(width, dtype=np.float32) / width)[None]
    if kind == 2:
        # The upper half, with a soft edge between the eyes and the chin.
        return np.broadcast_to(_sigmoid((rng.uniform(0.4, 0.76) - y) / rng.uniform(0.02, 0.07)), (height, width))
    distance = ((y - _CENTER[0]) / rng.uniform(*_HALF_HEIGHT)) ** 2 + ((x - _CENTER[1]) / rng.uniform(*_HALF_WIDTH)) ** 2
    return _sigmoid(6 * (1 - distance))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(np.clip(-x, -30, 30)))
