"""What training moves in the losses on cosines: as the papers say, hybridized, on several devices, and through a file."""

import logging
import math

import mxnet as mx
import numpy as np
import pytest
from formulas import cosines, cross_entropy, features, given, ready, run
from mxnet import autograd, nd

from gluonfr.core import GluonFRError
from gluonfr.loss import get_loss
from gluonfr.nn import NormDense

MOVING = ["ASoftmax", "AdaCos", "AdaFace", "CurricularFace", "LSoftmax"]


def state(loss, ctx=None):
    return {
        name: parameter.data(ctx).asnumpy()
        for name, parameter in loss._collect_params_with_prefix().items()
        if parameter.grad_req == "null"
    }


def static(loss):
    loss.hybridize(static_alloc=True, static_shape=True)
    return loss


def lengths(x):
    return np.sqrt((np.asarray(x) ** 2).sum(axis=1))


def psi(cos, m):
    theta = np.arccos(cos)
    k = np.floor(m * theta / math.pi)
    return (-1) ** k * np.cos(m * theta) - 2 * k


def annealed(cos, y, scale, m, steps):
    lam = max(5, 1500 / (1 + 0.1 * steps))
    rows, z = np.arange(len(y)), cos.copy()
    z[rows, y] = (lam * cos[rows, y] + psi(cos[rows, y], m)) / (1 + lam)
    return cross_entropy(z * scale, y)


@pytest.mark.parametrize("hybrid", [False, True])
def test_lambda_decreases_with_every_step_to_its_minimum(hybrid):
    loss = ready("ASoftmax", classes=6, m=4, s=10)
    if hybrid:
        static(loss)
    cos, y = cosines(7, 6)
    for steps in range(60):
        # Any number of passes between two steps is one step, as on several devices.
        for _ in range(1 + steps % 3):
            value = run(loss, (cos, y))[0]
        np.testing.assert_allclose(value, annealed(cos, y, 10, 4, steps), rtol=1e-5, atol=1e-6)
        loss.step()
    for steps in (2989, 2990, 2991, 10**6):
        loss.steps.set_data(nd.array([steps]))
        np.testing.assert_allclose(run(loss, (cos, y))[0], annealed(cos, y, 10, 4, steps), rtol=1e-5, atol=1e-6)
    assert abs(annealed(cos, y, 10, 4, 0) - annealed(cos, y, 10, 4, 10**6)).max() > 0.5


def test_lambda_has_the_given_bounds():
    loss, cos, y = ready("LSoftmax", classes=2, lambda_min=0, lambda_max=0), np.array([[-0.5, 0.1]]), [0]
    value = run(loss, (cos, y, np.array([[0.6, 0.8]])))[0]
    # cos(4 * 120 degrees) = -0.5 with k = 2: psi = -0.5 - 4.
    np.testing.assert_allclose(value, np.log1p(np.exp(0.1 + 4.5)), rtol=1e-5)


@pytest.mark.parametrize("hybrid", [False, True])
def test_t_of_curricularface_is_the_running_mean_of_the_targets_cosine(hybrid):
    loss, t = ready("CurricularFace", classes=6, s=20, momentum=0.9), 0.0
    if hybrid:
        static(loss)
    for number in range(5):
        cos, y = cosines(4 + number, 6, number)
        cos[:, 0] = 0.9
        rows, target = np.arange(len(y)), cos[np.arange(len(y)), y]
        moved = np.cos(np.arccos(target) + 0.5)
        z = np.where(cos > moved[:, None], cos * (t + cos), cos)
        z[rows, y] = np.where(np.arccos(target) + 0.5 < math.pi, moved, target - 0.5 * math.sin(0.5))
        np.testing.assert_allclose(run(loss, (cos, y))[0], cross_entropy(20 * z, y), rtol=1e-4, atol=1e-5)
        loss.step()
        t = 0.9 * t + 0.1 * target.mean()
        np.testing.assert_allclose(loss.t.data().asscalar(), t, rtol=1e-5, atol=1e-7)
    assert abs(t) > 0.01


