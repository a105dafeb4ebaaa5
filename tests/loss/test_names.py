"""Names of the losses, gluon-face's constructors, and what losses declare."""

import inspect

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd

import gluonfr.loss
from gluonfr.core import UsageError
from gluonfr.loss import FRLoss, LossSpec, MarginLoss, get_loss, list_losses
from gluonfr.loss.registry import LOSSES

SIZES = {"classes": 5, "embedding_size": 4}
# The field's names, as in InsightFace and pytorch-metric-learning.
USUAL_NAMES = {
    "ArcFaceLoss": "ArcLoss",
    "CosFaceLoss": "CosLoss",
    "CombinedMarginLoss": "CombinedMargin",
    "SubCenterArcFaceLoss": "SubCenterArc",
    "AdaFaceLoss": "AdaFace",
    "MagFaceLoss": "MagFace",
    "CurricularFaceLoss": "CurricularFace",
    "SphereFaceLoss": "ASoftmax",
    "LargeMarginSoftmaxLoss": "LSoftmax",
    "NormFaceLoss": "NormFace",
    "AdaCosLoss": "AdaCos",
    "SVXSoftmaxLoss": "SVXSoftmax",
    "L2SoftmaxLoss": "L2Softmax",
    "BatchHardTripletLoss": "BatchHardTriplet",
    "SemiHardTripletLoss": "SemiHardTriplet",
    "PairwiseCircleLoss": "PairwiseCircle",
}


@pytest.mark.parametrize(("usual", "name"), USUAL_NAMES.items())
def test_the_usual_name_is_a_class_and_a_registered_name(usual, name):
    assert getattr(gluonfr.loss, usual) is getattr(gluonfr.loss, name)
    assert type(get_loss(usual, **SIZES)).__name__ == name


def test_every_loss_has_a_name_that_ends_in_loss():
    classes = {LOSSES.get(name) for name in list_losses()}
    named = {value for name, value in vars(gluonfr.loss).items() if name.endswith("Loss") and inspect.isclass(value)}
    assert classes <= named


# Positional arguments as in gluon-face's scripts, and the attributes that they set.
CONSTRUCTORS = [
    ("L2Softmax", (10, 12.0, 0.8, False), {"alpha": 12.0, "p": 0.8, "from_normx": False}),
    ("CosLoss", (10, 0.2, 30), {"m": 0.2, "s": 30.0}),
    ("ArcLoss", (10, 0.4, 30, True), {"m": 0.4, "s": 30.0, "easy_margin": True}),
    ("TripletLoss", (1,), {"margin": 1.0}),
    ("ContrastiveLoss", (2,), {"margin": 2.0}),
    ("RingLoss", (0.01, mx.init.Constant(20)), {"lamda": 0.01}),
    ("RingLoss", (0.01, 1.0), {"lamda": 0.01}),
    ("RingLoss", (0.01,), {"lamda": 0.01}),
    ("ASoftmax", (10, 3, 20), {"m": 3, "s": 20.0}),
    ("ASoftmax", (10, 3, 20, True), {"m": 3, "s": 20.0, "lambda_max": 1500.0}),
    ("CenterLoss", (10, 4, 0.1), {"lamda": 0.1}),
    ("RangeLoss", (0.5, 0.6, 3, 4, 5, 6, 7), {"alpha": 0.5, "beta": 0.6, "top_k": 3, "margin": 7.0}),
    ("MPSLoss", (1.0,), {"m": 1.0}),
    ("GitLoss", (10, 4, 0.1, 0.2, 32), {"lamda_c": 0.1, "lamda_g": 0.2}),
    ("COCOLoss", (10, 4, 6.0), {"alpha": 6.0}),
    ("LGMLoss", (10, 4, 0.2, 0.3, 0.4), {"alpha": 0.2, "lamda": 0.3}),
    ("SVXSoftmax", (10, 64), {"s": 64.0}),
    ("SVXSoftmax", (10, 30, 1.5, 1, 0.3, 0.2), {"s": 30.0, "t": 1.5, "m1": 1.0, "m2": 0.3, "m3": 0.2}),
]


@pytest.mark.parametrize(("name", "arguments", "attributes"), CONSTRUCTORS)
def test_positional_arguments_are_those_of_gluon_face(name, arguments, attributes):
    loss = getattr(gluonfr.loss, name)(*arguments)
    assert {key: getattr(loss, key) for key in attributes} == attributes


