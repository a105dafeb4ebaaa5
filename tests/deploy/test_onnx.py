"""ONNX models are compared with their networks, and with MXNet's operators one by one."""

import json

import mxnet as mx
import numpy as np
import onnx
import onnxruntime
import pytest
from mxnet import nd
from mxnet.gluon import HybridBlock, SymbolBlock, nn
from random_networks import embedding, images, randomized

from gluonfr.core import Card, GluonFRError
from gluonfr.deploy import RawPixels
from gluonfr.deploy.onnx_export import CARD_ENTRY, onnx_model
from gluonfr.model_zoo import get_model, list_models
from gluonfr.nn import PReLU


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["embedding"], {"data": x})[0]


def compare(net, size, *batches, tolerance=1e-4):
    model = onnx_model(net, size, Card(image_size=size))
    for batch in batches:
        x = images(batch, size, seed=batch)
        wanted, got = embedding(net, x), run(model, x)
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * max(1, np.abs(wanted).max()))
        assert np.ptp(wanted, axis=1).min() > 1e-3
    return model


class Operator(HybridBlock):
    """One expression on (N, 3, 6, 8) in [-2, 2], flattened."""

    def __init__(self, expression, **kwargs):
        super().__init__(**kwargs)
        self._expression = expression

    def hybrid_forward(self, F, x):
        return F.flatten(self._expression(F, x * 4 - 2))


