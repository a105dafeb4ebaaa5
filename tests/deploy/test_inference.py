import os
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from mxnet.gluon import HybridBlock, nn

from gluonfr.core import WeightsError
from gluonfr.deploy import InferenceNetwork
from gluonfr.deploy.graph_fusion import fuse_graph
from gluonfr.deploy.trace import Trace
from gluonfr.model_zoo import get_model, list_models
from gluonfr.nn import PReLU


def randomized(net, size, seed=0):
    """Initialize a network with random slopes around 0 and 1 and running statistics that reveal a lost BatchNorm."""
    mx.random.seed(seed)
    net.initialize(mx.init.Xavier())
    net(nd.zeros((1, 3, *size)))
    randomize_values(net, seed)
    return net


def randomize_values(net, seed=0):
    rng = np.random.RandomState(seed)
    ranges = {
        "alpha": (-0.5, 2),
        "running_var": (0.5, 2),
        "running_mean": (-0.3, 0.3),
        "beta": (-0.3, 0.3),
        "gamma": (1, 3),
    }
    for name, parameter in net.collect_params().items():
        for end, bounds in ranges.items():
            if name.endswith(end):
                parameter.set_data(nd.array(rng.uniform(*bounds, parameter.shape)))


def calibrate_statistics(net, x):
    """Set running statistics as after training; otherwise numbers explode in a deep network, and rounding errors with them."""
    net(x[:1])
    for name, parameter in net.collect_params().items():
        if name.endswith("alpha"):
            parameter.set_data(nd.array(np.random.RandomState(0).uniform(-0.2, 1.2, parameter.shape)))

    def at_once(block):
        if isinstance(block, nn.BatchNorm):
            block._kwargs["momentum"] = 0

    net.apply(at_once)
    with autograd.record():
        net(x)
    nd.waitall()


