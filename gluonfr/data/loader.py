from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import cv2
import mxnet as mx
import numpy as np

from gluonfr.core import GluonFRError, cores, generator
from gluonfr.core.mxnet_internals import memory_of
from gluonfr.data.augment import Augmentation, describe, get_augmentation

_SHUFFLE = int.from_bytes(b"shuffle", "big")
_AUGMENT = int.from_bytes(b"augment", "big")

# One task of a thread: long enough that handing it over costs nothing, short enough that a batch is spread over the threads.
_IMAGES_A_TASK = 16


class RecordLoader:
    """Training batches from records, decoded and augmented in threads of this process, in an order that is a pure function
    of `seed` and the epoch.

    ``for images, labels in loader`` runs through one epoch, the next ``for`` through the next one; :meth:`epoch` gives any
    epoch from any batch on. `images` is an NDArray on the CPU, uint8 (n, 3, H, W) RGB, `labels` float32 (n,). Every image comes
    once an epoch. What an image looks like in an epoch depends on `seed`, the epoch and the image alone: threads, ranks,
    batch size and resuming change nothing.

    Leaving a loop ends its threads. A damaged image raises the GluonFRError that names it, in place of its batch, or is
    replaced when the dataset was opened with ``on_error="skip"``.

    Parameters
    ----------
    dataset : TrainingSet
        Without a transform: `augment` stands in its place.
    batch_size : int
        Images a batch, on each rank.
    augment : str, Augmentation, callable ``(image, rng) -> image`` or None, default 'flip'
        See :func:`gluonfr.data.augment.get_augmentation`.
    seed : int, default 0
    shuffle : bool, default True
        False keeps the order of the records.
    last_batch : 'keep' or 'discard'
        What happens to the images that fill no batch. Kept, they are spread over the ranks, whose last batches then differ
        by at most one image; fewer images than ranks are left out.
    threads : int, default the cores this process may use
    prefetch : int, default 3
        Batches made ahead.
    rank, num_ranks : int
        This process takes its part, without overlap, of the order that all ranks share; every rank has as many batches.
        All must be given the same seed and batch size. No rank reads an image of another one's. What several ranks leave
        out comes first in the next epoch, and every image is left out about as often.
    sampler : callable ``epoch -> image numbers``, optional
        Decides the order instead of `shuffle`: a 1-D array of integers, in which images may be missing or repeated (every
        repetition is augmented anew). It has to be the same on every rank and each time it is called.

    Raises
    ------
    GluonFRError
        An argument out of range, or too few images for one batch.
    """

    def __init__(
        self,
        dataset,
        batch_size,
        augment="flip",
        seed=0,
        shuffle=True,
        last_batch="keep",
        threads=None,
        prefetch=3,
        rank=0,
        num_ranks=1,
        sampler=None,
    ) -> None:
        threads = cores() if threads is None else threads
        counts = {"batch_size": batch_size, "threads": threads, "prefetch": prefetch, "num_ranks": num_ranks}
        for name, count in counts.items():
            if not _is_integer(count, 1):
                raise GluonFRError(f"{name}={count!r} of a loader must be a whole number of at least 1.")
        if not _is_integer(rank, 0, num_ranks - 1):
            raise GluonFRError(f"rank={rank!r} of a loader must be a whole number from 0 to {num_ranks - 1} (num_ranks - 1).")
        if not _is_integer(seed, 0, 2**64 - 1):
            raise GluonFRError(f"seed={seed!r} of a loader must be a whole number from 0 to 2**64 - 1.")
        if last_batch not in ("keep", "discard"):
            raise GluonFRError(f"last_batch={last_batch!r} of a loader must be 'keep' or 'discard'.")
        if dataset._transform is not None:
            raise GluonFRError(f"{dataset.records.path}: a loader takes the set without transform; give it augment instead.")
        self.dataset, self.batch_size, self.seed, self.threads = dataset, batch_size, seed, threads
        self._augment = get_augmentation(augment)
        if self._augment == Augmentation():
            self._augment = None
        self._shuffle, self._last_batch, self._sampler = shuffle, last_batch, sampler
        self._rank, self._num_ranks = rank, num_ranks
        # Small batches are made further ahead, so that every thread has two tasks.
        self._ahead = max(prefetch, -(-2 * threads * _IMAGES_A_TASK // batch_size))
        self._next_epoch = 0

    def __len__(self) -> int:
        """Batches of the next epoch on this rank."""
        return self._batches(len(self.dataset) if self._sampler is None else len(self._order(self._next_epoch)))

    def __iter__(self):
        number = self._next_epoch
        self._next_epoch += 1
        return self.epoch(number)

    def epoch(self, number, start=0):
        """An iterator over epoch `number` (from 0), from batch `start` on, exactly as an unbroken run has it.

        `start` may be the number of batches: then nothing comes. Loops over the loader itself keep their own count.
        """
        if not _is_integer(number, 0):
            raise GluonFRError(f"epoch={number!r} of a loader must be a whole number of at least 0.")
        order = self._order(number)
        count = self._batches(len(order))
        if not count:
            raise GluonFRError(
                f"{self.dataset.records.path}: the {len(order)} images of an epoch make no batch of {self.batch_size} on each "
                f"of {self._num_ranks} ranks; take a smaller batch_size or last_batch='keep'."
            )
        if not _is_integer(start, 0, count):
            raise GluonFRError(f"start={start!r} of epoch {number} must be a whole number from 0 to {count}, its batches.")
        images = seeds = self._share(order)
        if self._sampler is not None:
            seeds = images.astype(np.int64) + (self._share(_times_before(order)).astype(np.int64) << 40)
        del order  # that of all ranks, which for many images is large
        parts = (
            slice(begin, begin + self.batch_size) for begin in range(start * self.batch_size, len(images), self.batch_size)
        )
        return self._run(number, ((images[part], seeds[part]) for part in parts))

    def _order(self, number):
        count = len(self.dataset)
        if self._sampler is None:
            return self._shuffled(count, number) if self._shuffle else np.arange(count)
        order = np.asarray(self._sampler(number))
        if order.ndim != 1 or order.dtype.kind not in "iu" or (len(order) and not 0 <= order.min() <= order.max() < count):
            raise GluonFRError(f"the sampler of a loader must give a 1-D array of image numbers from 0 to {count - 1}.")
        return order.astype(np.int64) if order.dtype.kind == "u" else order

    def _shuffled(self, count, number):
        left = self._left_over(count)
        if self._num_ranks == 1 or not left or left == count:
            return self._permutation(count, number)
        # What epochs leave out follows one another in a circle of all images, so that it needs no memory of the epochs before;
        # it begins with the end of the first epoch's order.
        circle = self._permutation(count, 0)[::-1]
        last, first = (circle[(np.arange(left) + epoch * left) % count] for epoch in (number, number - 1))
        del circle
        if not number:
            first = first[:0]
        order = self._permutation(count, number)
        taken = np.zeros(count, bool)
        taken[first] = taken[last] = True
        order[len(first) : count - left] = order[~taken[order]]
        order[: len(first)], order[count - left :] = first, last
        return order

    def _permutation(self, count, number):
        # The order of `permutation(count)`, in as few bytes as may be.
        order = np.arange(count, dtype=np.min_scalar_type(-count))
        generator(self.seed, _SHUFFLE, number).shuffle(order)
        return order

    def _left_over(self, count):
        """How many of so many images an epoch leaves out, on all ranks together."""
        rest = count % (self.batch_size * self._num_ranks)
        return 0 if self._last_batch == "keep" and rest >= self._num_ranks else rest

    def _batches(self, count):
        """How many batches each rank has of an order of `count` images."""
        return -(-(count - self._left_over(count)) // (self.batch_size * self._num_ranks))

    def _share(self, order):
        """What this rank takes of the order that all ranks share, batch after batch."""
        rank, ranks = self._rank, self._num_ranks
        order = order[: len(order) - self._left_over(len(order))]
        rest = len(order) % (self.batch_size * ranks)
        whole, tail = order[: len(order) - rest], order[len(order) - rest :]
        return np.append(
            whole.reshape(-1, ranks, self.batch_size)[:, rank], tail[rest * rank // ranks : rest * (rank + 1) // ranks]
        )

    def _run(self, epoch, batches):
        pool = ThreadPoolExecutor(self.threads)
        waiting = deque()
        try:
            while True:
                for indices, seeds in islice(batches, self._ahead + 1 - len(waiting)):
                    waiting.append(_Batch(self, pool, epoch, indices, seeds))
                if not waiting:
                    return
                waiting[0].wait()
                yield waiting.popleft().arrays()
        finally:
            for batch in waiting:
                batch.cancel()
            pool.shutdown()

    def _fill(self, planes, labels, epoch, indices, seeds) -> None:
        """Read, decode and augment the images `indices` into `planes`, a part of a batch, uint8 (n, 3, H, W)."""
        shape = planes.shape[2:] + (3,)
        streams = _Streams(self.seed, _AUGMENT, epoch)
        for row, (index, seed) in enumerate(zip(indices, seeds)):
            image, labels[row] = self.dataset.read(index)
            if self._augment is not None:
                image = self._augment(image, streams.at(seed))
                if not isinstance(image, np.ndarray) or image.shape != shape or image.dtype != np.uint8:
                    raise GluonFRError(
                        f"augment={self._augment!r} of a loader must return an array {shape} of uint8, as it was given, "
                        f"got {describe(image)}."
                    )
            # Writes into the planes themselves, eight times as fast as copying a transposed view.
            cv2.split(image, [planes[row, 0], planes[row, 1], planes[row, 2]])


class _Streams:
    """``at(number)`` is ``generator(*position, number)``, in a tenth of the time: one generator that is set to the start of
    each stream, and so is good until the next call.
    """

    def __init__(self, *position) -> None:
        self._generator = generator(*position)
        self._start = self._generator.bit_generator.state
        self._counter = self._start["state"]["counter"]

    def at(self, number):
        self._counter[3] = number
        self._generator.bit_generator.state = self._start
        return self._generator


class _Batch:
    """A batch in the making."""

    def __init__(self, loader, pool, epoch, indices, seeds) -> None:
        self._loader, self._epoch, self._indices, self._seeds = loader, epoch, indices.tolist(), seeds.tolist()
        self._images, self._planes = _empty((len(indices), 3) + tuple(loader.dataset.image_size))
        self._labels = np.empty(len(indices), np.float32)
        self._tasks = [pool.submit(self._work, begin) for begin in range(0, len(indices), _IMAGES_A_TASK)]

    def _work(self, begin) -> None:
        # A method, so that a running task keeps alive the NDArray into whose memory it writes.
        rows = slice(begin, begin + _IMAGES_A_TASK)
        self._loader._fill(self._planes[rows], self._labels[rows], self._epoch, self._indices[rows], self._seeds[rows])

    def wait(self) -> None:
        for task in self._tasks:
            task.result()

    def arrays(self):
        return self._images, mx.nd.array(self._labels, ctx=mx.cpu(), dtype=np.float32)

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()


def _empty(shape):
    """An uninitialized uint8 NDArray on the CPU and an array that is its memory, valid as long as the NDArray lives.

    Filling the memory saves a copy of every batch: MXNet's own copy from NumPy takes a third of the time of decoding.
    Nothing waits for a new NDArray, so no operation of MXNet's engine can meet the writing threads.
    """
    array = mx.nd.empty(shape, ctx=mx.cpu(), dtype=np.uint8)
    return array, memory_of(array)


def _times_before(order):
    """int32 (n,): how often each number of `order` stands before its place."""
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


def _is_integer(value, low, high=None):
    integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return integer and low <= value and (high is None or value <= high)
