"""Centers, radius, thresholds: how they move, on one device and on two, with the Trainer and without, saved and loaded."""

import logging

import mxnet as mx
import numpy as np
import pytest
from embedding_formulas import C, D, build, labels, to_nd
from mxnet import autograd, gluon, nd

from gluonfr.core import GluonFRError
from gluonfr.core.mxnet_internals import own_parameters
from gluonfr.loss import RingLoss, get_loss


def batch(rows, seed=0):
    rng = np.random.RandomState(seed)
    return rng.randn(rows, C), labels(rows), rng.randn(rows, D) * 2


def moved(centers, x, label, alpha):
    new = centers.astype("float64").copy()
    for c in range(len(centers)):
        members = [i for i in range(len(label)) if label[i] == c]
        new[c] -= alpha * sum(centers[c] - x[i] for i in members) / (1 + len(members)) if members else 0
    return new


def on(contexts, name, **changes):
    loss = get_loss(name, classes=C, **({"embedding_size": D} if name != "RingLoss" else {}), **changes)
    mx.random.seed(3)
    loss.initialize(ctx=contexts)
    return loss


def train(loss, contexts, arrays, explicit, trainer=None):
    """A step; returns the gradient of the sum of the losses with respect to the embeddings."""
    cuts = np.array_split(np.arange(len(arrays[0])), len(contexts))
    parts = [[array.as_in_context(ctx) for array in to_nd([a[cut] for a in arrays])] for cut, ctx in zip(cuts, contexts)]
    for part in parts:
        part[2].attach_grad()
    with autograd.record():
        losses = [loss(*part) for part in parts]
    autograd.backward(losses)
    if trainer:
        trainer.step(len(arrays[0]))
    loss.step(*(([part[2] for part in parts], [part[1] for part in parts]) if explicit else ()))
    return np.concatenate([part[2].grad.asnumpy() for part in parts])


@pytest.mark.parametrize("name", ["CenterLoss", "GitLoss"])
@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("devices", [1, 2])
def test_centers_move_by_the_papers_rule_over_all_devices(name, explicit, devices):
    contexts = [mx.cpu(i) for i in range(devices)]
    loss = on(contexts, name, alpha=0.7)
    for seed in range(3):
        arrays = batch(9, seed)
        before = loss.centers.data(contexts[0]).asnumpy()
        wanted = moved(before, arrays[2], arrays[1], 0.7)
        train(loss, contexts, arrays, explicit)
        assert np.abs(wanted - before).sum() > 0.1
        np.testing.assert_array_equal(before[2], wanted[2])  # nobody of class 2
        for ctx in contexts:
            np.testing.assert_allclose(loss.centers.data(ctx).asnumpy(), wanted, rtol=1e-5, atol=1e-6)


def test_feature_gradient_does_not_depend_on_class_counts():
    loss = on([mx.cpu()], "CenterLoss", lamda=1)
    x, c = np.ones((4, D)), loss.centers.data().asnumpy()
    for label in (np.array([0, 0, 0, 0]), np.array([0, 1, 2, 3])):
        loss = on([mx.cpu()], "CenterLoss", lamda=1)
        gradient = train(loss, [mx.cpu()], (np.zeros((4, C)), label, x), True)
        np.testing.assert_allclose(gradient, x - c[label], rtol=1e-5, atol=1e-6)


def test_trainer_and_weight_decay_do_not_move_centers():
    loss = on([mx.cpu()], "CenterLoss", alpha=0)
    before = loss.centers.data().asnumpy()
    trainer = gluon.Trainer(loss.collect_params(), "sgd", {"learning_rate": 1, "wd": 0.5})
    loss.hybridize(static_alloc=True, static_shape=True)
    for seed in range(3):
        train(loss, [mx.cpu()], batch(6, seed), True, trainer)
    np.testing.assert_array_equal(loss.centers.data().asnumpy(), before)


def test_hybridized_loss_sees_the_centers_move():
    loss = on([mx.cpu()], "CenterLoss", lamda=1)
    loss.hybridize(static_alloc=True, static_shape=True)
    arrays = batch(6)
    first = loss(*to_nd(arrays)).asnumpy()
    for _ in range(60):
        train(loss, [mx.cpu()], arrays, True)
    # In the end every center is the mean of its samples.
    centers = np.array([arrays[2][arrays[1] == c].mean(axis=0) if c in arrays[1] else np.zeros(D) for c in range(C)])
    np.testing.assert_allclose(loss.centers.data().asnumpy()[arrays[1]], centers[arrays[1]], atol=1e-4)
    assert (loss(*to_nd(arrays)).asnumpy() < first).all()


def test_a_batch_with_nan_leaves_the_centers_finite():
    loss = on([mx.cpu()], "CenterLoss")
    output, label, x = batch(6)
    x[0] = np.nan
    train(loss, [mx.cpu()], (output, label, x), True)
    assert np.isfinite(loss.centers.data().asnumpy()).all()