@pytest.mark.parametrize("hybrid", [False, True])
def test_statistics_of_adaface_follow_the_norms(hybrid):
    loss, mean, std = ready("AdaFace", classes=6, s=20, momentum=0.7), 20.0, 100.0
    if hybrid:
        static(loss)
    for number in range(5):
        cos, y = cosines(5 + number, 6, number)
        x = features(5 + number, number) / (1 + number)
        norm, rows = lengths(x), np.arange(len(y))
        z = np.clip((norm - mean) / (std + 1e-3) * 0.333, -1, 1)
        target = np.cos(np.clip(np.arccos(cos[rows, y]) - 0.4 * z, 1e-3, math.pi - 1e-3)) - 0.4 * (z + 1)
        logits = cos.copy()
        logits[rows, y] = target
        np.testing.assert_allclose(run(loss, (cos, y, x))[0], cross_entropy(20 * logits, y), rtol=1e-4, atol=1e-5)
        loss.step()
        mean, std = 0.7 * mean + 0.3 * norm.mean(), 0.7 * std + 0.3 * norm.std(ddof=1)
        np.testing.assert_allclose([loss.mean.data().asscalar(), loss.std.data().asscalar()], [mean, std], rtol=1e-5)
    before = state(loss)
    run(loss, (cos[:1], y[:1], x[:1]))
    loss.step()
    # One image has no deviation; its norm counts.
    assert loss.std.data().asscalar() == before["std"][0]
    assert loss.mean.data().asscalar() != before["mean"][0]


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("classes", [50, 3])
def test_the_scale_of_adacos_follows_the_papers_recursion(hybrid, classes):
    loss = ready("AdaCos", classes=classes)
    s = max(1, math.sqrt(2) * math.log(classes - 1))
    if hybrid:
        static(loss)
    for number in range(5):
        cos, y = cosines(6 + number, classes, number)
        rows = np.arange(len(y))
        # From angles above 45 degrees, where the paper cuts, to below.
        cos[rows, y] = np.linspace(0.3, 0.6, len(y)) + 0.1 * number
        cos = np.minimum(cos, 0.99)
        np.testing.assert_allclose(run(loss, (cos, y))[0], cross_entropy(s * cos, y), rtol=1e-4, atol=1e-5)
        loss.step()
        others = np.exp(s * cos)
        others[rows, y] = 0
        median = np.median(np.arccos(cos[rows, y]))
        s = max(1, math.log(others.sum(axis=1).mean()) / math.cos(min(math.pi / 4, median)))
        np.testing.assert_allclose(loss.scale.data().asscalar(), s, rtol=1e-4)


def test_the_scale_of_adacos_stays_positive_when_two_classes_are_far_apart():
    loss = ready("AdaCos", classes=2)
    for _ in range(3):
        value = run(loss, (np.array([[0.9, -0.9], [0.95, -1]]), [0, 0]))[0]
        loss.step()
        assert loss.scale.data().asscalar() == 1
        assert (value > 0).all()


@pytest.mark.parametrize("name", MOVING)
def test_state_on_two_devices_with_uneven_parts_equals_that_on_one(name):
    contexts = [mx.cpu(0), mx.cpu(1)]
    one, two = static(ready(name, classes=7)), static(ready(name, ctx=contexts, classes=7))
    start = state(one)
    for number in range(4):
        arrays = given(one, 8, 7, number)
        value = run(one, arrays)[0]
        parts = [
            run(two, [array[cut] for array in arrays], ctx=context)[0]
            for context, cut in zip(contexts, (slice(0, 5), slice(5, 8)))
        ]
        np.testing.assert_allclose(np.concatenate(parts), value, rtol=1e-5, atol=1e-6)
        one.step()
        two.step()
        for context in contexts:
            for key, wanted in state(one).items():
                np.testing.assert_allclose(state(two, context)[key], wanted, rtol=1e-6, err_msg=key)
    assert all((start[key] != value).any() for key, value in state(one).items())


