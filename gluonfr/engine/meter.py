from __future__ import annotations

import time
from contextlib import contextmanager

from mxnet import nd

from gluonfr.engine.distributed.group import Group


class Meter:
    """Losses summed on the devices of all processes, and throughput over synchronized work.

    Read seldom, because reading waits.
    """

    def __init__(self, contexts, group=None) -> None:
        self._group = group or Group()
        self._sums = [nd.zeros((1,), ctx=context) for context in contexts]
        self._new = 0
        self.images, self.seconds = 0, 0.0
        self._started = time.perf_counter()

    def add(self, size, losses) -> None:
        for total, loss in zip(self._sums, losses):
            total += loss.sum()
        self._new += size

    def read(self):
        """Mean loss and images/s since the last reading."""
        said = self._group.gather_values([sum(float(total.asscalar()) for total in self._sums), self._new])
        total, images = (sum(each) for each in zip(*said))
        nd.waitall()
        seconds = time.perf_counter() - self._started
        self.images, self.seconds, self._new = self.images + images, self.seconds + seconds, 0
        for each in self._sums:
            each[:] = 0
        self._started = time.perf_counter()
        return total / images, images / seconds

    @contextmanager
    def paused(self):
        """Time in here is not training."""
        nd.waitall()
        start = time.perf_counter()
        yield
        self._started += time.perf_counter() - start
