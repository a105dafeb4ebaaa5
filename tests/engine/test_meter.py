import time

import mxnet as mx
import pytest
from mxnet import nd

from gluonfr.engine.meter import Meter


def test_time_that_is_not_training_does_not_count_though_images_are_waiting_to_be_read():
    meter = Meter([mx.cpu(0), mx.cpu(1)])
    time.sleep(0.2)
    meter.add(3, [nd.array([1, 2]), nd.array([6], ctx=mx.cpu(1))])
    with meter.paused():
        time.sleep(1)
    loss, speed = meter.read()
    assert loss == 3
    assert 0.2 <= meter.seconds < 0.7
    assert speed == pytest.approx(3 / meter.seconds)
    meter.add(1, [nd.array([4]), nd.array([0], ctx=mx.cpu(1))])
    assert meter.read()[0] == 4
    assert meter.images == 4
