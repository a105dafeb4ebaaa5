import time

from mxnet import nd


class Meter:
    """Losses summed on the devices and throughput over synchronised work; read seldom, because reading waits."""

    def __init__(self, contexts):
        self._sums = [nd.zeros((1,), ctx=context) for context in contexts]
        self._new = 0
        self.images, self.seconds = 0, 0.0
        self._started = time.perf_counter()

    def add(self, size, losses):
        for total, loss in zip(self._sums, losses):
            total += loss.sum()
        self._new += size

    def read(self):
        """Mean loss and images/s since the last reading."""
        loss = sum(float(total.asscalar()) for total in self._sums) / self._new
        nd.waitall()
        seconds = time.perf_counter() - self._started
        speed = self._new / seconds
        self.images, self.seconds, self._new = self.images + self._new, self.seconds + seconds, 0
        for total in self._sums:
            total[:] = 0
        self._started = time.perf_counter()
        return loss, speed

    def resume(self):
        """After work that is not training: time starts again, if nothing is being measured."""
        if not self._new:
            self._started = time.perf_counter()
