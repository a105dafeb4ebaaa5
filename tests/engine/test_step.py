import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn

from gluonfr.core import GluonFRError
from gluonfr.engine import PlainHead, TrainStep, WeightAverage, make_schedule, recipe_multipliers
from gluonfr.loss import ArcLoss, SoftmaxLoss
from gluonfr.model_zoo import get_model
from gluonfr.nn import PReLU
from gluonfr.utils.lr_scheduler import IterLRScheduler


def build(contexts, loss=None, **kwargs):
    """A network without BatchNorm, whose statistics are each device's own, and its step."""
    mx.random.seed(5)
    np.random.seed(5)
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3, in_channels=3, strides=2), PReLU(4), nn.Flatten(), nn.Dense(6, in_units=4 * 25))
    head = PlainHead(loss or ArcLoss(5, m=0.3, s=8), 5, 6)
    for block in (net, head):
        block.initialize(mx.init.Xavier(), ctx=contexts)
        block.hybridize(static_alloc=True, static_shape=True)
    return TrainStep(net, head, contexts, "nag", {"learning_rate": 0.2, "momentum": 0.9, "wd": 1e-3}, **kwargs)


def weights(step):
    return {
        name.split("_", 1)[-1] + str(i): p.list_data()[0].asnumpy()
        for i, (name, p) in enumerate((p.name, p) for p in step.parameters)
    }


def batches(sizes):
    rng = np.random.RandomState(0)
    for size in sizes:
        yield nd.array(rng.randint(0, 256, (size, 3, 12, 12)), dtype="uint8"), nd.array(rng.randint(0, 5, size))


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("devices", [2, 3])
def test_several_devices_train_like_one(devices, clip):
    # 9 and 7 do not divide evenly over either number of devices.
    one, several = (build([mx.cpu(i) for i in range(n)], clip_norm=clip) for n in (1, devices))
    before = weights(one)
    for images, labels in batches([9, 8, 7]):
        single = one(images, labels)[0].asnumpy()
        parts = [loss.asnumpy() for loss in several(images, labels)]
        assert {len(part) for part in parts} != {len(single)}
        np.testing.assert_allclose(np.concatenate(parts), single, rtol=1e-4, atol=1e-5)
    for a, b, start in zip(weights(one).values(), weights(several).values(), before.values()):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        assert np.abs(a - start).max() > 1e-4
    for parameter in several.parameters:
        copies = [array.asnumpy() for array in parameter.list_data()]
        assert all((copy == copies[0]).all() for copy in copies)


def test_gradient_is_clipped_to_its_norm_over_all_parameters():
    images, labels = next(batches([8]))
    steps = []
    for clip in (None, 1e-3, 1e3):
        step = build([mx.cpu()], clip_norm=clip)
        step.trainer._optimizer.wd, step.trainer._optimizer.momentum = 0, 0
        before = weights(step)
        step(images, labels)
        steps.append(np.concatenate([(after - b).ravel() for after, b in zip(weights(step).values(), before.values())]))
    free, clipped, loose = steps
    np.testing.assert_allclose(np.linalg.norm(clipped), 0.2 * 1e-3, rtol=1e-3)
    np.testing.assert_allclose(clipped / np.linalg.norm(clipped), free / np.linalg.norm(free), rtol=1e-2, atol=1e-4)
    np.testing.assert_allclose(loose, free, rtol=1e-5, atol=1e-8)


def test_uint8_and_unit_images_give_equal_outputs():
    images, labels = next(batches([6]))
    a, b = build([mx.cpu()]), build([mx.cpu()])
    np.testing.assert_allclose(
        a(images, labels)[0].asnumpy(), b(images.astype("float32") / 255, labels)[0].asnumpy(), rtol=1e-5
    )


def test_a_batch_smaller_than_the_devices_is_refused():
    step = build([mx.cpu(0), mx.cpu(1)])
    images, labels = next(batches([1]))
    with pytest.raises(GluonFRError, match="batch of 1 cannot be split over 2 devices"):
        step(images, labels)


