"""The attention module against NumPy."""

import numpy as np
import pytest
from mxnet import nd
from numpy_layers import convolve, enlarge, max_pool, normalize, randomize, relu, sigmoid

from gluonfr.model_zoo.attention import AttentionModule


def unit(x, block):
    out = convolve(relu(normalize(x, block.bn1)), block.conv1)
    out = convolve(relu(normalize(out, block.bn2)), block.conv2)
    return x + convolve(relu(normalize(out, block.bn3)), block.conv3)


def units(x, blocks):
    for block in blocks:
        x = unit(x, block)
    return x


@pytest.mark.parametrize("size", [(13, 10), (8, 8)])
def test_module_equals_numpy(size):
    """Depth 3, unrolled as in the figure of the paper, also at sizes that do not halve evenly."""
    module = AttentionModule(8, size, 3, p=1, t=2, r=2)
    module.initialize()
    x = np.random.RandomState(1).randn(2, 8, *size)
    module(nd.array(x))
    randomize(module)
    outer = module.mask[0]
    middle, inner = outer.inside, outer.inside.inside
    assert inner.inside is None
    assert inner.skip is None

    inside = units(x, module.before)
    first = units(max_pool(inside), outer.down)
    second = units(max_pool(first), middle.down)
    third = units(units(max_pool(second), inner.down), inner.up)
    up = enlarge(third, second.shape[2:]) + unit(second, middle.skip)
    up = enlarge(units(up, middle.up), first.shape[2:]) + unit(first, outer.skip)
    up = enlarge(units(up, outer.up), size)
    tail = list(module.mask)[1:]
    mask = sigmoid(convolve(relu(normalize(convolve(relu(normalize(up, tail[0])), tail[2]), tail[3])), tail[5]))
    wanted = units((1 + mask) * units(inside, module.trunk), module.after)

    np.testing.assert_allclose(module.mask(nd.array(inside)).asnumpy(), mask, rtol=1e-4, atol=1e-5)
    assert mask.std() > 0.05
    np.testing.assert_allclose(module(nd.array(x)).asnumpy(), wanted, rtol=1e-4, atol=1e-4)
