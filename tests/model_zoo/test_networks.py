"""Networks: sizes as published, shapes, and that a step trains them."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from gluonfr.core import GluonFRError
from gluonfr.loss import ArcLoss
from gluonfr.model_zoo import LResNet, get_mobile_facenet, get_model, get_model_list
from gluonfr.nn import prelu_form

# Parameters with fixed scales, without running statistics.
PUBLISHED = {
    ("mobilefacenet", 128): 1_003_264,
    ("mobilefacenet", 256): 1_069_184,
    ("mobilefacenet", 512): 1_201_024,
    ("lresnet18e_ir", 512): 24_025_600,
    ("lresnet34e_ir", 512): 34_139_328,
    ("lresnet50e_ir", 512): 43_590_848,
    ("lresnet100e_ir", 512): 65_156_160,
}


def shapes(net):
    """Shapes of all parameters, inferred from a symbol: nothing is allocated."""
    symbol = net(mx.sym.var("data"))
    arguments, _, _ = symbol.infer_shape(data=(1, 3, 112, 112))
    return {name: shape for name, shape in zip(symbol.list_arguments(), arguments) if name != "data"}


@pytest.mark.parametrize(("name", "size"), PUBLISHED)
def test_parameters_are_as_many_as_published(name, size):
    assert sum(int(np.prod(shape)) for shape in shapes(get_model(name, embedding_size=size)).values()) == PUBLISHED[name, size]


def convolutions(net):
    """(multiply-adds of convolutions and dense layers) of one image, from the symbol's own shapes."""
    symbol = net(mx.sym.var("data"))
    inside = symbol.get_internals()
    _, outputs, _ = inside.infer_shape(data=(1, 3, 112, 112))
    shape = dict(zip(inside.list_outputs(), outputs))
    total = 0
    for name, weight in shapes(net).items():
        out = name[: -len("weight")] + "fwd_output"
        if name.endswith("weight") and out in shape:
            total += int(np.prod(weight)) * int(np.prod(shape[out][2:]))
    return total


@pytest.mark.parametrize(
    ("name", "giga"), [("mobilefacenet", 0.221), ("lresnet18e_ir", 2.61), ("lresnet50e_ir", 6.31), ("lresnet100e_ir", 12.09)]
)
def test_multiply_adds_are_as_published(name, giga):
    with prelu_form("operator"):
        assert convolutions(get_model(name)) / 1e9 == pytest.approx(giga, rel=0.005)


def test_squeeze_and_excitation_adds_its_layers_only():
    plain, se = (
        sum(int(np.prod(s)) for s in shapes(get_model(n, embedding_size=512)).values())
        for n in ("lresnet18e_ir", "lseresnet18e_ir")
    )
    # Two units a stage, each with weights and biases both ways and C/16 slopes.
    assert se - plain == sum(2 * (2 * c * (c // 16) + c + c // 16 + c // 16) for c in (64, 128, 256, 512))


@pytest.mark.parametrize("name", get_model_list())
def test_every_name_gives_the_embedding_asked_for(name):
    symbol = get_model(name, embedding_size=96, classes=11)(mx.sym.var("data"))
    (embedding, output) = mx.sym.Group(symbol).infer_shape(data=(4, 3, 112, 112))[1]
    assert embedding == (4, 96)
    assert output == (4, 11)
    alone = get_model(name, embedding_size=96, classes=11, need_cls_layer=False)(mx.sym.var("data"))
    assert alone.infer_shape(data=(4, 3, 112, 112))[1] == [(4, 96)]


def small(**kwargs):
    return LResNet((1, 1), (8, 8, 16), stem_stride=2, embedding_size=16, dropout=0, **kwargs)


def test_output_is_the_cosine_with_both_norms():
    net = small(classes=5, weight_norm=True, feature_norm=True)
    net.initialize(mx.init.Xavier())
    embedding, output = (each.asnumpy() for each in net(nd.random.uniform(shape=(3, 3, 32, 32))))
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
    wanted = [each.asnumpy() for each in net(x)]
    with prelu_form("operator"):
        operator = [each.asnumpy() for each in net(x)]
    net.hybridize(static_alloc=True, static_shape=True)
    for got in (operator, [each.asnumpy() for each in net(x)]):
        for a, b in zip(got, wanted):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
            assert np.abs(b).max() > 0


def test_training_lowers_the_loss_and_parameters_come_back(tmp_path):
    mx.random.seed(3)
    net = small(classes=4, weight_norm=True, feature_norm=True)
    net.initialize(mx.init.Xavier())
    loss = ArcLoss(4, m=0.1, s=8)
    x, y = nd.random.uniform(shape=(16, 3, 32, 32)), nd.array(np.arange(16) % 4)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1, "momentum": 0.9})
    values = []
    for _ in range(30):
        with autograd.record():
            value = loss(net(x)[1], y)
        value.backward()
        trainer.step(16)
        values.append(value.mean().asscalar())
    assert values[-1] < 0.3 * values[0]
    path = str(tmp_path / "net.params")
    net.save_parameters(path)
    other = small(classes=4, weight_norm=True, feature_norm=True)
    other.load_parameters(path)
    np.testing.assert_array_equal(net(x)[0].asnumpy(), other(x)[0].asnumpy())


def test_unknown_names_and_arguments_are_refused():
    with pytest.raises(GluonFRError, match="did you mean 'mobilefacenet'.*known are .*lresnet100e_ir"):
        get_model("mobilefacenett")
    with pytest.raises(GluonFRError, match="unexpected keyword argument 'clases'"):
        get_model("mobilefacenet", clases=3)
    with pytest.raises(GluonFRError, match="channels names"):
        LResNet((1, 1), (8, 8))
    assert type(get_mobile_facenet()) is type(get_model("MobileFaceNet"))