OPERATORS = {
    "clip": lambda F, x: F.clip(x, -0.5, 1.25),
    "hard_sigmoid": lambda F, x: F.hard_sigmoid(x, alpha=0.3, beta=0.4),
    "hard_swish": lambda F, x: x * F.clip(x + 3, 0, 6) / 6,
    **{
        f"activation_{kind}": lambda F, x, kind=kind: F.Activation(x, act_type=kind)
        for kind in ("relu", "sigmoid", "tanh", "softrelu", "softsign")
    },
    **{
        f"leaky_{kind}": lambda F, x, kind=kind: F.LeakyReLU(x, act_type=kind, slope=0.37)
        for kind in ("leaky", "elu", "selu", "gelu")
    },
    "functions": lambda F, x: F.sqrt(F.abs(x)) + F.exp(-x) - F.square(x) + F.log(F.abs(x) + 1) * F.rsqrt(F.square(x) + 1),
    "scalars": lambda F, x: (2 - x) + 3 / (x + 4) + 2 ** (x / 3) - (x + 3) ** 1.5,
    "extremes": lambda F, x: (
        F.maximum(x, 0.5) - F.minimum(x, F.flip(x, axis=3)) + F.broadcast_maximum(x, F.mean(x, axis=1, keepdims=True))
    ),
    "arithmetic": lambda F, x: F.add_n(x, x * x, x / (x + 5)) - F.broadcast_div(x, F.sum(F.abs(x), axis=(2, 3), keepdims=True)),
    "mean_exclude": lambda F, x: F.mean(x, axis=(0, 1), exclude=True) + F.max(x, axis=(2, -1)) - F.min(x, axis=(2, 3)),
    "norm": lambda F, x: F.broadcast_mul(F.norm(x, axis=1, keepdims=True), x),
    "softmax": lambda F, x: F.softmax(x, axis=1, temperature=0.7) + F.log_softmax(x),
    **{
        f"l2_{mode}": lambda F, x, mode=mode: F.L2Normalization(x, mode=mode, eps=0.01)
        for mode in ("instance", "channel", "spatial")
    },
    **{
        f"pool_{kind}_{convention}_{pad}_{include}": lambda F, x, kind=kind, convention=convention, pad=pad, include=include: (
            F.Pooling(
                x,
                kernel=(3, 3),
                stride=(2, 3 - pad),
                pad=(pad, pad),
                pool_type=kind,
                pooling_convention=convention,
                count_include_pad=include,
            )
        )
        for kind in ("max", "avg")
        for convention in ("valid", "full")
        for pad in (0, 1)
        for include in (True, False)
    },
    "pool_global": lambda F, x: (
        F.Pooling(x, global_pool=True, pool_type="max") * F.Pooling(x, global_pool=True, pool_type="avg")
    ),
    "adaptive_1": lambda F, x: F.contrib.AdaptiveAvgPooling2D(x),
    "adaptive_even": lambda F, x: F.contrib.AdaptiveAvgPooling2D(x, output_size=(3, 4)),
    "adaptive_odd": lambda F, x: F.contrib.AdaptiveAvgPooling2D(x, output_size=(4, 3)),
    "reshape_codes": lambda F, x: F.reshape(F.reshape(x, shape=(0, -4, 1, 3, -3)), shape=(0, -3, -2)) * 2,
    "reshape_merge_batch": lambda F, x: F.reshape(F.reshape(x, shape=(-3, -2)) * 2, shape=(-4, -1, 3, -2)),
    "shuffle": lambda F, x: F.reshape(F.swapaxes(F.reshape(x, shape=(0, 0, -4, 2, -1, 0)), 1, 2), shape=(0, -3, -2)),
    "transpose": lambda F, x: (
        F.transpose(x, axes=(0, 2, 3, 1)) + F.transpose(F.expand_dims(x, -1), axes=(0, 2, 3, 1, 4)).squeeze(axis=-1)
    ),
    "slice": lambda F, x: F.slice(x, begin=(None, None, 4, 1), end=(None, None, 0, None), step=(None, None, -2, 3)),
    "slice_axis": lambda F, x: F.slice_axis(x, axis=-1, begin=-3, end=None) - F.slice_axis(x, axis=3, begin=1, end=4),
    "slice_like": lambda F, x: F.slice_like(x, F.slice_axis(x, axis=2, begin=0, end=2), axes=(2,)),
    "split": lambda F, x: F.concat(
        *reversed(F.split(x, num_outputs=2, axis=3)),
        F.split(x, num_outputs=3, squeeze_axis=True)[1].expand_dims(1).slice_axis(axis=3, begin=0, end=4).tile((1, 3, 1, 1)),
        dim=2,
    ),
    "split_at": lambda F, x: F.split_v2(x, (2, 5), axis=3)[1] * 3,
    "filled": lambda F, x: F.broadcast_add(
        x, F.concat(*(F.full((1, 1, 1, 1), value) for value in (0.5, -3.0)), F.ones((1, 1, 1, 1)), dim=1)
    ),
    "stack": lambda F, x: F.stack(x, x * x, axis=2),
    "broadcast": lambda F, x: F.broadcast_axis(F.sum(x, axis=1, keepdims=True), axis=1, size=5) * 2,
    "broadcast_like": lambda F, x: F.broadcast_like(F.mean(x, axis=(2, 3), keepdims=True), x) + x,
    "reverse": lambda F, x: F.reverse(x, axis=3) - x,
    **{
        f"pad_{mode}": lambda F, x, mode=mode: F.pad(x, mode=mode, pad_width=(0, 0, 0, 0, 1, 2, 3, 0), constant_value=0.7)
        for mode in ("constant", "edge", "reflect")
    },
    "nearest": lambda F, x: F.UpSampling(x, scale=3, sample_type="nearest"),
    "bilinear_corners": lambda F, x: F.contrib.BilinearResize2D(x, height=13, width=5),
    "bilinear_centers": lambda F, x: F.contrib.BilinearResize2D(x, height=13, width=5, align_corners=False),
    "bilinear_scale": lambda F, x: F.contrib.BilinearResize2D(x, scale_height=1.5, scale_width=0.5),
    # In float32, 7 / 3 times 3 is 7; exactly it is less, and 6 when rounded down.
    "bilinear_thirds": lambda F, x: F.contrib.BilinearResize2D(
        F.slice_axis(x, axis=2, begin=0, end=3), height=7, width=14, align_corners=False
    ),
    "batch_dot": lambda F, x: F.batch_dot(x.reshape((-3, -2)), x.reshape((-3, -2)), transpose_b=True).reshape((-4, -1, 3, -2)),
    "batch_dot_a": lambda F, x: F.batch_dot(x.reshape((-3, -2)), x.reshape((-3, -2)), transpose_a=True).reshape(
        (-4, -1, 3, -2)
    ),
    "space_to_depth": lambda F, x: F.space_to_depth(x, 2) * 2,
    "depth_to_space": lambda F, x: F.depth_to_space(F.tile(x, (1, 4, 1, 1)), 2),
    "dropout": lambda F, x: F.Dropout(F.BlockGrad(x), p=0.5) * 2,
    "cast": lambda F, x: F.cast(x, "float32") * 2,
}


