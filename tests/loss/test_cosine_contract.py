"""What holds for every loss on cosines or logits, however it is called."""

import mxnet as mx
import numpy as np
import pytest
from formulas import given, ready, run
from mxnet import autograd, gluon, nd

from gluonfr.core import GluonFRError
from gluonfr.loss import get_loss, get_loss_list
from gluonfr.nn import NormDense

NAMES = [
    "ASoftmax",
    "AdaCos",
    "AdaFace",
    "ArcLoss",
    "CircleLoss",
    "CombinedMargin",
    "CosLoss",
    "CurricularFace",
    "L2Softmax",
    "LSoftmax",
    "MagFace",
    "NormFace",
    "SVXSoftmax",
    "SoftmaxLoss",
    "SubCenterArc",
]


# Losses whose scale is found or learned.
FREE = ("AdaCos", "LSoftmax", "NormFace")


def same(got, wanted, rtol=1e-5):
    np.testing.assert_allclose(got[0], wanted[0], rtol=rtol, atol=1e-5)
    for one, other in zip(got[1], wanted[1]):
        np.testing.assert_allclose(one, other, rtol=10 * rtol, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_hybridized_equals_imperative_at_any_batch_size(name):
    loss, fresh = ready(name, classes=10), ready(name, classes=10)
    fresh.hybridize(static_alloc=True, static_shape=True)
    for batch in (8, 5, 8, 1):
        arrays = given(loss, batch, 10, batch)
        wanted = run(loss, arrays)
        assert wanted[0].shape == (batch,)
        same(run(fresh, arrays), wanted)
        same(run(loss, arrays, label_dtype="int32"), wanted)


@pytest.mark.parametrize("name", NAMES)
def test_exported_equals_imperative_at_any_batch_size(name, tmp_path):
    loss = ready(name, classes=10)
    loss.hybridize()
    run(loss, given(loss, 4, 10))
    loss.export(str(tmp_path / "loss"))
    names = [f"data{i}" for i in range(3 if loss.spec.needs_embedding else 2)]
    symbol = gluon.SymbolBlock.imports(
        str(tmp_path / "loss-symbol.json"), names, str(tmp_path / "loss-0000.params") if loss.collect_params().keys() else None
    )
    for batch in (5, 3):
        arrays = given(loss, batch, 10, batch)
        inputs = [nd.array(array) for array in arrays]
        np.testing.assert_allclose(symbol(*inputs).asnumpy(), run(loss, arrays)[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hybrid", [False, True])
def test_losses_are_finite_at_cosines_of_one_zero_and_minus_one(name, hybrid):
    loss = ready(name, classes=4)
    if hybrid:
        loss.hybridize(static_alloc=True, static_shape=True)
    cos = np.array([[1, -1, 0, 1], [-1, 1, 1, 1], [0, 0, 0, 0], [-1, -1, -1, -1], [1, 1, 1, 1.0000001]], dtype="float32")
    cos = np.repeat(cos, loss.outputs // 4, axis=1)
    x = np.zeros((5, 3))
    x[1:] = np.eye(4, 3) * 50
    value, gradients = run(loss, (cos, [0, 0, 1, 2, 3], x) if loss.spec.needs_embedding else (cos, [0, 0, 1, 2, 3]))
    assert np.isfinite(value).all()
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert np.abs(gradients[0]).sum() > 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 100_000])
def test_labels_are_exact_with_two_and_a_hundred_thousand_classes(name, classes):
    loss = ready(name, classes=classes)
    last = classes - 1
    labels = [last, 0, last] if classes == 2 else [last, 65_505, 70_001]
    cos, _, *x = given(loss, 3, classes)
    wide = loss.outputs // classes
    cos, x = cos / 10, [logit / 5 for logit in x]
    for row, label in enumerate(labels):
        cos[row, label * wide] = 0.2
    value, gradients = run(loss, (cos, labels, *x))
    assert np.isfinite(value).all()
    assert np.isfinite(gradients[0]).all()
    # The target pulls, and nothing else as much: a label read wrongly would show as another column.
    assert (gradients[0].min(axis=1) < 0).all()
    np.testing.assert_array_equal(gradients[0].argmin(axis=1) // wide, labels)
    loss.step()
    assert np.isfinite(run(loss, (cos, labels, *x))[0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_batches_of_one_class_and_of_one_image_are_finite(name):
    loss = ready(name, classes=5)
    for batch in (4, 1):
        cos, y, *x = given(loss, batch, 5)
        value, gradients = run(loss, (cos, np.full(batch, 3), *x))
        loss.step()
        assert value.shape == (batch,)
        assert np.isfinite(value).all()
        assert np.isfinite(gradients[0]).all()
        assert np.isfinite(run(loss, (cos, y, *x))[0]).all()


@pytest.mark.parametrize("name", NAMES)
def test_lower_precision_is_raised_and_float16_labels_are_rejected(name):
    loss = ready(name, classes=5)
    arrays = given(loss, 4, 5)
    low = [array if i == 1 else np.asarray(array, dtype="float16") for i, array in enumerate(arrays)]
    inputs = [nd.array(array, dtype="float32" if i == 1 else "float16") for i, array in enumerate(low)]
    value = loss(*inputs)
    assert value.dtype == np.float32
    np.testing.assert_allclose(value.asnumpy(), run(loss, low)[0], rtol=1e-5, atol=1e-5)
    inputs[1] = inputs[1].astype("float16")
    with pytest.raises(GluonFRError, match="float16"):
        loss(*inputs)


@pytest.mark.parametrize("name", NAMES)
def test_invalid_input_is_rejected(name):
    loss = ready(name, classes=5)
    wide, third = loss.outputs, (np.ones((3, 4)),) if loss.spec.needs_embedding else ()
    for output, label, words in [
        (np.zeros((3, wide - 1)), [0, 1, 2], f"expected .batch, {wide}."),
        (np.zeros((3, wide)), [0, 1], "one label per sample"),
        (np.zeros((3, wide)), [0, 5, 1], "label 5 is outside 0..4"),
        (np.zeros((3, wide)), [0, -1, 1], "label -1 is outside"),
        (np.zeros((3, wide)), [0, np.nan, 1], "label nan is outside"),
        (np.zeros((3, wide), dtype="int32"), [0, 1, 2], "floating point"),
    ]:
        with pytest.raises(GluonFRError, match=words):
            loss(nd.array(output, dtype=output.dtype), nd.array(label), *map(nd.array, third))
    if loss.spec.needs_embedding:
        with pytest.raises(GluonFRError, match="embedding as its third"):
            loss(nd.zeros((3, wide)), nd.zeros((3,)))
        for wrong in (nd.ones((2, 4)), nd.ones((3,))):
            with pytest.raises(GluonFRError, match="embedding has shape"):
                loss(nd.zeros((3, wide)), nd.zeros((3,)), wrong)


@pytest.mark.parametrize("name", [name for name in NAMES if get_loss(name, classes=3).collect_params().keys()])
def test_missing_parameters_are_named(name):
    loss = get_loss(name, classes=3)
    arrays = [nd.array(array) for array in given(loss, 2, 3)]
    with pytest.raises(GluonFRError, match=r"not on cpu\(0\); call loss.initialize"):
        loss(*arrays)
    loss.initialize(ctx=mx.cpu(0))
    loss(*arrays)
    with pytest.raises(GluonFRError, match=r"not on cpu\(1\)"):
        loss(*(array.as_in_context(mx.cpu(1)) for array in arrays))


BAD = [
    ("NormFace", {"s": 0}, "s must be a number above 0"),
    ("NormFace", {"s": float("inf")}, "s must be a number above 0"),
    ("ASoftmax", {"m": 2.5}, "integer from 1"),
    ("ASoftmax", {"m": 0}, "integer from 1"),
    ("ASoftmax", {"s": -1}, "s must be a number above 0"),
    ("ASoftmax", {"lambda_min": 7, "lambda_max": 5}, "lambda_min"),
    ("ASoftmax", {"phiflag": False}, "phiflag"),
    ("LSoftmax", {"m": float("nan")}, "integer from 1"),
    ("SubCenterArc", {"K": 0}, "K must be an integer"),
    ("SubCenterArc", {"m": 3.2}, "m must be a number in"),
    ("AdaCos", {"dynamic": "no"}, "dynamic"),
    ("AdaFace", {"m": 2}, "m must be a number in"),
    ("AdaFace", {"h": 0}, "h must be a number above 0"),
    ("AdaFace", {"momentum": 1}, "momentum"),
    ("MagFace", {"l_a": 0}, "l_a"),
    ("MagFace", {"l_m": 0.9}, "l_m"),
    ("MagFace", {"lambda_g": -1}, "lambda_g"),
    ("CurricularFace", {"m": -0.1}, "m must be a number in"),
    ("CurricularFace", {"momentum": -0.1}, "momentum"),
    ("CurricularFace", {"s": float("nan")}, "s must be a number above 0"),
    ("SVXSoftmax", {"t": 0.9}, "t must be a number at least 1"),
    ("SVXSoftmax", {"x": "sphere"}, "x must be one of arc, cos"),
    ("SVXSoftmax", {"m": 2, "x": "cos"}, "m must be a number in"),
    ("CircleLoss", {"m": 1}, "m must be a number in"),
    ("CircleLoss", {"s": 0}, "s must be a number above 0"),
]


@pytest.mark.parametrize(("name", "arguments", "words"), BAD)
def test_invalid_arguments_are_rejected(name, arguments, words):
    with pytest.raises(GluonFRError, match=words) as refusal:
        get_loss(name, classes=5, **arguments)
    assert "\n" not in str(refusal.value)


def test_aliases_build_the_same_loss():
    assert set(NAMES) <= set(get_loss_list())
    for alias, name in [
        ("sphereface", "ASoftmax"),
        ("a-softmax", "ASoftmax"),
        ("lsoftmax", "LSoftmax"),
        ("normface", "NormFace"),
        ("adacos", "AdaCos"),
        ("AdaFace", "AdaFace"),
        ("magface", "MagFace"),
        ("curricular", "CurricularFace"),
        ("svx", "SVXSoftmax"),
        ("sv-softmax", "SVXSoftmax"),
        ("subcenter", "SubCenterArc"),
        ("circle", "CircleLoss"),
    ]:
        assert type(get_loss(alias, classes=3)).__name__ == name


@pytest.mark.parametrize("name", NAMES)
def test_training_on_two_devices_equals_training_on_one(name):
    rng = np.random.RandomState(0)
    centers = rng.randn(4, 6)
    y = np.tile(np.arange(4), 4)
    images = nd.array(centers[y] + 0.2 * rng.randn(16, 6))

    def train(contexts, cuts):
        mx.random.seed(1)
        loss = get_loss(name, classes=4, **({"s": 8} if hasattr(get_loss(name, classes=4), "s") and name not in FREE else {}))
        net = gluon.nn.HybridSequential()
        embed, classify = (
            gluon.nn.Dense(5, in_units=6),
            NormDense(loss.outputs, loss.spec.weight_norm, loss.spec.feature_norm, in_units=5),
        )
        net.add(embed, classify, loss)
        net.initialize(mx.init.Normal(0.5), ctx=contexts)
        for device_net in net:
            device_net.hybridize(static_alloc=True, static_shape=True)
        trained = [parameter for parameter in net.collect_params().values() if parameter.grad_req != "null"]
        trainer = gluon.Trainer(trained, "sgd", {"learning_rate": 0.05}, kvstore="device", update_on_kvstore=False)
        history = []
        for _ in range(12):
            losses = []
            with autograd.record():
                for context, part in zip(contexts, cuts):
                    x = embed(images[part].as_in_context(context))
                    third = (x,) if loss.spec.needs_embedding else ()
                    losses.append(loss(classify(x), nd.array(y[part], ctx=context), *third))
            autograd.backward(losses)
            trainer.step(16)
            loss.step()
            history.append(sum(device_loss.asnumpy().sum() for device_loss in losses))
        return np.array(history), {k: v.data(contexts[-1]).asnumpy() for k, v in net._collect_params_with_prefix().items()}

    one, two = train([mx.cpu(0)], [slice(0, 16)]), train([mx.cpu(0), mx.cpu(1)], [slice(0, 11), slice(11, 16)])
    np.testing.assert_allclose(two[0], one[0], rtol=1e-4)
    for key, value in one[1].items():
        np.testing.assert_allclose(two[1][key], value, rtol=1e-3, atol=1e-4, err_msg=key)
    assert one[0][-1] < 0.9 * one[0][0]