# The same calls by keyword, with gluon-face's names.
KEYWORDS = [
    ("L2Softmax", {"classes": 10, "alpha": 12.0, "p": 0.8, "from_normx": True}),
    ("CosLoss", {"classes": 10, "m": 0.2, "s": 30}),
    ("ArcLoss", {"classes": 10, "m": 0.4, "s": 30, "easy_margin": True}),
    ("TripletLoss", {"margin": 1}),
    ("ContrastiveLoss", {"margin": 2}),
    ("RingLoss", {"lamda": 0.01, "r_init": 20.0}),
    ("ASoftmax", {"classes": 10, "m": 3, "s": 20, "phiflag": True}),
    ("CenterLoss", {"classes": 10, "embedding_size": 4, "lamda": 0.1}),
    ("LGMLoss", {"num_classes": 10, "embedding_size": 4, "alpha": 0.2, "lamda": 0.3, "lr_mult": 0.4}),
    (
        "RangeLoss",
        {"alpha": 0.5, "beta": 0.6, "top_k": 3, "num_class": 4, "num_in_class": 5, "feature_dim": 6, "margin": 7},
    ),
    ("MPSLoss", {"m": 1.0}),
    ("GitLoss", {"classes": 10, "embedding_size": 4, "lamda_c": 0.1, "lamda_g": 0.2, "batch_size_per_gpu": 32}),
    ("COCOLoss", {"classes": 10, "embedding_size": 4, "alpha": 6.0}),
    ("SVXSoftmax", {"classes": 10, "s": 30, "t": 1.5, "m1": 1, "m2": 0.3, "m3": 0.2}),
]
# Only read by gluon-face's losses, or stored under another name or as a parameter.
WITHOUT_ATTRIBUTE = {
    "r_init",
    "phiflag",
    "num_classes",
    "lr_mult",
    "num_class",
    "num_in_class",
    "feature_dim",
    "batch_size_per_gpu",
}


@pytest.mark.parametrize(("name", "arguments"), KEYWORDS)
def test_keywords_are_those_of_gluon_face(name, arguments):
    loss = getattr(gluonfr.loss, name)(**arguments)
    kept = {key: value for key, value in arguments.items() if key not in WITHOUT_ATTRIBUTE}
    assert {key: getattr(loss, key) for key in kept} == kept


def test_svx_softmax_has_the_combined_margin_on_the_target():
    cos, label = np.array([[0.6, 0.5, -0.2]]), nd.array([0])
    target = np.cos(1.2 * np.arccos(0.6) + 0.1) - 0.05
    # The second class is above the target with its margin, so it is emphasized.
    logits = 10 * np.array([target, 1.5 * 0.5 + 0.5, -0.2])
    value = gluonfr.loss.SVXSoftmax(3, 10, 1.5, 1.2, 0.1, 0.05)(nd.array(cos), label).asscalar()
    np.testing.assert_allclose(value, np.log(np.exp(logits).sum()) - logits[0], rtol=1e-5)
    # gluon-face's defaults: no emphasis and no margin.
    plain = gluonfr.loss.SVXSoftmax(3, 10, 1, 1, 0, 0)(nd.array(cos), label).asscalar()
    np.testing.assert_allclose(plain, np.log(np.exp(10 * cos).sum()) - 6, rtol=1e-5)


def test_lgm_loss_unpacks_into_losses_and_logits():
    loss = gluonfr.loss.LGMLoss(3, 2, 0.5, 0.1, 0.1)
    loss.initialize()
    mean = np.array([[0, 0], [2, 0], [0, 3.0]])
    loss.mean.set_data(nd.array(mean))
    x, label = np.array([[1.8, 0.1], [0.2, 2.5]]), nd.array([1, 0])
    embedding = nd.array(x)
    embedding.attach_grad()
    with autograd.record():
        pair = loss(embedding, label)
    first, logits = pair
    np.testing.assert_allclose(logits.asnumpy(), -0.5 * ((x[:, None] - mean) ** 2).sum(axis=2), atol=1e-5)
    # The pair is the array of losses too, and gradients flow through either.
    np.testing.assert_array_equal(first.asnumpy(), pair.asnumpy())
    assert pair.shape == first.shape == (2,)
    autograd.backward([pair[0]], retain_graph=True)
    gradient = embedding.grad.asnumpy()
    pair.backward()
    np.testing.assert_array_equal(embedding.grad.asnumpy(), gradient)
    assert np.abs(gradient).min() > 0


def test_lgm_loss_accepts_num_classes():
    assert gluonfr.loss.LGMLoss(num_classes=10, embedding_size=4).classes == 10


def test_a_given_radius_needs_no_step():
    loss = gluonfr.loss.RingLoss(2, 3)
    loss.initialize()
    value = loss(nd.zeros((1, 4)), nd.array([1]), nd.array([[3, 4]]))
    np.testing.assert_allclose(value.asnumpy(), [np.log(4) + (5 - 3) ** 2], rtol=1e-6)


