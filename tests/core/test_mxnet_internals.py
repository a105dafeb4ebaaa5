"""What MXNet's parameters hold while operators run."""

import mxnet as mx
from mxnet import autograd, nd

from gluonfr.core.mxnet_internals import parameter_value, parameters_by_path
from gluonfr.model_zoo import get_model


def test_values_are_read_unchanged_while_operators_run():
    # Inference leaves weights in a layout of oneDNN, and training changes them back while it runs: an ordinary copy has
    # wrong values in about one of a hundred trials, or crashes.
    net = get_model("lresnet10e_ir", units=[1, 1], channels=[8, 8, 16], embedding_size=16, stem_stride=2)
    net.initialize(mx.init.Xavier())
    net(nd.ones((1, 3, 32, 32)))
    weights = {path: p for path, p in parameters_by_path(net).items() if p.grad_req != "null"}
    images = nd.random.uniform(shape=(4, 3, 32, 32))
    for _ in range(800):
        net(images).wait_to_read()
        with autograd.record():
            net(images)
        during = {path: parameter_value(weight) for path, weight in weights.items()}
        nd.waitall()
        assert all((weight.data().asnumpy() == during[path]).all() for path, weight in weights.items())
