"""What all networks inherit: scaling of the input, cosine classifier, forms of PReLU."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

from gluonfr.model_zoo import LResNet, get_model
from gluonfr.nn import prelu_form


def small(**kwargs):
    return LResNet((1, 1), (8, 8, 16), stem_stride=2, embedding_size=16, dropout=0, **kwargs)


def test_output_is_the_cosine_with_both_norms():
    net = small(classes=5, weight_norm=True, feature_norm=True)
    net.initialize(mx.init.Xavier())
    embedding, output = (output.asnumpy() for output in net(nd.random.uniform(shape=(3, 3, 32, 32))))
    w = net.output.weight.data().asnumpy()
    cos = (embedding @ w.T) / np.linalg.norm(embedding, axis=1)[:, None] / np.linalg.norm(w, axis=1)
    np.testing.assert_allclose(output, cos, rtol=1e-4, atol=1e-6)


def test_input_is_scaled_inside_once():
    net = get_model("mobilefacenet", embedding_size=8)
    net.initialize(mx.init.Xavier())
    x = nd.random.uniform(shape=(2, 3, 112, 112))
    np.testing.assert_allclose(net(x).asnumpy(), net.features(2 * x - 1).asnumpy(), rtol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda: get_model("mobilefacenet", embedding_size=16, classes=4, width=0.25), lambda: small(classes=4)]
)
def test_forms_of_prelu_agree_and_hybridized_is_imperative(make):
    net = make()
    net.initialize(mx.init.Xavier())
    for name, parameter in net.collect_params().items():
        if name.endswith("alpha"):
            parameter.set_data(nd.random.uniform(0.05, 0.6, shape=parameter.shape))
    x = nd.random.uniform(shape=(2, 3, 112, 112))
    wanted = [output.asnumpy() for output in net(x)]
    with prelu_form("operator"):
        operator = [output.asnumpy() for output in net(x)]
    net.hybridize(static_alloc=True, static_shape=True)
    for got in (operator, [output.asnumpy() for output in net(x)]):
        for a, b in zip(got, wanted):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
            assert np.abs(b).max() > 0