def test_svx_accepts_m_or_the_three_margins_but_not_both():
    with pytest.raises(UsageError, match="give m, or m1, m2 and m3"):
        gluonfr.loss.SVXSoftmax(10, m=0.3, m2=0.2)


@pytest.mark.parametrize("name", list_losses())
def test_the_training_loop_of_gluon_face_trains(name):
    loss = get_loss(name, **SIZES)
    net = gluon.nn.Dense(4, in_units=3)
    parameters = net.collect_params()
    parameters.update(loss.collect_params())
    for block in (net, loss):
        block.initialize(mx.init.Normal(0.5))
    trainer = gluon.Trainer(parameters, "sgd", {"learning_rate": 0.01, "multi_precision": True})
    x, label = nd.random.normal(shape=(6, 3)), nd.array([0, 1, 0, 1, 2, 2])
    weights = nd.random.normal(shape=(4, getattr(loss, "outputs", None) or 5))
    before = net.weight.data().asnumpy()
    with autograd.record():
        embedding = net(x)
        if loss.spec.uses_classifier:
            output = nd.L2Normalization(nd.dot(embedding, weights))
            value = loss(output, label, *([embedding] if loss.spec.needs_embedding else []))
        elif loss.spec.input_kind == "pairs":
            value = loss(embedding, embedding[::-1], label == label[::-1])
        else:
            value = loss(embedding, label)
    value.backward()
    trainer.step(6, ignore_stale_grad=True)
    assert value.shape == (6,)
    assert np.isfinite(net.weight.data().asnumpy()).all()
    # Only a batch without any triplet that violates the margin has no gradient.
    assert (net.weight.data().asnumpy() != before).any() or not value.asnumpy().any()


@pytest.mark.parametrize("name", list_losses())
def test_a_loss_prints_its_arguments(name):
    text = repr(get_loss(name, **SIZES))
    assert text.startswith(f"{name}(")
    assert text.endswith("dtype='float32')")
    assert "\n" not in text


def test_a_spec_is_frozen_and_checked():
    spec = LossSpec("triplets", batch="identities")
    with pytest.raises(AttributeError):
        spec.batch = "any"
    with pytest.raises(ValueError, match="input_kind"):
        LossSpec("nonsense")
    assert not spec.uses_classifier
    assert spec.compares_samples
    assert spec.needs_identities


@pytest.mark.parametrize("name", list_losses())
def test_a_spec_declares_what_the_loss_is(name):
    loss = get_loss(name, **SIZES)
    assert isinstance(loss, FRLoss)
    assert loss.spec.uses_classifier == hasattr(loss, "outputs")
    if loss.spec.input_kind == "cosine":
        assert (loss.spec.weight_norm, loss.spec.feature_norm) == (True, True)
    if loss.spec.uses_classifier:
        assert loss.outputs == 5 * loss.spec.num_centers


def test_a_margin_of_ten_lines_works_in_every_form():
    class SquaredMargin(MarginLoss):
        def __init__(self, classes, m=0.2, s=64.0, **kwargs):
            super().__init__(classes, s, **kwargs)
            self.m = m

        def target(self, F, cos_y):
            return cos_y - self.m * (1 - cos_y) ** 2

    loss = SquaredMargin(3, s=10, dtype="float64")
    cos, label = np.array([[0.5, 0.1, -0.2], [0.3, 0.2, 0.9]]), [0, 2]
    target = cos.copy()
    for row, column in enumerate(label):
        target[row, column] -= 0.2 * (1 - cos[row, column]) ** 2
    wanted = [np.log(np.exp(10 * row).sum()) - 10 * row[column] for row, column in zip(target, label)]
    for _ in range(2):
        np.testing.assert_allclose(loss(nd.array(cos, dtype="float64"), nd.array(label)).asnumpy(), wanted, rtol=1e-9)
        loss.hybridize(static_alloc=True, static_shape=True)


def test_statistics_of_all_processes_are_gathered_by_the_argument_of_step():
    loss = get_loss("CurricularFace", classes=3, momentum=0.5)
    loss.initialize()
    with autograd.record():
        loss(nd.array([[0.2, 0.1, 0.1]]), nd.array([0]))
    # Another process has a target cosine of 0.6: the mean is 0.4, and half of it is added to 0.
    loss.step(gather=lambda array: nd.concat(array, array * 0 + 0.6, dim=0))
    np.testing.assert_allclose(loss.t.data().asscalar(), 0.2, rtol=1e-6)
