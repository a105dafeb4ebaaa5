"""Counts of parameters and multiply-adds by hand, one operator after the other."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import HybridBlock, nn

from gluonfr.core import GluonFRError
from gluonfr.model_zoo import complexity, get_model
from gluonfr.nn import NormDense, PReLU


def test_counts_of_mxnets_own_networks_are_as_published():
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


def test_counts_of_single_operators():
    # 7x9, kernel 3x2, stride (2, 1), no padding: 3 high, 8 wide. 12 filters in 3 groups of 1 input channel.
    assert count(nn.Conv2D(12, (3, 2), (2, 1), groups=3)) == (12 * 6 + 12, 12 * 3 * 8 * 6)
    # Every one of the 3x7x9 inputs contributes to 4 channels x 2x2.
    assert count(nn.Conv2DTranspose(4, 2, 2, use_bias=False)) == (3 * 4 * 4, 3 * 7 * 9 * 4 * 4)
    assert count(nn.Dense(5)) == (3 * 7 * 9 * 5 + 5, 3 * 7 * 9 * 5)
    # On the last axis only, once per 3x7 rows.
    assert count(nn.Dense(5, flatten=False, use_bias=False)) == (9 * 5, 3 * 7 * 9 * 5)
    assert count(nn.BatchNorm(scale=False, center=False), nn.MaxPool2D(), PReLU(3)) == (3 + 3 + 3, 0)


class Products(HybridBlock):
    def hybrid_forward(self, F, x):
        x = F.reshape(x, shape=(-3, -2))
        square = F.batch_dot(x, x, transpose_b=True)
        other = F.batch_dot(x, x, transpose_a=True)
        return F.sum(square) + F.sum(other)


class Twice(HybridBlock):
    """One convolution at two sizes: its parameters count once, its multiply-adds at both sizes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 3, padding=1, in_channels=3)
        self.pool = nn.MaxPool2D(2)

    def hybrid_forward(self, F, x):
        return self.conv(self.pool(self.conv(x)))


def test_matrix_products_count_and_shared_layers_count_per_use():
    # 3 matrices of 4x6: 4x6 @ 6x4, and 6x4 @ 4x6.
    assert count(Products(), image_size=(4, 6)) == (0, 3 * (4 * 4 * 6) + 3 * (6 * 6 * 4))
    assert count(Twice(), image_size=(4, 6)) == (3 * 3 * 9 + 3, 3 * 3 * 9 * (4 * 6 + 2 * 3))


class WithConstant(HybridBlock):
    def __init__(self):
        super().__init__()
        self.level = self.params.get_constant("level", [[[[1.0]], [[2.0]], [[3.0]]]])

    def hybrid_forward(self, F, x, level):
        return F.broadcast_add(x, level)


def test_classifier_is_counted_but_constants_are_not():
    plain = complexity(get_model("mobilefacenet"))
    with_classifier = complexity(get_model("mobilefacenet", classes=10, weight_norm=True, feature_norm=True))
    assert np.subtract(with_classifier, plain).tolist() == [1280, 1280]
    assert count(WithConstant()) == (0, 0)
    frozen = get_model("mobilefacenet")
    frozen.collect_params().setattr("grad_req", "null")
    assert complexity(frozen) == plain


@pytest.mark.parametrize("hybrid", [False, True])
def test_counting_does_not_change_the_network(hybrid):
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


class ReadsItsShape(HybridBlock):
    def hybrid_forward(self, F, x):
        return x.reshape((x.shape[0], -1))


def test_networks_that_cannot_be_traced_are_refused():
    with pytest.raises(GluonFRError, match="image_size"):
        complexity(get_model("mobilefacenet"), 112)
    with pytest.raises(GluonFRError, match="image_size"):
        complexity(get_model("mobilefacenet"), (0, 112))
    with pytest.raises(GluonFRError, match="MobileFaceNet cannot be traced with an input of shape .1, 3, 16, 16."):
        complexity(get_model("mobilefacenet"), (16, 16))
    with pytest.raises(GluonFRError, match="ReadsItsShape cannot be traced"):
        complexity(ReadsItsShape())
    with pytest.raises(GluonFRError, match="NormDense"):
        complexity(NormDense(3, True, True))
