import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from gluonfr.core import GluonFRError
from gluonfr.nn import HEADS, embedding_head

C, D, H, W = 6, 4, 3, 5


def filled(block, shape, seed=0):
    """A block whose parameters, running statistics among them, are all different, and an input."""
    rng = np.random.RandomState(seed)
    block.initialize()
    x = rng.randn(*shape).astype("float32")
    block(nd.array(x)).wait_to_read()
    for parameter in block.collect_params().values():
        positive = parameter.name.endswith(("running_var", "gamma", "alpha"))
        value = rng.uniform(0.3, 1.7, parameter.shape) if positive else rng.randn(*parameter.shape)
        parameter.set_data(nd.array(value))
    return block, x


def normed(x, layer, epsilon, scale=True):
    values = [parameter.data().asnumpy() for parameter in (layer.gamma, layer.beta, layer.running_mean, layer.running_var)]
    gamma, beta, mean, var = (value.reshape((1, -1) + (1,) * (x.ndim - 2)) for value in values)
    return (x - mean) / np.sqrt(var + epsilon) * (gamma if scale else 1) + beta


def by_hand(kind, head, x, inner, last, scale):
    """The head in NumPy, from its own parameters."""
    layers = {type(layer).__name__ + str(i): layer for i, layer in enumerate(head)}
    norms = [layer for name, layer in layers.items() if name.startswith("BatchNorm")]
    dense = next(layer for name, layer in layers.items() if name.startswith("Dense"))
    if kind == "GDC":
        weight = next(layer for name, layer in layers.items() if name.startswith("Conv2D")).weight.data().asnumpy()
        assert weight.shape == (C, 1, H, W)
        x = normed((x * weight[:, 0]).sum(axis=(2, 3)), norms[0], inner)
    else:
        x = normed(x, norms[0], inner)
    if kind == "GAP":
        slopes = next(layer for name, layer in layers.items() if name.startswith("PReLU")).alpha.data().asnumpy()
        x = np.where(x > 0, x, slopes.reshape(1, -1, 1, 1) * x).mean(axis=(2, 3))
    out = x.reshape(len(x), -1) @ dense.weight.data().asnumpy().T
    if dense.bias is not None:
        out = out + dense.bias.data().asnumpy()
    return normed(out, norms[1], last, scale)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("plain", [True, False])
def test_heads_equal_numpy(kind, plain):
    arguments = {} if plain else {"epsilon": 0.3, "inner_epsilon": 0.7, "use_bias": False, "scale": True, "dropout": 0.2}
    head, x = filled(embedding_head(kind, D, C, size=(H, W), **arguments), (7, C, H, W))
    wanted = by_hand(kind, head, x, *((2e-5, 2e-5, False) if plain else (0.7, 0.3, True)))
    np.testing.assert_allclose(head(nd.array(x)).asnumpy(), wanted, rtol=1e-4, atol=1e-5)
    head.hybridize(static_alloc=True, static_shape=True)
    for count in (7, 2):
        np.testing.assert_allclose(head(nd.array(x[:count])).asnumpy(), wanted[:count], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        ("E", 2 * 512 + 512 * 49 * 128 + 128 + 2 * 128),
        ("FC", 2 * 512 + 512 * 49 * 128 + 128 + 2 * 128),
        ("GAP", 2 * 512 + 512 + 512 * 128 + 128 + 2 * 128),
        ("GDC", 512 * 49 + 2 * 512 + 512 * 128 + 128 + 2 * 128),
    ],
)
def test_heads_have_the_stated_number_of_parameters(kind, count):
    symbol = embedding_head(kind, 128, 512)(mx.sym.var("data"))
    shapes, out, _ = symbol.infer_shape(data=(3, 512, 7, 7))
    assert sum(int(np.prod(shape)) for shape in shapes) - 3 * 512 * 49 == count
    assert out == [(3, 128)]


def test_dropout_is_the_heads_own_unless_given():
    rates = {
        (kind, rate): [layer._rate for layer in embedding_head(kind, D, C, rate) if type(layer).__name__ == "Dropout"]
        for kind in HEADS
        for rate in (None, 0.0, 0.3)
    }
    assert rates["E", None] == [0.4]
    assert rates["E", 0.0] == [0.0]
    assert rates["E", 0.3] == [0.3]
    for kind in ("GDC", "GAP", "FC"):
        assert rates[kind, None] == rates[kind, 0.0] == []
        assert rates[kind, 0.3] == [0.3]


@pytest.mark.parametrize("kind", HEADS)
def test_gradients_reach_every_parameter(kind):
    head, x = filled(embedding_head(kind, D, C, size=(H, W), use_bias=False, scale=True), (7, C, H, W))
    weight = nd.array(np.random.RandomState(1).randn(7, D))
    with autograd.record():
        out = (head(nd.array(x)) * weight).sum()
    out.backward()
    # The last BatchNorm takes away any shift that all images share, and nothing but a sum lies between in these two.
    without = [layer.beta for layer in head if type(layer).__name__ == "BatchNorm"][:1] if kind in ("GDC", "FC") else []
    for parameter in head.collect_params().values():
        if parameter.grad_req != "null":
            assert (np.abs(parameter.grad().asnumpy()).max() > 1e-4) == (parameter not in without), parameter.name


def test_a_fixed_scale_is_always_one():
    head, x = filled(embedding_head("GDC", D, C, size=(H, W)), (7, C, H, W))
    gamma = list(head)[-1].gamma
    assert gamma.grad_req == "null"
    before = head(nd.array(x)).asnumpy()
    gamma.set_data(gamma.data() * 5)
    np.testing.assert_array_equal(head(nd.array(x)).asnumpy(), before)


def test_an_embedding_of_as_many_dimensions_as_channels_is_computed():
    # One epsilon and one shape for both BatchNorms: MXNet alone then takes the wrong routine and dies.
    program = (
        "from gluonfr.nn import embedding_head; from mxnet import nd\n"
        "head = embedding_head('GDC', 512, 512, epsilon=1e-5, scale=True); head.initialize()\n"
        "assert head(nd.random.uniform(shape=(2, 512, 7, 7))).asnumpy().std() > 0"
    )
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr


def test_unknown_heads_and_rates_are_refused():
    for kind in ("GNAP", "e", None, ["E"]):
        with pytest.raises(GluonFRError, match="head must be one of E, GDC, GAP, FC, got"):
            embedding_head(kind, D, C)
    for rate in (1, -0.1):
        with pytest.raises(GluonFRError, match="dropout must be a number in \\[0, 1\\)"):
            embedding_head("E", D, C, rate)