@pytest.mark.parametrize("name", OPERATORS)
def test_operators_equal_those_of_mxnet(name):
    compare(Operator(OPERATORS[name]), (6, 8), 1, 5)


LAYERS = {
    "grouped": lambda: nn.Conv2D(6, (3, 2), (2, 1), (1, 0), dilation=(1, 2), groups=3),
    "transposed": lambda: nn.Conv2DTranspose(4, 3, 2, 1, output_padding=1, groups=1),
    "transposed_grouped": lambda: nn.Conv2DTranspose(6, (4, 3), (3, 2), (1, 0), groups=3),
    "norm_fixed": lambda: nn.BatchNorm(scale=False, epsilon=0.1),
    "norm_epsilon": lambda: nn.BatchNorm(epsilon=0.3),
    "norm_last_axis": lambda: nn.BatchNorm(axis=3),
    "norm_no_shift": lambda: nn.BatchNorm(center=False),
    "instance_norm": lambda: nn.InstanceNorm(scale=True),
    "prelu_channels": lambda: PReLU(3),
    "prelu_shared": lambda: nn.PReLU(),
    "dense_last_axis": lambda: nn.Dense(5, flatten=False),
    "dense_no_bias": lambda: nn.Dense(5, use_bias=False),
    "swish": lambda: nn.Swish(1.3),
}


