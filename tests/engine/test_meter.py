import mxnet as mx
import pytest
from mxnet import nd

from gluonfr.engine.meter import Meter


class Clock:
    """Seconds that only the test advances."""

    seconds = 0.0

    def __call__(self):
        return self.seconds


def test_pauses_do_not_count_as_training():
    clock = Clock()
    meter = Meter([mx.cpu(0), mx.cpu(1)], clock=clock)
    clock.seconds += 2
    meter.add(3, [nd.array([1, 2]), nd.array([6], ctx=mx.cpu(1))])
    with meter.paused():
        clock.seconds += 10
    loss, speed = meter.read()
    assert loss == 3
    assert meter.seconds == pytest.approx(2)
    assert speed == pytest.approx(1.5)


def test_the_mean_loss_starts_again_after_each_reading():
    clock = Clock()
    meter = Meter([mx.cpu()], clock=clock)
    for size, values, mean in ((2, [1, 3], 2), (1, [4], 4)):
        clock.seconds += 1
        meter.add(size, [nd.array(values)])
        assert meter.read() == (mean, pytest.approx(size))
    assert meter.images == 3
