"""The residual unit of SE-ResNet v2 against NumPy."""

import numpy as np
import pytest
from mxnet import nd
from numpy_layers import convolve, normalize, prelu, randomize, sigmoid

from gluonfr.model_zoo.seresnet import _Unit


@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize(("channels", "stride"), [(16, 1), (16, 2), (32, 2)])
def test_unit_equals_numpy(channels, stride, bottleneck):
    unit = _Unit(channels, 16, stride, bottleneck)
    unit.initialize()
    randomize(unit)
    x = np.random.RandomState(1).randn(2, 16, 7, 6)
    activated = prelu(normalize(x, unit.activation[0]), unit.activation[1])
    body = list(unit.body)
    out = convolve(activated, body[0])
    for norm, slopes, conv in (body[1:4], body[4:7]) if bottleneck else (body[1:4],):
        out = convolve(prelu(normalize(out, norm), slopes), conv)
    squeeze, excite = body[-1].gate[1], body[-1].gate[3]
    hidden = prelu(convolve(out.mean(axis=(2, 3), keepdims=True), squeeze), body[-1].gate[2])
    out = out * sigmoid(convolve(hidden, excite))
    assert len(body) == (8 if bottleneck else 5)
    out = out + (x if unit.shortcut is None else convolve(activated, unit.shortcut))
    assert (unit.shortcut is None) == (channels == 16 and stride == 1)
    np.testing.assert_allclose(unit(nd.array(x)).asnumpy(), out, rtol=1e-4, atol=1e-4)
