from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Callable, Iterator

import mxnet as mx
import numpy as np

from gluonfr.core import check_integer, cores, generator
from gluonfr.data.detection.annotations import PhotoFaces
from gluonfr.data.detection.augmentation import DetectionAugmentation
from gluonfr.data.detection.records import DetectionRecords
from gluonfr.data.loading.order import EpochOrder

_PURPOSE = int.from_bytes(b"detect", "big")

Targets = Callable[[PhotoFaces], np.ndarray]


class DetectionLoader:
    """Batches for training a detector, decoded and augmented in threads of this process.

    `epoch(number, start)` iterates over `(images, targets)`: uint8 (n, 3, S, S) RGB and float32 (n, A, ...) NDArrays on the
    CPU. The order depends on `seed` and the epoch alone, and a sample on `seed`, the epoch and its photo; threads, ranks, batch
    size and resuming change nothing. The last batch of an epoch is left out when it is not full.

    Parameters
    ----------
    records : DetectionRecords
    batch_size : int
        Samples per batch on each rank.
    augmentation : DetectionAugmentation
    targets : callable
        `targets(faces)` returns the array that a detector learns from the faces of a sample.
    seed : int, default 0
    threads : int, optional
        By default one per core.
    rank, num_ranks : int, default 0 and 1

    Examples
    --------
    >>> loader = DetectionLoader(records, 32, DetectionAugmentation(), targets)  # doctest: +SKIP
    >>> images, targets = next(loader.epoch(0))  # doctest: +SKIP
    """

    def __init__(
        self,
        records: DetectionRecords,
        batch_size: int,
        augmentation: DetectionAugmentation,
        targets: Targets,
        seed: int = 0,
        threads: int | None = None,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        self.records, self.augmentation = records, augmentation
        self.batch_size = check_integer("batch_size", batch_size, 1)
        self._targets, self._seed = targets, check_integer("seed", seed, 0, 2**64 - 1)
        self._threads = cores() if threads is None else check_integer("threads", threads, 1)
        self._order = EpochOrder(len(records), batch_size, seed, True, "discard", rank, num_ranks)

    def __repr__(self) -> str:
        return f"DetectionLoader({self.records!r}, batch_size={self.batch_size}, {self.augmentation})"

    def __len__(self) -> int:
        """Return the number of batches of an epoch on this rank."""
        return self._order.num_batches(0)

    def epoch(self, number: int, start: int = 0) -> Iterator[tuple[mx.nd.NDArray, mx.nd.NDArray]]:
        """Iterate over epoch `number` (from 0), from batch `start`, exactly as an uninterrupted run does."""
        numbers = self._order.share(self._order.all_ranks(number)).tolist()
        begins = iter(range(start * self.batch_size, len(numbers), self.batch_size))
        pool = ThreadPoolExecutor(self._threads)
        waiting: deque[list[Future]] = deque()
        try:
            while True:
                for begin in islice(begins, 3 - len(waiting)):
                    samples = numbers[begin : begin + self.batch_size]
                    waiting.append([pool.submit(self._sample, number, sample) for sample in samples])
                if not waiting:
                    return
                images, targets = zip(*(sample.result() for sample in waiting[0]))
                waiting.popleft()
                yield mx.nd.array(np.stack(images), dtype=np.uint8), mx.nd.array(np.stack(targets))
        finally:
            for samples in waiting:
                for sample in samples:
                    sample.cancel()
            pool.shutdown()

    def _sample(self, epoch: int, number: int) -> tuple[np.ndarray, np.ndarray]:
        rng = generator(self._seed, _PURPOSE, epoch, number)
        image, faces = self.augmentation(number, self.records.read, len(self.records), rng)
        return np.ascontiguousarray(image.transpose(2, 0, 1)), self._targets(faces)