def images(count, size, seed=1):
    # Coarse patterns: embeddings of white noise hardly differ.
    rng = np.random.RandomState(seed)
    coarse = rng.rand(count, 3, 4, 4) * rng.rand(count, 3, 1, 1)
    return nd.array(np.kron(coarse, np.ones((size[0] // 4, size[1] // 4))))


@pytest.mark.parametrize(
    ("name", "arguments", "size"),
    [
        ("mobilefacenet", {"width": 0.25, "embedding_size": 16}, (112, 112)),
        ("mobilefacenet", {"width": 0.25, "embedding_size": 16, "input_size": 56, "last_stride": 1}, (112, 112)),
        ("lresnet10e_ir", {"channels": (8, 8, 8, 16, 16), "embedding_size": 8, "stem_stride": 2}, (64, 64)),
        (
            "lseresnet10e_ir",
            {"channels": (8, 16, 16, 16, 16), "embedding_size": 8, "input_size": 32, "input_crop": 96},
            (112, 112),
        ),
    ],
)
def test_outputs_equal_those_of_the_network_at_any_batch_size(name, arguments, size):
    net = randomized(get_model(name, **arguments), size)
    fast = InferenceNetwork(net, size)
    for count in (1, 8, 3, 19):
        x = images(count, size)
        wanted = net(x).asnumpy()
        got = fast(x).asnumpy()
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, atol=5e-5 * np.abs(wanted).max())
    # Rows belong to their own images, not to the last one of the batch.
    assert np.abs(np.diff(wanted, axis=0)).max(1).min() > 1e-3 * np.abs(wanted).max()


def test_only_the_embedding_is_returned_and_the_network_is_unchanged():
    net = randomized(get_model("lresnet10e_ir", channels=(8, 8, 8, 8, 8), embedding_size=4, classes=5), (32, 32))
    net.hybridize()
    before = {name: parameter.data().asnumpy() for name, parameter in net.collect_params().items()}
    got = InferenceNetwork(net, (32, 32))(images(2, (32, 32)))
    embedding, output = net(images(2, (32, 32)))
    np.testing.assert_allclose(got.asnumpy(), embedding.asnumpy(), rtol=1e-4)
    assert output.shape == (2, 5)
    for name, value in before.items():
        np.testing.assert_array_equal(net.collect_params()[name].data().asnumpy(), value)


def test_contexts_and_threads_do_not_interfere():
    size = (32, 32)
    contexts = [mx.cpu(0), mx.cpu(1)]
    net = get_model("lresnet10e_ir", channels=(8, 8, 8, 8, 8), embedding_size=4)
    net.initialize(mx.init.Xavier(), ctx=contexts)
    fast = InferenceNetwork(net, size)
    parts = [images(5, size, seed) for seed in range(6)]
    wanted = [net(x).asnumpy() for x in parts]
    got = [None] * len(parts)

    def work(i):
        for _ in range(5):
            out = fast(parts[i].as_in_context(contexts[i % 2]))
            assert out.context == contexts[i % 2]
            got[i] = out.asnumpy()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(parts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for a, b in zip(got, wanted):
        np.testing.assert_allclose(a, b, atol=1e-5)


class Slopes(HybridBlock):
    """PReLU with one slope per channel, one for all channels, and one per element of a vector."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            self.body.add(
                PReLU(3), nn.Conv2D(4, 1, in_channels=3), nn.PReLU(), nn.Flatten(), nn.Dense(5, in_units=4 * 16), PReLU(5)
            )

    def hybrid_forward(self, F, x):
        return self.body(x * 2 - 1)


def test_every_kind_of_prelu_equals_its_formula():
    net = Slopes()
    net.initialize(mx.init.Normal(1))
    slopes = [-1.0, 1.0, 3.0]
    net.body[0].alpha.set_data(nd.array(slopes))
    net.body[2].alpha.set_data(nd.array([-0.7]))
    x = images(3, (4, 4))

    def prelu(value, alpha):
        return np.where(value > 0, value, value * alpha)

    y = prelu(x.asnumpy() * 2 - 1, np.array(slopes).reshape(1, 3, 1, 1))
    weight = net.body[1].weight.data().asnumpy()[:, :, 0, 0]
    y = prelu(np.einsum("nchw,oc->nohw", y, weight), -0.7).reshape(3, -1)
    y = prelu(y @ net.body[4].weight.data().asnumpy().T, net.body[5].alpha.data().asnumpy())
    np.testing.assert_allclose(InferenceNetwork(net, (4, 4))(x).asnumpy(), y, rtol=1e-4, atol=1e-5)


class Norms(HybridBlock):
    """BatchNorm after layers with and without bias, with free and fixed scale, and where it must not be folded."""

    def __init__(self):
        super().__init__()
        with self.name_scope():
            self.conv = nn.Conv2D(4, 3, groups=2, in_channels=4)
            self.bare = nn.Conv2D(4, 1, use_bias=False, in_channels=3)
            self.norms = nn.HybridSequential(prefix="norms_")
            for scale in (True, False, True, False):
                self.norms.add(nn.BatchNorm(scale=scale, epsilon=0.1))
            self.dense = nn.Dense(5, in_units=16)

    def hybrid_forward(self, F, x):
        x = self.norms[0](self.bare(x))
        y = self.conv(x)
        # The output of the convolution is used besides the normalized one.
        x = self.norms[1](y) + F.relu(y)
        return self.norms[3](self.dense(self.norms[2](F.relu(x))))


def test_norms_are_folded_where_nothing_else_uses_the_layer():
    net = Norms()
    net.initialize(mx.init.Normal(1))
    x = images(3, (4, 4))
    net(x)
    randomize_values(net)
    symbol, parameters = fuse_graph(Trace(net, (4, 4)))
    assert symbol.tojson().count('"op": "BatchNorm"') == 2
    wanted = net(x).asnumpy()
    np.testing.assert_allclose(InferenceNetwork(net, (4, 4))(x).asnumpy(), wanted, rtol=1e-4, atol=1e-5)


def test_the_prelu_operator_on_maps_is_replaced():
    net = randomized(get_model("mobilefacenet", width=0.125, embedding_size=4), (112, 112))
    symbol, parameters = fuse_graph(Trace(net, (112, 112)))
    assert '"prelu"' not in symbol.tojson()
    assert set(parameters) == set(symbol.list_inputs()) - {"data"}


SAMPLE = ("mobilefacenet_re",)
SYSTEM = ("ghostfacenetv1", "mbf", "l_se_resnet18v2", "vargfacenet")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in SAMPLE else pytest.mark.system if name in SYSTEM else pytest.mark.full)
        for name in list_models()
    ],
)
def test_networks_of_the_zoo_are_fused(name):
    mx.random.seed(0)
    net = get_model(name, embedding_size=16)
    size = getattr(net, "image_size", (112, 112))
    net.initialize(mx.init.Xavier())
    x = images(4, size)
    calibrate_statistics(net, x)
    fast = InferenceNetwork(net, size)
    wanted = net(x).asnumpy()
    # Attention networks of hundreds of random layers amplify rounding, as much as they amplify the last digits of x.
    rounding = np.abs(net(x * (1 + 1e-6)).asnumpy() - wanted).max()
    np.testing.assert_allclose(fast(x).asnumpy(), wanted, atol=max(1e-4 * np.abs(wanted).max(), 10 * rounding))


def test_calls_from_threads_are_serialized_on_gpus_too():
    running, entered = threading.Lock(), []

    def net(x):
        # Two calls at once would find the lock taken.
        assert running.acquire(blocking=False)
        entered.append(threading.get_ident())
        # Other threads get the chance to enter.
        os.sched_yield()
        running.release()
        return x

    image = SimpleNamespace(context=SimpleNamespace(device_type="gpu"))
    inference = InferenceNetwork(net, (112, 112))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(inference, [image] * 200))
    assert len(entered) == 200


def test_image_sizes_that_do_not_fit_the_network_are_refused():
    net = get_model("lresnet10e_ir", units=[1], channels=[4, 8], embedding_size=4)
    net.initialize()
    net(nd.zeros((1, 3, 112, 112)))
    with pytest.raises(WeightsError, match="cannot process images of 96x96"):
        InferenceNetwork(net, (96, 96))(nd.zeros((1, 3, 96, 96)))
    # A network for any size, of which an array would have 12 GB.
    any_size = nn.HybridSequential()
    any_size.add(nn.Conv2D(64, 3, in_channels=3), nn.GlobalAvgPool2D(), nn.Flatten())
    any_size.initialize()
    with pytest.raises(WeightsError, match="images of 4096x4096 are too large"):
        InferenceNetwork(any_size, (4096, 4096))(nd.zeros((1, 3, 1, 1)))
