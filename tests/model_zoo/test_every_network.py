"""What every network must do: at small size for every class, and at full size for every name (marked full)."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from small_networks import SMALL, build_small

from gluonfr.core.mxnet_internals import parameters_by_path
from gluonfr.model_zoo import get_model, list_models
from gluonfr.nn import prelu_form

CLASSES = 5
# MXNet cannot fuse the others: it fails to infer their shapes.
FUSED = ("ghostfacenetv1", "ghostfacenetv2", "mbf", "mobilefacenet", "mobilefacenet_y2", "vargfacenet")
# With two images, BatchNorm would leave nothing but signs.
IMAGES = 3


class Case:
    """A network after one forward and backward pass in training mode, and its outputs for the same images."""

    def __init__(self, name, is_small):
        self.name, self.is_small = name, is_small
        self.net = self.build(initialize=True)
        # Of different colors: a network without normalization hardly distinguishes noise of one color.
        self.x = nd.random.uniform(shape=(IMAGES, 3, 112, 112)) * nd.random.uniform(shape=(IMAGES, 3, 1, 1))
        with autograd.record():
            outputs = self.net(self.x)
            # Random weights: the plain sum of a BatchNorm's output is constant.
            rng = np.random.RandomState(0)
            loss = sum((output * nd.array(rng.randn(*output.shape))).sum() for output in outputs)
        loss.backward()
        self.use_statistics_of_the_batch()
        self.shapes = [output.shape for output in outputs]
        self.outputs = [output.asnumpy() for output in self.net(self.x)]

    def use_statistics_of_the_batch(self):
        """Undo the momentum of 0.9, so that activations are neither tiny nor constant at inference."""
        for name, parameter in self.net.collect_params().items():
            if name.endswith("running_mean"):
                parameter.set_data(parameter.data() * 10)
            elif name.endswith("running_var"):
                parameter.set_data(nd.maximum((parameter.data() - 0.9) * 10, 0))

    def build(self, initialize=False, **kwargs):
        kwargs = {"classes": CLASSES, **kwargs}
        if self.is_small:
            return build_small(self.name, initialize, **kwargs)
        net = get_model(self.name, embedding_size=16, **kwargs)
        if initialize:
            mx.random.seed(4)
            net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2))
        return net

    def assert_equal(self, outputs, rows=slice(None)):
        for got, expected in zip(outputs, self.outputs):
            # Other kernels add in another order, over up to fifty layers. Two images differ by ten times as much.
            np.testing.assert_allclose(got.asnumpy()[rows], expected, rtol=0, atol=1e-3 * np.abs(expected).max())


@pytest.fixture(
    scope="module",
    params=[
        *((name, True) for name in SMALL),
        *(pytest.param((name, False), marks=pytest.mark.full) for name in list_models()),
    ],
    ids=lambda param: param[0] if param[1] else f"{param[0]}-full",
)
def case(request):
    return Case(*request.param)


def test_outputs_and_gradients_are_finite_and_not_constant(case):
    assert case.shapes == [(IMAGES, 16), (IMAGES, CLASSES)]
    for output in case.outputs:
        assert np.isfinite(output).all()
        # Otherwise the comparisons below would prove nothing.
        assert np.abs(output[0] - output[1]).max() > 1e-2 * np.abs(output).max()
    trained = [parameter for parameter in case.net.collect_params().values() if parameter.grad_req != "null"]
    largest = {parameter.name: np.abs(parameter.grad().asnumpy()).max() for parameter in trained}
    assert np.isfinite(list(largest.values())).all()
    # In squeeze-and-excitation with few channels all inputs of the PReLU may be positive, so that its slope has no effect.
    assert not [name for name, size in largest.items() if size == 0 and not ("selayer" in name and name.endswith("alpha"))]


def test_without_a_classifier_only_the_embedding_is_returned(case):
    symbol = case.build(need_cls_layer=False)(mx.sym.var("data"))
    assert symbol.infer_shape(data=(4, 3, 112, 112))[1] == [(4, 16)]


def test_saved_parameters_give_the_same_outputs(case, tmp_path):
    path = str(tmp_path / "network.params")
    case.net.save_parameters(path)
    other = case.build()
    # The keys must not depend on how many networks the process has built.
    assert list(parameters_by_path(other)) == list(parameters_by_path(case.net))
    other.load_parameters(path)
    for got, expected in zip(other(case.x), case.outputs):
        np.testing.assert_array_equal(got.asnumpy(), expected)


def test_exported_graph_computes_the_same(case, tmp_path):
    path = str(tmp_path / "network")
    with prelu_form("operator"):
        case.net.hybridize()
        case.net(case.x)
        case.net.export(path)
    case.net.hybridize(False)
    case.assert_equal(gluon.SymbolBlock.imports(path + "-symbol.json", ["data"], path + "-0000.params")(case.x))


def test_hybridized_network_computes_the_same_for_any_batch_size(case):
    case.net.hybridize(static_alloc=True, static_shape=True)
    case.assert_equal(case.net(case.x))
    case.assert_equal(case.net(nd.concat(case.x, case.x[:1], dim=0)), slice(0, IMAGES))
    case.net.hybridize(False)


@pytest.mark.parametrize("case", [(name, True) for name in FUSED], ids=FUSED, indirect=True)
def test_fused_operators_of_onednn_compute_the_same(case):
    # The fusion of convolution and sum confuses parameters in networks that add the shortcut last.
    other = case.build()
    for parameter, source in zip(parameters_by_path(other).values(), parameters_by_path(case.net).values()):
        parameter.shape = source.shape
        parameter.initialize()
        parameter.set_data(source.data())
    other.optimize_for(case.x, backend="MKLDNN", static_alloc=True, static_shape=True)
    case.assert_equal(other(case.x))


def test_cast_to_float16_leaves_only_normalization_in_float32(case):
    """Types only: MXNet multiplies no float16 matrices on CPU."""
    net = case.build()
    net.cast("float16")
    kinds = {name: np.dtype(parameter.dtype).name for name, parameter in net.collect_params().items()}
    assert set(kinds.values()) == {"float16", "float32"}
    normal = ("gamma", "beta", "running_mean", "running_var")
    assert not [name for name, kind in kinds.items() if (kind == "float32") != name.endswith(normal)]
    outputs = mx.sym.Group(list(net(mx.sym.var("data")))).infer_type(data="float16")[1]
    assert [np.dtype(output).name for output in outputs] == ["float16", "float16"]


@pytest.mark.parametrize("name", SMALL)
def test_a_step_along_the_gradient_lowers_the_loss_as_predicted(name):
    net = build_small(name, classes=4, weight_norm=True, feature_norm=True)
    x, y = nd.random.uniform(shape=(4, 3, 112, 112)), nd.array(np.arange(4))
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()

    def loss(backward=False):
        # The same dropout masks every time.
        mx.random.seed(1)
        with autograd.record():
            value = cross_entropy(4 * net(x)[1], y).mean()
        if backward:
            value.backward()
        return value.asscalar()

    before = loss(backward=True)
    trained = [parameter for parameter in net.collect_params().values() if parameter.grad_req != "null"]
    squares = sum(float((parameter.grad() ** 2).sum().asscalar()) for parameter in trained)
    # To first order a step of `rate` lowers the loss by `rate` times the squared norm of the gradient: 1 % of it here,
    # which is a thousand times its rounding. The bounds leave room for the curvature.
    predicted = 0.01 * before
    for parameter in trained:
        parameter.set_data(parameter.data() - predicted / squares * parameter.grad())
    assert 0.3 * predicted < before - loss() < 2 * predicted
