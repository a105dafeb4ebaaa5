from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Callable, Iterator

import cv2
import mxnet as mx
import numpy as np

from gluonfr.core import UsageError, check_choice, check_integer, cores, generator
from gluonfr.core.mxnet_internals import memory_of
from gluonfr.data.dataset.base import TrainingSet
from gluonfr.data.loading.augmentation import Augment, Augmentation, describe, get_augmentation
from gluonfr.data.loading.order import EpochOrder, earlier_occurrences

_AUGMENT_PURPOSE = int.from_bytes(b"augment", "big")

# A task of a thread: long enough that starting it costs little, short enough that a batch is divided among the threads.
_IMAGES_PER_TASK = 16


class RecordLoader:
    """Batches for training, decoded and augmented in threads of this process.

    ``for images, labels in loader`` iterates over one epoch, the next ``for`` over the next one; :meth:`epoch` iterates over
    any epoch from any batch. `images` is a uint8 (n, 3, H, W) RGB NDArray on the CPU, `labels` a float32 (n,) NDArray. Every
    image occurs once per epoch. The order depends on `seed` and the epoch alone, and the pixels of an image on `seed`, the
    epoch and the image; threads, ranks, batch size and resuming change nothing.

    The threads end when the loop ends. A damaged image raises the DataError that names it, in place of its batch, or is
    replaced when the dataset was opened with ``on_error="skip"``.

    Parameters
    ----------
    dataset : TrainingSet
        Without a transform; `augment` replaces it.
    batch_size : int
        Images per batch on each rank.
    augment : str, Augmentation, callable ``(image, rng) -> image`` or None, default 'flip'
        See :func:`gluonfr.data.get_augmentation`.
    seed : int, default 0
        From 0 to 2**64 - 1.
    shuffle : bool, default True
        False keeps the order of the records.
    last_batch : {'keep', 'discard'}
        What to do with images that do not fill a batch. Kept images are divided among the ranks, whose last batches then differ
        by at most one image; fewer images than ranks are left out.
    threads : int, optional
        Number of threads; by default the number of cores that this process may use.
    prefetch : int, default 3
        Batches prepared ahead.
    rank, num_ranks : int, default 0 and 1
        This process, and the number of processes that share an epoch. Each rank reads its own part of the common order, without
        overlap and with the same number of batches. All ranks need the same seed and batch size. Images that several ranks
        leave out come first in the next epoch, and every image is left out about equally often.
    sampler : callable ``epoch -> image numbers``, optional
        Defines the order instead of `shuffle`: a 1-D array of integers, in which images may be missing or repeated. Each
        repetition is augmented differently. It must be the same on every rank and for every call.
    with_items : bool, default False
        Also return the items of each batch in `dataset`: batches are `(images, labels, items)`, `items` an int64 (n,) array.

    Raises
    ------
    UsageError
        An argument is out of range, or there are too few images for one batch.

    Examples
    --------
    >>> import tempfile
    >>> from gluonfr.data import FRTrainRecordDataset, RecordWriter
    >>> root = tempfile.mkdtemp()
    >>> with RecordWriter(f"{root}/tiny", image_size=(8, 8)) as writer:
    ...     for label in range(6):
    ...         writer.add(np.zeros((8, 8, 3), np.uint8), label)
    >>> loader = RecordLoader(FRTrainRecordDataset("tiny", root=root), batch_size=4)
    >>> [images.shape for images, labels in loader]
    [(4, 3, 8, 8), (2, 3, 8, 8)]
    """

    def __init__(
        self,
        dataset: TrainingSet,
        batch_size: int,
        augment: str | Augment | None = "flip",
        seed: int = 0,
        shuffle: bool = True,
        last_batch: str = "keep",
        threads: int | None = None,
        prefetch: int = 3,
        rank: int = 0,
        num_ranks: int = 1,
        sampler: Callable[[int], Any] | None = None,
        with_items: bool = False,
    ) -> None:
        threads = cores() if threads is None else threads
        counts = {"batch_size": batch_size, "threads": threads, "prefetch": prefetch, "num_ranks": num_ranks}
        for name, count in counts.items():
            check_integer(name, count, 1)
        check_integer("rank", rank, 0, num_ranks - 1)
        check_integer("seed", seed, 0, 2**64 - 1)
        check_choice("last_batch", last_batch, ("keep", "discard"))
        if dataset.transform_function is not None:
            raise UsageError(f"{dataset.records.path}: a loader needs the set without transform; pass augment instead.")
        self.dataset, self.batch_size, self.seed, self.threads = dataset, batch_size, seed, threads
        augmentation = get_augmentation(augment)
        self._augment = None if augmentation == Augmentation() else augmentation
        self._order = EpochOrder(len(dataset), batch_size, seed, shuffle, last_batch, rank, num_ranks, sampler)
        self._repeats, self._num_ranks, self._with_items = sampler is not None, num_ranks, with_items
        # Small batches are prepared further ahead, so that every thread has two tasks.
        self._ahead = max(prefetch, -(-2 * threads * _IMAGES_PER_TASK // batch_size))
        self._next_epoch = 0

    def __repr__(self) -> str:
        return (
            f"RecordLoader({self.dataset!r}, batch_size={self.batch_size}, augment={self._augment!r}, seed={self.seed}, "
            f"threads={self.threads})"
        )

    def __len__(self) -> int:
        """Return the number of batches of the next epoch on this rank."""
        return self._order.num_batches(self._next_epoch)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        number = self._next_epoch
        self._next_epoch += 1
        return self.epoch(number)

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[Any, ...]]:
        """Iterate over epoch `number` (from 0), from batch `start`, exactly as an uninterrupted run does.

        `start` may be the number of batches, which gives an empty iterator. Loops over the loader itself count their own
        epochs.
        """
        check_integer("epoch", number, 0)
        order = self._order.all_ranks(number)
        count = self._order.batches_of(len(order))
        if not count:
            raise UsageError(
                f"{self.dataset.records.path}: the {len(order)} images of an epoch make no batch of {self.batch_size} on each "
                f"of {self._num_ranks} ranks; use a smaller batch_size or last_batch='keep'."
            )
        check_integer("start", start, 0, count)
        images = seeds = self._order.share(order)
        if self._repeats:
            seeds = images.astype(np.int64) + (self._order.share(earlier_occurrences(order)).astype(np.int64) << 40)
        del order  # that of all ranks, which is large for many images
        begins = range(start * self.batch_size, len(images), self.batch_size)
        parts = (slice(begin, begin + self.batch_size) for begin in begins)
        return self._run(number, ((images[part], seeds[part]) for part in parts))

    def _run(self, epoch: int, batches: Iterator[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[Any, ...]]:
        pool = ThreadPoolExecutor(self.threads)
        waiting: deque[_Batch] = deque()
        try:
            while True:
                for indices, seeds in islice(batches, self._ahead + 1 - len(waiting)):
                    waiting.append(_Batch(self, pool, epoch, indices, seeds))
                if not waiting:
                    return
                waiting[0].wait()
                batch = waiting.popleft()
                yield (*batch.arrays(), batch.items) if self._with_items else batch.arrays()
        finally:
            for batch in waiting:
                batch.cancel()
            pool.shutdown()

    def fill(self, planes: np.ndarray, labels: np.ndarray, epoch: int, indices: list[int], seeds: list[int]) -> None:
        """Read, decode and augment images into a part of a batch.

        Parameters
        ----------
        planes : np.ndarray
            uint8 (n, 3, H, W), overwritten.
        labels : np.ndarray
            float32 (n,), overwritten.
        epoch : int
            The epoch.
        indices, seeds : list of int
            The images, and the last part of the seeds of their augmentation.
        """
        shape = planes.shape[2:] + (3,)
        streams = _Streams(self.seed, _AUGMENT_PURPOSE, epoch)
        for row, (index, seed) in enumerate(zip(indices, seeds)):
            image, labels[row] = self.dataset.read(index)
            if self._augment is not None:
                image = self._augment(image, streams.at(seed))
                if not isinstance(image, np.ndarray) or image.shape != shape or image.dtype != np.uint8:
                    raise UsageError(
                        f"augment={self._augment!r} must return an array {shape} of uint8 like its argument, "
                        f"got {describe(image)}."
                    )
            # Writes into the planes directly, eight times as fast as copying a transposed view.
            cv2.split(image, [planes[row, 0], planes[row, 1], planes[row, 2]])


class _Streams:
    """`at(number)` equals `generator(*position, number)` in a tenth of the time.

    One generator is set to the start of each stream, so the result is valid until the next call.
    """

    def __init__(self, *position: int) -> None:
        self._generator = generator(*position)
        self._start: Any = self._generator.bit_generator.state
        self._counter = self._start["state"]["counter"]

    def at(self, number: int) -> np.random.Generator:
        self._counter[3] = number
        self._generator.bit_generator.state = self._start
        return self._generator


class _Batch:
    """A batch that is being prepared."""

    def __init__(
        self, loader: RecordLoader, pool: ThreadPoolExecutor, epoch: int, indices: np.ndarray, seeds: np.ndarray
    ) -> None:
        self._loader, self._epoch, self._indices, self._seeds = loader, epoch, indices.tolist(), seeds.tolist()
        self.items = indices.astype(np.int64)
        shape = (len(indices), 3) + tuple(loader.dataset.image_size)
        # Filling the memory of the NDArray saves a copy of every batch, which takes a third of the time of decoding.
        self._images = mx.nd.empty(shape, ctx=mx.cpu(), dtype=np.uint8)
        self._planes = memory_of(self._images)
        self._labels = np.empty(len(indices), np.float32)
        self._tasks = [pool.submit(self._work, begin) for begin in range(0, len(indices), _IMAGES_PER_TASK)]

    def _work(self, begin: int) -> None:
        # A method, so that a running task keeps the NDArray alive into whose memory it writes.
        rows = slice(begin, begin + _IMAGES_PER_TASK)
        self._loader.fill(self._planes[rows], self._labels[rows], self._epoch, self._indices[rows], self._seeds[rows])

    def wait(self) -> None:
        for task in self._tasks:
            task.result()

    def arrays(self) -> tuple[mx.nd.NDArray, mx.nd.NDArray]:
        return self._images, mx.nd.array(self._labels, ctx=mx.cpu(), dtype=np.float32)

    def cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