@pytest.mark.parametrize("name", MOVING)
def test_training_resumes_exactly_from_saved_state(name, tmp_path):
    loss = static(ready(name, classes=7))
    for number in range(3):
        run(loss, given(loss, 8, 7, number))
        loss.step()
    loss.save_parameters(str(tmp_path / "loss.params"))
    again = static(get_loss(name, classes=7))
    again.load_parameters(str(tmp_path / "loss.params"))
    arrays = given(loss, 6, 7, 9)
    for _ in range(2):
        np.testing.assert_array_equal(run(again, arrays)[0], run(loss, arrays)[0])
        loss.step()
        again.step()
    assert state(loss).keys() == state(again).keys()
    assert len(state(loss)) > 0
    for key, value in state(loss).items():
        np.testing.assert_array_equal(state(again)[key], value)


@pytest.mark.parametrize("name", MOVING)
def test_neither_validation_nor_the_trainer_moves_the_state(name):
    loss = ready(name, classes=7)
    start = state(loss)
    arrays = [nd.array(array) for array in given(loss, 8, 7)]
    for _ in range(30):
        loss(*arrays)
    classifier = NormDense(7, True, True, in_units=4)
    classifier.initialize()
    parameters = mx.gluon.ParameterDict()
    parameters.update(classifier.collect_params())
    parameters.update(loss.collect_params())
    trainer = mx.gluon.Trainer(parameters, "sgd", {"wd": 0.1, "momentum": 0.9})
    with autograd.record():
        value = loss(classifier(nd.ones((8, 4))), *arrays[1:])
    value.backward()
    trainer.step(8)
    for key, value in start.items():
        np.testing.assert_array_equal(state(loss)[key], value)


@pytest.mark.parametrize("name", ["AdaCos", "AdaFace", "CurricularFace"])
def test_a_step_without_a_training_pass_is_rejected(name):
    loss = ready(name, classes=7)
    loss(*(nd.array(array) for array in given(loss, 8, 7)))
    with pytest.raises(GluonFRError, match="needs a training pass"):
        loss.step()
    run(loss, given(loss, 8, 7))
    loss.step()
    with pytest.raises(GluonFRError, match="needs a training pass"):
        loss.step()


@pytest.mark.parametrize("name", ["AdaCos", "AdaFace", "CurricularFace"])
def test_a_batch_with_nan_or_infinity_leaves_the_state_unchanged(name):
    loss = ready(name, classes=7)
    start = state(loss)
    cos, y, *x = given(loss, 8, 7)
    cos[3], x = np.nan, [embedding * np.inf for embedding in x]
    run(loss, (cos, y, *x))
    loss.step()
    for key, value in start.items():
        np.testing.assert_array_equal(state(loss)[key], value)


@pytest.mark.parametrize("name", MOVING)
def test_a_loop_without_step_causes_one_warning(name, caplog):
    loss = ready(name, classes=3)
    arrays = given(loss, 2, 3)
    with caplog.at_level(logging.WARNING):
        for _ in range(19):
            run(loss, arrays)
        loss.step()
        for _ in range(19):
            run(loss, arrays)
        assert not caplog.records
        for _ in range(60):
            run(loss, arrays)
    assert len(caplog.records) == 1
    assert name in caplog.text
    assert "loss.step()" in caplog.text


def test_losses_without_state_never_warn(caplog):
    losses = [ready("ArcLoss", classes=3), ready("AdaCos", classes=3, dynamic=False), ready("NormFace", classes=3)]
    for loss in losses:
        for _ in range(30):
            run(loss, given(loss, 2, 3))
        loss.step()
        loss.step()
    assert not caplog.records


def test_statistics_are_recorded_without_gradients():
    loss = ready("CurricularFace", classes=3)
    x = nd.array([[0.1, 0.2, 0.3]])
    x.attach_grad()
    with autograd.record():
        value = loss(x, nd.array([1]))
        value.backward()
    (seen,) = loss._statistics[-1]
    np.testing.assert_allclose(seen.asnumpy(), [0.2], rtol=1e-6)
    # It would keep the graph of the batch, and its memory, until the step.
    with pytest.raises(mx.base.MXNetError, match="not in a computational graph"):
        seen.backward()