class Middle(HybridBlock):
    """A layer on numbers around 0, between a shifted input and a flattened output."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def hybrid_forward(self, F, x):
        return F.flatten(self.layer(x * 4 - 2))


@pytest.mark.parametrize("name", LAYERS)
def test_layers_equal_those_of_gluon(name):
    compare(randomized(Middle(LAYERS[name]()), (6, 8)), (6, 8), 1, 5)


def test_attributes_that_symbols_omit_have_their_defaults():
    # Symbols omit defaults: eps 1e-3, and a scale fixed at 1, where the file may contain another.
    x = mx.sym.Pooling(mx.sym.BatchNorm(mx.sym.var("data"), name="bn"), kernel=(2, 2), stride=(2, 2))
    up = mx.sym.UpSampling(x, mx.sym.var("w"), scale=2, sample_type="bilinear", num_filter=3, num_args=2)
    net = SymbolBlock(mx.sym.flatten(up), [mx.sym.var("data")])
    rng = np.random.RandomState(0)
    shapes = {
        "bn_gamma": (3,),
        "bn_beta": (3,),
        "bn_moving_mean": (3,),
        "bn_moving_var": (3,),
        "w": (3, 1, 4, 4),
    }
    for name, parameter in net.collect_params().items():
        parameter.shape = shapes[name]
        parameter.initialize()
        parameter.set_data(nd.array(rng.uniform(0.1, 0.9, shapes[name])))
    compare(net, (6, 8), 1, 3)


class Shared(HybridBlock):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2D(3, 3, padding=1, in_channels=3)
        self.level = self.params.get_constant("level", [[[[1.0]], [[2.0]], [[3.0]]]])

    def hybrid_forward(self, F, x, level):
        return F.flatten(F.broadcast_add(self.conv(self.conv(x)), level))


def test_repeated_layers_and_constants_are_exported():
    compare(randomized(Shared(), (6, 8)), (6, 8), 2)
    compare(RawPixels(), (4, 4), 2)


SMALL = {
    "lseresnet10e_ir": {"units": (1, 2), "channels": (8, 16, 24), "embedding_size": 12, "input_crop": 96, "input_size": 40},
    "mobilefacenet": {"width": 0.25, "embedding_size": 24, "input_crop": 100, "input_size": 56, "last_stride": 1},
}
SAMPLE = ["mobilefacenet_re", "ghostfacenetv2"]
SAMPLE += [
    pytest.param(name, marks=pytest.mark.system)
    for name in ("attentionfacenet56", "l_se_resnet18v2", "mobilefacenet_y2", "vargfacenet")
]


@pytest.mark.parametrize("name", SMALL)
def test_small_networks_are_exported_for_large_batches(name):
    model = compare(randomized(get_model(name, classes=7, **SMALL[name])), (112, 112), 1, 64)
    assert [output.name for output in model.graph.output] == ["embedding"]
    # The classifier is left out.
    assert not any("output" in constant.name for constant in model.graph.initializer)


@pytest.mark.parametrize("name", SAMPLE)
def test_families_of_the_zoo_are_exported(name):
    compare(randomized(get_model(name)), (112, 112), 1, 3)


@pytest.mark.full
@pytest.mark.parametrize("name", [*list_models(), "gluon:mobilenetv2_1.0", "gluon:resnet18_v1", "gluon:densenet121"])
def test_every_network_of_the_zoo_is_exported(name):
    net = randomized(get_model(name))
    x = images(2)
    wanted, got = embedding(net, x), run(onnx_model(net, (112, 112), Card()), x)
    # Hundreds of random layers amplify rounding: a difference above 1e-4 is accepted where MXNet differs as much from float64.
    net.cast("float64")
    exact = net(nd.array(x, dtype="float64")).asnumpy()
    scale = max(1, np.abs(exact).max())
    rounding = np.abs(wanted - exact).max() / scale
    assert np.abs(got - exact).max() / scale < max(1e-4, 3 * rounding)
    assert rounding < 0.01


def test_the_model_describes_itself():
    net = randomized(get_model("mobilefacenet", embedding_size=16, width=0.25))
    card = Card(network="mobilefacenet", license="mine", extra={"note": "Ω"})
    model = onnx_model(net, (112, 112), card)
    assert (model.opset_import[0].version, model.ir_version) == (13, 8)
    (data,), (out,) = model.graph.input, model.graph.output
    assert [dim.dim_param or dim.dim_value for dim in data.type.tensor_type.shape.dim] == ["N", 3, 112, 112]
    assert [dim.dim_param or dim.dim_value for dim in out.type.tensor_type.shape.dim] == ["N", 16]
    assert json.loads({entry.key: entry.value for entry in model.metadata_props}[CARD_ENTRY]) == card.to_dict()
    assert "RGB in [0, 1]" in model.doc_string
    operators = {node.op_type for node in model.graph.node}
    assert "PRelu" in operators
    assert "Dropout" not in operators
    onnx.checker.check_model(model, full_check=True)


def test_the_network_is_unchanged():
    net = randomized(get_model("mobilefacenet", embedding_size=16, width=0.25))
    net.hybridize(static_alloc=True, static_shape=True)
    x = images(2)
    wanted = embedding(net, x)
    cache = net._cached_op
    onnx_model(net, (112, 112), Card())
    assert net._cached_op is cache
    np.testing.assert_array_equal(embedding(net, x), wanted)


def _grid(F, x):
    return F.GridGenerator(F.slice_axis(x, axis=1, begin=0, end=2), transform_type="warp", name="middle")


def test_networks_that_cannot_be_exported_are_refused_by_layer():
    with pytest.raises(GluonFRError, match="layer .*middle: the operator GridGenerator cannot be exported"):
        onnx_model(Operator(_grid), (6, 8), Card())
    with pytest.raises(GluonFRError, match="pooling.*: Pooling with pool_type sum"):
        onnx_model(Operator(lambda F, x: F.Pooling(x, kernel=(2, 2), pool_type="sum")), (6, 8), Card())
    with pytest.raises(GluonFRError, match=r"Operator returns \(1, 'N'\) instead of one embedding"):
        onnx_model(Operator(lambda F, x: F.reshape(x, shape=(1, -1))), (6, 8), Card())
    with pytest.raises(GluonFRError, match="not initialized"):
        onnx_model(get_model("mobilefacenet"), (112, 112), Card())
    with pytest.raises(GluonFRError, match="Sequential is not a Gluon graph"):
        onnx_model(nn.Sequential(), (112, 112), Card())
    with pytest.raises(GluonFRError, match=r"Conv2D returns \('N', 2, 4, 6\)"):
        onnx_model(randomized(nn.Conv2D(2, 3), (6, 8)), (6, 8), Card())
    with pytest.raises(GluonFRError, match="MobileFaceNet .* 16x16"):
        onnx_model(randomized(get_model("mobilefacenet", width=0.25)), (16, 16), Card())
    for size in (112, (0, 112), "ab"):
        with pytest.raises(GluonFRError, match="image_size"):
            onnx_model(RawPixels(), size, Card())
