"""Parameters and multiply-adds: as published, and by hand where a wrong count would hide."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import HybridBlock, nn

from gluonfr.core import GluonFRError
from gluonfr.model_zoo import complexity, get_model
from gluonfr.nn import NormDense, PReLU

PUBLISHED = {
    ("mobilefacenet", 128): (1_003_264, 0.221),
    ("mobilefacenet", 256): (1_069_184, None),
    ("mobilefacenet", 512): (1_201_024, None),
    ("lresnet18e_ir", 512): (24_025_600, 2.61),
    ("lresnet34e_ir", 512): (34_139_328, 4.46),
    ("lresnet50e_ir", 512): (43_590_848, 6.31),
    ("lresnet100e_ir", 512): (65_156_160, 12.09),
}


@pytest.mark.parametrize(("name", "size"), PUBLISHED)
def test_counts_are_as_published(name, size):
    parameters, giga = PUBLISHED[name, size]
    found = complexity(get_model(name, embedding_size=size))
    assert found.parameters == parameters
    assert giga is None or round(found.multiply_adds / 1e9, 2 if giga > 1 else 3) == giga


def test_mxnets_own_networks():
    # ResNet-18 as torchvision counts it, 11,689,512 and 1.814 G; its dense layer has a bias, its convolutions have none.
    vision = mx.gluon.model_zoo.vision
    parameters, cost = complexity(vision.resnet18_v1(), (224, 224))
    assert parameters == 11_689_512
    assert cost / 1e9 == pytest.approx(1.814, abs=0.001)
    # MobileNet v1: 4.2 M parameters and 569 M multiply-adds in its paper.
    parameters, cost = complexity(vision.mobilenet1_0(), (224, 224))
    assert (round(parameters / 1e6, 1), round(cost / 1e6)) == (4.2, 569)


def count(*layers, image_size=(7, 9)):
    net = nn.HybridSequential()
    net.add(*layers)
    return complexity(net, image_size)


def test_operators_by_hand():
    # 7x9, kernel 3x2, stride (2, 1), no padding: 3 high, 8 wide. 12 filters in 3 groups of 1 input channel.
    assert count(nn.Conv2D(12, (3, 2), (2, 1), groups=3)) == (12 * 6 + 12, 12 * 3 * 8 * 6)
    # Each of the 3x7x9 inputs is spread over 4 channels x 2x2.
    assert count(nn.Conv2DTranspose(4, 2, 2, use_bias=False)) == (3 * 4 * 4, 3 * 7 * 9 * 4 * 4)
    assert count(nn.Dense(5)) == (3 * 7 * 9 * 5 + 5, 3 * 7 * 9 * 5)
    # On the last axis alone, once for each of the 3x7 rows.
    assert count(nn.Dense(5, flatten=False, use_bias=False)) == (9 * 5, 3 * 7 * 9 * 5)
    assert count(nn.BatchNorm(scale=False, center=False), nn.MaxPool2D(), PReLU(3)) == (3 + 3 + 3, 0)


class Products(HybridBlock):
    def hybrid_forward(self, F, x):
        x = F.reshape(x, shape=(-3, -2))
        square = F.batch_dot(x, x, transpose_b=True)
        other = F.batch_dot(x, x, transpose_a=True)
        return F.sum(square) + F.sum(other)


class Twice(HybridBlock):
    """One convolution on two sizes: its parameters count once, its work at each size."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 3, padding=1, in_channels=3)
        self.pool = nn.MaxPool2D(2)

    def hybrid_forward(self, F, x):
        return self.conv(self.pool(self.conv(x)))


def test_matrix_products_and_shared_layers():
    # 3 matrices of 4x6: 4x6 @ 6x4, and 6x4 @ 4x6.
    assert count(Products(), image_size=(4, 6)) == (0, 3 * (4 * 4 * 6) + 3 * (6 * 6 * 4))
    assert count(Twice(), image_size=(4, 6)) == (3 * 3 * 9 + 3, 3 * 3 * 9 * (4 * 6 + 2 * 3))


class WithConstant(HybridBlock):
    def __init__(self):
        super().__init__()
        self.level = self.params.get_constant("level", [[[[1.0]], [[2.0]], [[3.0]]]])

    def hybrid_forward(self, F, x, level):
        return F.broadcast_add(x, level)


def test_classifier_counts_and_constants_do_not():
    plain = complexity(get_model("mobilefacenet"))
    with_classifier = complexity(get_model("mobilefacenet", classes=10, weight_norm=True, feature_norm=True))
    assert np.subtract(with_classifier, plain).tolist() == [1280, 1280]
    assert count(WithConstant()) == (0, 0)
    frozen = get_model("mobilefacenet")
    frozen.collect_params().setattr("grad_req", "null")
    assert complexity(frozen) == plain


@pytest.mark.parametrize("hybrid", [False, True])
def test_the_network_stays_as_it_was(hybrid):
    net = get_model("mobilefacenet", embedding_size=8, width=0.25)
    before = complexity(net)
    net.initialize(mx.init.Xavier())
    net.hybridize(hybrid, static_alloc=True, static_shape=True)
    x = nd.random.uniform(shape=(2, 3, 112, 112))
    wanted = net(x).asnumpy()
    cache = net._cached_op
    assert complexity(net) == before
    assert net._cached_op is cache
    np.testing.assert_array_equal(net(x).asnumpy(), wanted)
    net.cast("float16")
    assert complexity(net) == before


class Peeks(HybridBlock):
    def hybrid_forward(self, F, x):
        return x.reshape((x.shape[0], -1))


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(GluonFRError, match="image_size"):
        complexity(get_model("mobilefacenet"), 112)
    with pytest.raises(GluonFRError, match="image_size"):
        complexity(get_model("mobilefacenet"), (0, 112))
    with pytest.raises(GluonFRError, match="MobileFaceNet cannot be traced with an input of shape .1, 3, 16, 16."):
        complexity(get_model("mobilefacenet"), (16, 16))
    with pytest.raises(GluonFRError, match="Peeks cannot be traced"):
        complexity(Peeks())
    with pytest.raises(GluonFRError, match="NormDense"):
        complexity(NormDense(3, True, True))