@pytest.mark.parametrize("explicit", [True, False])
@pytest.mark.parametrize("devices", [1, 2])
def test_ring_starts_at_the_mean_norm_of_the_first_batch_of_all_devices(explicit, devices):
    contexts = [mx.cpu(i) for i in range(devices)]
    loss = on(contexts, "RingLoss", lamda=0.5)
    loss.hybridize(static_alloc=True, static_shape=True)
    trainer = gluon.Trainer(
        loss.collect_params(),
        "sgd",
        {"learning_rate": 0.1, "wd": 0.5, "momentum": 0.9},
        kvstore="device",
        update_on_kvstore=False,
    )
    norms = np.linalg.norm(batch(9)[2], axis=1)
    # Unset, the radius draws nothing: neither the embeddings to 0 nor itself.
    assert not train(loss, contexts, batch(9), explicit, trainer).any()
    for ctx in contexts:
        np.testing.assert_allclose(loss.R.data(ctx).asnumpy(), norms.mean(), rtol=1e-5)
    # From then on the Trainer alone moves it, by the gradient, without weight decay.
    x = batch(9, 1)[2]
    norms, radius = np.linalg.norm(x, axis=1), norms.mean()
    gradient = train(loss, contexts, batch(9, 1), explicit, trainer)
    np.testing.assert_allclose(gradient, 0.5 * ((norms - radius) / norms)[:, None] * x, rtol=1e-4, atol=1e-5)
    for ctx in contexts:
        np.testing.assert_allclose(loss.R.data(ctx).asnumpy(), radius - 0.1 * 0.5 * (radius - norms).mean(), rtol=1e-4)


@pytest.mark.parametrize("r_init", [3, mx.init.Constant(3)])
def test_a_given_radius_is_used_from_the_first_batch(r_init):
    loss = RingLoss(2, r_init)
    loss.initialize()
    output, label, x = nd.zeros((1, 4)), nd.array([1]), nd.array([[3, 4]])
    np.testing.assert_allclose(loss(output, label, x).asnumpy(), [np.log(4) + 4], rtol=1e-6)
    with autograd.record():
        loss(output, label, x)
    loss.step()
    np.testing.assert_array_equal(loss.R.data().asnumpy(), [3])


@pytest.mark.parametrize("name", ["MultiBatchLoss", "LGMLoss", "RingLoss", "CenterLoss", "GitLoss"])
def test_parameters_without_decay_have_multiplier_zero(name):
    parameters = own_parameters(build(name))
    assert parameters
    assert all(parameter.wd_mult == 0 for parameter in parameters.values())
    if name == "LGMLoss":
        assert (parameters["mean"].lr_mult, parameters["log_var"].lr_mult) == (1, 0.1)
    if name in ("CenterLoss", "GitLoss"):
        assert parameters["centers"].grad_req == "null"


def test_theta_and_variance_are_trained():
    x, label = nd.array(np.random.RandomState(0).randn(6, D) * 3), nd.array(labels(6))
    for name, key in (("MultiBatchLoss", "theta"), ("LGMLoss", "log_var")):
        loss = build(name)
        parameter = own_parameters(loss)[key]
        before, values = parameter.data().asnumpy(), []
        trainer = gluon.Trainer(loss.collect_params(), "sgd", {"learning_rate": 0.1})
        for _ in range(30):
            with autograd.record():
                value = loss(x, label)
            value.backward()
            trainer.step(6)
            values.append(value.mean().asscalar())
        assert np.abs(parameter.data().asnumpy() - before).max() > 0.01
        assert values[-1] < values[0]


@pytest.mark.parametrize("name", ["CenterLoss", "GitLoss", "RingLoss", "LGMLoss", "COCOLoss", "MultiBatchLoss"])
def test_saved_and_loaded_state_is_the_same(name, tmp_path):
    loss, path = build(name), str(tmp_path / "loss.params")
    loss.save_parameters(path)
    fresh = build(name, seed=7)
    fresh.load_parameters(path)
    for key, own_parameter in own_parameters(loss).items():
        np.testing.assert_array_equal(own_parameters(fresh)[key].data().asnumpy(), own_parameter.data().asnumpy())


def test_a_loop_without_step_causes_one_warning(caplog):
    loss = on([mx.cpu()], "CenterLoss")
    with caplog.at_level(logging.WARNING):
        for _ in range(50):
            with autograd.record():
                loss(*to_nd(batch(4)))
    assert len([record for record in caplog.records if "CenterLoss" in record.message]) == 1


def test_step_without_a_batch_or_with_half_of_one_is_rejected():
    for name in ("CenterLoss", "RingLoss"):
        with pytest.raises(GluonFRError, match="training pass"):
            on([mx.cpu()], name).step()
    with pytest.raises(GluonFRError, match="embeddings and labels"):
        on([mx.cpu()], "CenterLoss").step([nd.zeros((2, D))])


def test_two_devices_give_the_gradients_of_one_for_the_center_loss():
    arrays, gradients = [batch(9, seed) for seed in range(3)], []
    for contexts in ([mx.cpu(0)], [mx.cpu(0), mx.cpu(1)]):
        loss = on(contexts, "CenterLoss", lamda=1)
        gradients.append([train(loss, contexts, array, True) for array in arrays])
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)


def test_centers_of_a_hundred_thousand_classes_are_updated_exactly():
    loss = get_loss("center", classes=100_000, embedding_size=2, lamda=2, alpha=1)
    loss.initialize(mx.init.Zero())
    loss.centers.set_data(nd.zeros((100_000, 2)))
    label, x = nd.array([99_999, 65_505, 99_999]), nd.array([[3, 0], [0, 2], [0, 6]])
    for _ in range(2):
        with autograd.record():
            value = loss(nd.zeros((3, 100_000)), label, x)
        loss.step()
    # The centers after one step: (3, 6) / 3 and (0, 2) / 2.
    np.testing.assert_allclose(value.asnumpy() - np.log(1e5), [8, 1, 17], rtol=1e-4)
    assert np.count_nonzero(loss.centers.data().asnumpy()) == 3
