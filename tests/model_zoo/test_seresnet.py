"""SE-ResNet v2 and gluon-face's small MobileFaceNet: sizes, a unit by hand, and that a step trains them."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from numpy_layers import convolve, normalize, prelu, randomize, sigmoid

from gluonfr.core import GluonFRError
from gluonfr.model_zoo import (
    MobileFaceNetRe,
    SEResNetV2,
    complexity,
    get_mobile_facenet_re,
    get_model,
    get_se_resnet,
    se_resnet18_v2,
)
from gluonfr.model_zoo.seresnet import _UNITS, _Unit


def se(channels):
    """Parameters of squeeze-and-excitation, slopes of its PReLU included."""
    middle = channels // 16
    return 2 * channels * middle + channels + 2 * middle


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_sizes_are_resnets_own_plus_what_is_added(depth):
    """Against MXNet's ResNet v2 at 224x224, whose stages see the same sizes as these at 112x112."""
    vision = gluon.model_zoo.vision
    theirs = complexity(getattr(vision, f"resnet{depth}_v2")(), (224, 224))
    ours = complexity(get_model(f"l_se_resnet{depth}v2", embedding_size=512))
    channels = (256, 512, 1024, 2048)
    units = list(zip(channels, _UNITS[depth]))
    slopes = 64 + sum(n * (c + 2 * c // 4) for c, n in units) - sum(channels) + 64 + sum(channels[:3]) + 2048
    # Without the BatchNorm of the pixels (its fixed scale and shift), with a smaller first convolution and another head.
    parameters = -6 - 3 * 64 * (49 - 9) - 2049 * 1000 + 2048 * 512 + 512 + 2 * 512 + slopes
    assert ours.parameters - theirs.parameters == parameters + sum(n * se(c) for c, n in units)
    # The first unit's first convolution runs before the stride, at 112 instead of 56.
    cost = 64 * 27 * 112**2 - 64 * 147 * 112**2 + 64 * 64 * (112**2 - 56**2) + 2048 * 512 - 2048 * 1000
    assert ours.multiply_adds - theirs.multiply_adds == cost + sum(n * 2 * c * (c // 16) for c, n in units)


@pytest.mark.parametrize("depth", [18, 34])
def test_shallow_networks_have_two_3x3_convolutions_a_unit(depth):
    weights = get_model(f"l_se_resnet{depth}v2").collect_params(".*conv.*weight")
    large = [each.shape for each in weights.values() if each.shape[2:] == (3, 3)]
    assert len(large) == 1 + 2 * sum(_UNITS[depth])
    assert sorted({shape[0] for shape in large}) == [64, 128, 256, 512]


@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize(("channels", "stride"), [(16, 1), (16, 2), (32, 2)])
def test_a_unit_by_hand(channels, stride, bottleneck):
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


def test_small_mobilefacenet_layer_by_layer():
    """Parameters of every layer written out from the description."""
    total = 27 * 32 + 3 * 32
    before = 32
    for channels, count in ((24, 1), (32, 2), (64, 3), (96, 2), (160, 2)):
        for _ in range(count):
            middle = 3 * before
            total += before * middle + 3 * middle + 9 * middle + 3 * middle + middle * channels + 2 * channels
            before = channels
    total += 160 * 320 + 3 * 320 + 49 * 320 + 2 * 320 + 320 * 160 + 2 * 160
    assert complexity(get_mobile_facenet_re()).parameters == total
    assert complexity(get_model("mobilefacenet_re", use_se=True)).parameters == total + sum(
        count * se(channels) for channels, count in ((24, 1), (32, 2), (64, 3), (96, 2), (160, 2))
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: SEResNetV2((1, 1), (8, 32, 64), embedding_size=16, classes=4),
        lambda: SEResNetV2((1, 1), (8, 16, 32), bottleneck=False, head="E", dropout=0, embedding_size=16, classes=4),
        lambda: MobileFaceNetRe(embedding_size=16, classes=4, use_se=True),
    ],
)
def test_training_lowers_the_loss(make):
    mx.random.seed(2)
    net = make()
    net.initialize(mx.init.Xavier())
    net.hybridize(static_alloc=True, static_shape=True)
    size = 112 if isinstance(net, MobileFaceNetRe) else 16
    x, y = nd.random.uniform(shape=(8, 3, size, size)), nd.array(np.arange(8) % 4)
    trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 0.01})
    loss, values = gluon.loss.SoftmaxCrossEntropyLoss(), []
    for _ in range(12):
        with autograd.record():
            value = loss(net(x)[1], y)
        value.backward()
        trainer.step(8)
        values.append(value.mean().asscalar())
    assert values[-1] < 0.3 * values[0]


def test_what_is_wrong_is_said():
    assert type(se_resnet18_v2()) is type(get_model("SE-ResNet18-v2")) is SEResNetV2
    with pytest.raises(GluonFRError, match="num_layers is one of 18, 34, 50, 101, 152, got 20"):
        get_se_resnet(20)
    with pytest.raises(GluonFRError, match="channels names"):
        get_model("l_se_resnet18v2", channels=(8, 8))
    with pytest.raises(GluonFRError, match="head is one of"):
        get_model("l_se_resnet18v2", head="Z")
