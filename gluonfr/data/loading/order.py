"""The order of the images of an epoch, and the share of each rank."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np

from gluonfr.core import UsageError, generator

# Runs that resume depend on this number.
SHUFFLE_PURPOSE = int.from_bytes(b"shuffle", "big")


class EpochOrder:
    """The image numbers of each epoch: a pure function of the seed and the epoch.

    Parameters
    ----------
    images : int
        Number of images of the set.
    batch_size : int
        Images per batch on each rank.
    seed : int, default 0
        Seed of the order.
    shuffle : bool, default True
        False keeps the order of the records.
    last_batch : {'keep', 'discard'}
        What to do with images that do not fill a batch.
    rank, num_ranks : int, default 0 and 1
        This process, and the number of processes that share an epoch.
    sampler : callable, optional
        `sampler(epoch)` returns the image numbers of all ranks instead.

    Examples
    --------
    >>> order = EpochOrder(images=10, batch_size=2, shuffle=False, rank=1, num_ranks=2)
    >>> order.share(order.all_ranks(0)).tolist()
    [2, 3, 6, 7, 9]
    """

    def __init__(
        self,
        images: int,
        batch_size: int,
        seed: int = 0,
        shuffle: bool = True,
        last_batch: str = "keep",
        rank: int = 0,
        num_ranks: int = 1,
        sampler: Callable[[int], Any] | None = None,
    ) -> None:
        self._images, self._batch_size, self._seed = images, batch_size, seed
        self._shuffle, self._last_batch, self._sampler = shuffle, last_batch, sampler
        self._rank, self._num_ranks = rank, num_ranks

    def __repr__(self) -> str:
        return f"EpochOrder(images={self._images}, rank={self._rank} of {self._num_ranks})"

    def all_ranks(self, epoch: int) -> np.ndarray:
        """Return the image numbers of an epoch on all ranks together, integers (n,)."""
        if self._sampler is None:
            return self._shuffled(epoch) if self._shuffle else np.arange(self._images)
        order = np.asarray(self._sampler(epoch))
        valid = order.ndim == 1 and order.dtype.kind in "iu"
        if not valid or (len(order) and not 0 <= order.min() <= order.max() < self._images):
            raise UsageError(f"sampler must return a 1-D array of image numbers from 0 to {self._images - 1}.")
        return order.astype(np.int64) if order.dtype.kind == "u" else order

    def num_batches(self, epoch: int) -> int:
        """Return the number of batches of an epoch on each rank."""
        return self.batches_of(self._images if self._sampler is None else len(self.all_ranks(epoch)))

    def batches_of(self, count: int) -> int:
        """Return the number of batches that each rank makes of `count` images of all ranks."""
        return -(-(count - self._num_left_out(count)) // (self._batch_size * self._num_ranks))

    def share(self, order: np.ndarray) -> np.ndarray:
        """Return this rank's part of the order of all ranks, batch after batch."""
        rank, ranks = self._rank, self._num_ranks
        order = order[: len(order) - self._num_left_out(len(order))]
        rest = len(order) % (self._batch_size * ranks)
        full, tail = order[: len(order) - rest], order[len(order) - rest :]
        return np.append(
            full.reshape(-1, ranks, self._batch_size)[:, rank], tail[rest * rank // ranks : rest * (rank + 1) // ranks]
        )

    def _num_left_out(self, count: int) -> int:
        """Return how many of `count` images an epoch leaves out on all ranks together."""
        rest = count % (self._batch_size * self._num_ranks)
        return 0 if self._last_batch == "keep" and rest >= self._num_ranks else rest

    def _shuffled(self, epoch: int) -> np.ndarray:
        count = self._images
        left = self._num_left_out(count)
        if self._num_ranks == 1 or not left or left == count:
            return self._permutation(epoch)
        # The images that the epochs leave out follow one another on a circle of all images, so that no state is needed. The
        # circle starts with the end of the first epoch's order.
        circle = self._permutation(0)[::-1]
        last, first = (circle[(np.arange(left) + number * left) % count] for number in (epoch, epoch - 1))
        del circle
        if not epoch:
            first = first[:0]
        order = self._permutation(epoch)
        placed = np.zeros(count, bool)
        placed[first] = placed[last] = True
        order[len(first) : count - left] = order[~placed[order]]
        order[: len(first)], order[count - left :] = first, last
        return order

    def _permutation(self, epoch: int) -> np.ndarray:
        # The order of `permutation(count)`, in as few bytes as possible.
        order = np.arange(self._images, dtype=np.min_scalar_type(-self._images))
        generator(self._seed, SHUFFLE_PURPOSE, epoch).shuffle(order)
        return order


def earlier_occurrences(order: np.ndarray) -> np.ndarray:
    """Count for each element of an array how often its value occurs before it, int32 (n,).

    Examples
    --------
    >>> earlier_occurrences(np.array([3, 5, 3, 3])).tolist()
    [0, 0, 1, 2]
    """
    times = np.zeros(len(order), np.int32)
    if not len(order):
        return times
    repeated = np.flatnonzero((np.bincount(order) > 1)[order])
    numbers = order[repeated]
    by_number = np.argsort(numbers, kind="stable")
    numbers = numbers[by_number]
    begins = np.flatnonzero(np.append(True, numbers[1:] != numbers[:-1])[: len(numbers)])
    runs = np.diff(begins, append=len(numbers))
    times[repeated[by_number]] = np.arange(len(numbers)) - np.repeat(begins, runs)
    return times
