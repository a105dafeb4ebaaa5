"""What every network of the list must do, at its full size; `make test` takes the cheapest of each class."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from gluonfr.model_zoo import complexity, get_model, get_model_list
from gluonfr.nn import prelu_form

SIZE, CLASSES = 128, 5
# BatchNorm of two would leave nothing but signs.
IMAGES = 3


def cheapest_of_each_class():
    found = {}
    for name in get_model_list():
        net = get_model(name, embedding_size=SIZE)
        found.setdefault(type(net), []).append((complexity(net).multiply_adds, name))
    return {min(each)[1] for each in found.values()}


SAMPLE = cheapest_of_each_class()
NAMES = [name if name in SAMPLE else pytest.param(name, marks=pytest.mark.full) for name in get_model_list()]


class Case:
    """A network after one pass forward and backward in training, not hybridized, and what it gives for the same images."""

    def __init__(self, name):
        mx.random.seed(4)
        self.name = name
        self.net = self.build()
        self.net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2))
        # Running statistics are this batch's, so that what follows them is neither tiny nor constant.
        self.net.apply(lambda block: block._kwargs.update(momentum=0) if isinstance(block, nn.BatchNorm) else None)
        # Of different colors: a network without normalization tells noise of one color hardly apart.
        self.x = nd.random.uniform(shape=(IMAGES, 3, 112, 112)) * nd.random.uniform(shape=(IMAGES, 3, 1, 1))
        with autograd.record():
            outputs = self.net(self.x)
            # Random weights: the plain sum of what BatchNorm gives is constant.
            rng = np.random.RandomState(0)
            loss = sum((each * nd.array(rng.randn(*each.shape))).sum() for each in outputs)
        loss.backward()
        self.shapes = [each.shape for each in outputs]
        self.outputs = [each.asnumpy() for each in self.net(self.x)]

    def build(self):
        return get_model(self.name, embedding_size=SIZE, classes=CLASSES)

    def same(self, outputs, rows=slice(None)):
        for got, wanted in zip(outputs, self.outputs):
            np.testing.assert_allclose(got.asnumpy()[rows], wanted, rtol=1e-3, atol=1e-4 * np.abs(wanted).max())


@pytest.fixture(scope="module", params=NAMES)
def case(request):
    return Case(request.param)


def test_forward_and_backward(case):
    assert case.shapes == [(IMAGES, SIZE), (IMAGES, CLASSES)]
    for each in case.outputs:
        assert np.isfinite(each).all()
        assert each.std() > 0
        # What tells the images apart is large beside what they share, else the comparisons below would see nothing.
        assert np.abs(each[0] - each[1]).max() > 0.1 * np.abs(each).max()
    trained = [each for each in case.net.collect_params().values() if each.grad_req != "null"]
    sizes = {each.name: np.abs(each.grad().asnumpy()).max() for each in trained}
    assert not [name for name, size in sizes.items() if not np.isfinite(size) or size == 0]


def test_saved_parameters_come_back(case, tmp_path):
    path = str(tmp_path / "network.params")
    case.net.save_parameters(path)
    other = case.build()
    other.load_parameters(path)
    for got, wanted in zip(other(case.x), case.outputs):
        np.testing.assert_array_equal(got.asnumpy(), wanted)


def test_exported_graph_is_the_network(case, tmp_path):
    path = str(tmp_path / "network")
    with prelu_form("operator"):
        case.net.hybridize()
        case.net(case.x)
        case.net.export(path)
    case.net.hybridize(False)
    back = gluon.SymbolBlock.imports(path + "-symbol.json", ["data"], path + "-0000.params")
    case.same(back(case.x))


def test_hybridized_network_is_the_imperative_one(case):
    case.net.hybridize(static_alloc=True, static_shape=True)
    case.same(case.net(case.x))
    # Another number of images afterwards.
    case.same(case.net(nd.concat(case.x, case.x[:1], dim=0)), slice(0, IMAGES))
    case.net.hybridize(False)


def test_half_precision(case):
    """Types only: MXNet multiplies no float16 matrices on CPU."""
    net = case.build()
    net.cast("float16")
    kinds = {name: np.dtype(each.dtype).name for name, each in net.collect_params().items()}
    assert set(kinds.values()) == {"float16", "float32"}
    # BatchNorm keeps its own in float32.
    normal = ("gamma", "beta", "running_mean", "running_var")
    assert not [name for name, kind in kinds.items() if (kind == "float32") != name.endswith(normal)]
    outputs = mx.sym.Group(list(net(mx.sym.var("data")))).infer_type(data="float16")[1]
    assert [np.dtype(each).name for each in outputs] == ["float16", "float16"]
