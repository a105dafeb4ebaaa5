from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Sequence

import mxnet as mx
from mxnet import nd

from gluonfr.engine.distributed.group import Group


class Meter:
    """Mean loss and throughput of all processes. Losses are summed on the devices; reading waits for the devices.

    Parameters
    ----------
    contexts : list of Context
        Devices of this process.
    group : Group, optional
        Processes that train together.
    clock : callable, default time.perf_counter
        Returns the time in seconds.

    Attributes
    ----------
    images : int
        Images up to the last reading, over all processes.
    seconds : float
        Seconds of training up to the last reading, without pauses.

    Examples
    --------
    >>> meter = Meter([mx.cpu()])
    >>> meter.add(2, [nd.array([1.0, 3.0])])
    >>> meter.read()[0]
    2.0
    """

    def __init__(
        self, contexts: Sequence[mx.Context], group: Group | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._group, self._clock = group or Group(), clock
        self._sums = [nd.zeros((1,), ctx=context) for context in contexts]
        self._new_images = 0
        self.images, self.seconds = 0, 0.0
        self._started = clock()

    def add(self, size: int, losses: Sequence[Any]) -> None:
        """Add a batch of `size` images, and its losses: one array (N_k,) per device."""
        for total, loss in zip(self._sums, losses):
            total += loss.sum()
        self._new_images += size

    def read(self) -> tuple[float, float]:
        """Return the mean loss and the images per second since the previous reading."""
        values = self._group.gather_values([sum(float(total.asscalar()) for total in self._sums), self._new_images])
        total, images = (sum(column) for column in zip(*values))
        nd.waitall()
        seconds = self._clock() - self._started
        self.images, self.seconds, self._new_images = self.images + images, self.seconds + seconds, 0
        for loss_sum in self._sums:
            loss_sum[:] = 0
        self._started = self._clock()
        return total / images, images / seconds

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Exclude the time of the block."""
        nd.waitall()
        start = self._clock()
        yield
        self._started += self._clock() - start