def test_norms_of_the_classifier_follow_the_loss():
    for loss, norms in ((ArcLoss(5), (True, True)), (SoftmaxLoss(5), (False, False))):
        classifier = PlainHead(loss, 5, 6).classifier
        assert (classifier.weight_norm, classifier.feature_norm) == norms


def test_weight_decay_excludes_scales_shifts_biases_and_slopes():
    net = get_model("mobilefacenet", embedding_size=8, classes=4)
    net.initialize()
    recipe_multipliers(net.collect_params(), [net.output.weight], 10)
    kinds = {}
    for name, parameter in net.collect_params().items():
        kinds.setdefault(name.rsplit("_", 1)[1], set()).add(parameter.wd_mult)
    assert net.output.weight.wd_mult == 10
    assert kinds["weight"] == {1.0, 10}
    assert kinds["gamma"] == kinds["beta"] == kinds["bias"] == kinds["alpha"] == {0.0}


def test_schedules_equal_their_formulas():
    cosine = make_schedule("cosine", 0.4, 100, warmup_steps=10, final_lr=0.04)
    assert cosine(5) == pytest.approx(0.2)
    assert cosine(55) == pytest.approx(0.04 + 0.36 * (1 + np.cos(np.pi * 0.5)) / 2)
    assert cosine(100) == pytest.approx(0.04)
    steps = make_schedule("step", 0.1, 100, drops=[30, 60])
    assert [round(steps(n), 6) for n in (1, 30, 31, 61, 99)] == [0.1, 0.1, 0.01, 0.001, 0.001]
    assert make_schedule("poly", 0.1, 100)(25) == pytest.approx(0.075)
    constant = make_schedule("constant", 0.1, 100, warmup_steps=4)
    assert [constant(n) for n in (2, 4, 99)] == [0.05, 0.1, 0.1]
    for bad in (
        lambda: make_schedule("cos", 0.1, 10),
        lambda: make_schedule("step", 0.1, 10),
        lambda: make_schedule("poly", 1, 10, 10),
    ):
        with pytest.raises(GluonFRError):
            bad()


def test_the_schedule_of_gluon_face_equals_its_formulas():
    cosine = IterLRScheduler("cosine", 0.35, 200, warmup_iters=50)
    assert cosine(25) == pytest.approx(0.175)
    assert cosine(125) == pytest.approx(0.175)
    assert cosine(200) == pytest.approx(0)
    poly = IterLRScheduler("poly", 0.1, 100, power=0.9)
    assert poly(60) == pytest.approx(0.1 * 0.4**0.9)
    assert IterLRScheduler("step", 0.1, 100, step=(10, 20), step_factor=0.5)(21) == pytest.approx(0.025)
    with pytest.raises(GluonFRError, match="mode"):
        IterLRScheduler("linear", 0.1, 100)


def test_weight_average_is_the_moving_average_and_restores_the_weights():
    contexts = [mx.cpu(0), mx.cpu(1)]
    net = nn.Dense(3, in_units=2)
    net.initialize(mx.init.Normal(1), ctx=contexts)
    average = WeightAverage(net, 0.9)
    wanted = net.weight.data(contexts[0]).asnumpy()
    rng = np.random.RandomState(0)
    for t in range(1, 101):
        value = rng.randn(3, 2).astype("float32")
        net.weight.set_data(nd.array(value))
        average.update()
        decay = min(0.9, (1 + t) / (10 + t))
        wanted = decay * wanted + (1 - decay) * value
    with average.applied():
        for context in contexts:
            np.testing.assert_allclose(net.weight.data(context).asnumpy(), wanted, rtol=1e-4, atol=1e-6)
    for context in contexts:
        np.testing.assert_array_equal(net.weight.data(context).asnumpy(), value)
