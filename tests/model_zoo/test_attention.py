"""Residual attention network: sizes as published, the module by hand, and that a step trains it."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from numpy_layers import convolve, enlarge, max_pool, normalize, randomize, relu, sigmoid

from gluonfr.core import GluonFRError
from gluonfr.model_zoo import AttentionFaceNet, attentionfacenet92, complexity, get_attention_face, get_model
from gluonfr.model_zoo.attention import AttentionModule

# What the paper's network has instead: 7x7 for 3x3 in the first convolution, 1000 classes for the 512-d head with PReLU.
_INSTEAD = 64 * 3 * (49 - 9) + 2049 * 1000 - (2048 * 512 + 512 + 2 * 512 + 2048)


@pytest.mark.parametrize(("depth", "gluoncvs", "papers", "giga"), [(56, 31_810_728, 31.9, 6.2), (92, 52_466_344, 51.3, 10.4)])
def test_sizes_are_the_papers(depth, gluoncvs, papers, giga):
    parameters, cost = complexity(get_model(f"attentionfacenet{depth}", embedding_size=512))
    assert parameters + _INSTEAD == gluoncvs
    assert gluoncvs / 1e6 == pytest.approx(papers, rel=0.03)
    assert cost / 1e9 == pytest.approx(giga, rel=0.02)


@pytest.mark.parametrize("depth", [56, 92, 128, 164, 236, 452])
def test_layers_are_as_many_as_the_name_says(depth):
    """36 m + 20 with m modules a stage on average, as the paper counts; 452 has longer modules."""
    net = get_model(f"attentionfacenet{depth}")
    modules = [each for each in net.features if isinstance(each, AttentionModule)]
    p, t, r = (
        {len(one.before) for one in modules},
        {len(one.trunk) for one in modules},
        {len(one.mask[0].up) for one in modules},
    )
    if depth < 452:
        assert depth == 36 * len(modules) // 3 + 20
        assert (p, t, r) == ({1}, {2}, {1})
    else:
        assert len(modules) == 18
        assert (p, t, r) == ({2}, {4}, {3})


def unit(x, block):
    out = convolve(relu(normalize(x, block.bn1)), block.conv1)
    out = convolve(relu(normalize(out, block.bn2)), block.conv2)
    return x + convolve(relu(normalize(out, block.bn3)), block.conv3)


def row(x, blocks):
    for block in blocks:
        x = unit(x, block)
    return x


@pytest.mark.parametrize("size", [(13, 10), (8, 8)])
def test_the_module_by_hand(size):
    """Depth 3, unrolled as the paper's figure draws it, at sizes that do not halve evenly too."""
    module = AttentionModule(8, size, 3, p=1, t=2, r=2)
    module.initialize()
    x = np.random.RandomState(1).randn(2, 8, *size)
    module(nd.array(x))
    randomize(module)
    outer = module.mask[0]
    middle, inner = outer.inside, outer.inside.inside
    assert inner.inside is None
    assert inner.skip is None

    inside = row(x, module.before)
    first = row(max_pool(inside), outer.down)
    second = row(max_pool(first), middle.down)
    third = row(row(max_pool(second), inner.down), inner.up)
    up = enlarge(third, second.shape[2:]) + unit(second, middle.skip)
    up = enlarge(row(up, middle.up), first.shape[2:]) + unit(first, outer.skip)
    up = enlarge(row(up, outer.up), size)
    tail = list(module.mask)[1:]
    mask = sigmoid(convolve(relu(normalize(convolve(relu(normalize(up, tail[0])), tail[2]), tail[3])), tail[5]))
    wanted = row((1 + mask) * row(inside, module.trunk), module.after)

    np.testing.assert_allclose(module.mask(nd.array(inside)).asnumpy(), mask, rtol=1e-4, atol=1e-5)
    assert mask.std() > 0.05
    np.testing.assert_allclose(module(nd.array(x)).asnumpy(), wanted, rtol=1e-4, atol=1e-4)


def tiny(**kwargs):
    return AttentionFaceNet((1, 1, 1), channels=(8, 16, 16, 32, 32), embedding_size=16, **kwargs)


@pytest.mark.parametrize(("size", "head"), [((112, 96), "GDC"), ((64, 64), "E")])
def test_other_image_sizes(size, head):
    net = tiny(image_size=size, head=head)
    net.initialize(mx.init.Xavier())
    assert net(nd.random.uniform(shape=(2, 3, *size))).shape == (2, 16)


def test_training_lowers_the_loss():
    mx.random.seed(2)
    net = tiny(image_size=(32, 32), classes=4)
    net.initialize(mx.init.Xavier())
    net.hybridize(static_alloc=True, static_shape=True)
    x, y = nd.random.uniform(shape=(8, 3, 32, 32)), nd.array(np.arange(8) % 4)
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.01})
    loss, values = gluon.loss.SoftmaxCrossEntropyLoss(), []
    for _ in range(20):
        with autograd.record():
            value = loss(net(x)[1], y)
        value.backward()
        trainer.step(8)
        values.append(value.mean().asscalar())
    assert values[-1] < 0.3 * values[0]


def test_names_and_what_is_wrong():
    assert attentionfacenet92().embedding_size == 512
    assert get_model("attention_facenet56", classes=3, embedding_size=128).output is not None
    assert complexity(get_attention_face(num_layers=56)) == complexity(get_model("attentionfacenet56"))
    with pytest.raises(GluonFRError, match="num_layers is one of 56, 92, 128, 164, 236, 452, got 50"):
        get_attention_face(10, 50, 128)
    assert complexity(get_model("attention_facenet", num_layers=92)) == complexity(attentionfacenet92())
    with pytest.raises(GluonFRError, match="image_size"):
        AttentionFaceNet((1, 1, 1), image_size=112)
    with pytest.raises(GluonFRError, match="modules are 3 numbers"):
        AttentionFaceNet((1, 1))
