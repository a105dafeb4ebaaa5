import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

from gluonfr.core import GluonFRError
from gluonfr.nn import FR_Base, FRBase, FrBase, NormDense, PReLU, SELayer, basic_blocks, prelu_form


def prelu_with_slopes(channels=5):
    block = PReLU(channels)
    block.initialize()
    block.alpha.set_data(nd.array(np.linspace(-0.3, 1.4, channels)))
    return block


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("form", ["operator", "depthwise"])
def test_prelu_is_per_channel_in_both_forms(form, hybrid):
    rng = np.random.RandomState(0)
    x = rng.randn(2, 5, 3, 4).astype("float32")
    x[0, 0, 0, 0] = 0
    head = rng.randn(2, 5, 3, 4).astype("float32")
    block = prelu_with_slopes()
    slopes = np.linspace(-0.3, 1.4, 5).reshape(1, 5, 1, 1)
    data = nd.array(x)
    data.attach_grad()
    with prelu_form(form):
        if hybrid:
            block.hybridize(static_alloc=True, static_shape=True)
        with autograd.record():
            out = block(data)
        out.backward(nd.array(head))
    np.testing.assert_allclose(out.asnumpy(), np.where(x > 0, x, slopes * x), rtol=1e-5, atol=1e-6)
    inside = x != 0
    np.testing.assert_allclose(data.grad.asnumpy()[inside], (np.where(x > 0, 1, slopes) * head)[inside], rtol=1e-5, atol=1e-6)
    wanted = (np.minimum(x, 0) * head).sum(axis=(0, 2, 3))
    np.testing.assert_allclose(block.alpha.grad().asnumpy(), wanted, rtol=1e-4, atol=1e-5)


def test_prelu_starts_at_a_quarter_and_export_uses_the_operator(tmp_path):
    block = PReLU(3)
    block.initialize(mx.init.Xavier())
    np.testing.assert_array_equal(block.alpha.data().asnumpy(), np.full(3, 0.25, "float32"))
    with prelu_form("operator"):
        symbol = block(mx.sym.var("data"))
    assert "prelu" in symbol.tojson()
    assert "Convolution" not in symbol.tojson()
    with pytest.raises(ValueError, match="form"), prelu_form("fast"):
        pass


@pytest.mark.parametrize("weight_norm", [False, True])
@pytest.mark.parametrize("feature_norm", [False, True])
def test_norm_dense_outputs(weight_norm, feature_norm):
    dense = NormDense(7, weight_norm, feature_norm)
    dense.initialize(mx.init.Xavier())
    x = np.random.RandomState(0).randn(4, 6).astype("float32") * 3
    out = dense(nd.array(x)).asnumpy()
    w = dense.weight.data().asnumpy()
    assert w.shape == (7, 6)
    w = w / np.linalg.norm(w, axis=1, keepdims=True) if weight_norm else w
    x = x / np.linalg.norm(x, axis=1, keepdims=True) if feature_norm else x
    np.testing.assert_allclose(out, x @ w.T, rtol=1e-4, atol=1e-5)
    dense.hybridize()
    np.testing.assert_allclose(dense(nd.array(x)).asnumpy(), x @ w.T, rtol=1e-4, atol=1e-5)


def test_norm_dense_of_a_zero_embedding_is_finite():
    dense = NormDense(3, True, True, in_units=4)
    dense.initialize()
    x = nd.zeros((2, 4))
    x.attach_grad()
    with autograd.record():
        out = dense(x)
    out.backward()
    assert np.isfinite(out.asnumpy()).all()
    assert np.isfinite(x.grad.asnumpy()).all()


def test_squeeze_and_excitation_scales_channels():
    with pytest.raises(GluonFRError, match="in_channel"):
        SELayer(32, 16)
    block = SELayer(32, 32)
    block.initialize(mx.init.Xavier())
    x = np.random.RandomState(0).rand(2, 32, 5, 5).astype("float32")
    out = block(nd.array(x)).asnumpy()
    (w1, b1), (w2, b2) = (
        (block.gate[i].weight.data().asnumpy().reshape(-1, n), block.gate[i].bias.data().asnumpy())
        for i, n in ((1, 32), (3, 2))
    )
    hidden = x.mean(axis=(2, 3)) @ w1.T + b1
    hidden = np.where(hidden > 0, hidden, 0.25 * hidden)
    gate = 1 / (1 + np.exp(-(hidden @ w2.T + b2)))
    np.testing.assert_allclose(out, x * gate[:, :, None, None], rtol=1e-5)


def test_the_base_network_names_invalid_arguments():
    assert FrBase is FRBase is FR_Base is basic_blocks.FrBase
    with pytest.raises(GluonFRError, match="embedding_size"):
        FrBase(classes=3, embedding_size=0)
    with pytest.raises(GluonFRError, match="classes"):
        FrBase(classes="many")
