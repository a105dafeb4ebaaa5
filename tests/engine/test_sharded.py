"""A classifier in parts is the whole one: values, gradients, updates and samples."""

import json
import os
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from gluonfr.core import GluonFRError
from gluonfr.engine import PlainHead, ShardedHead, TrainStep
from gluonfr.engine.heads.class_shard import normal_rows, sample_classes
from gluonfr.engine.heads.selection import LOGIT_ARRAYS, NATIVE_LOGIT_ARRAYS, classifier_bytes
from gluonfr.loss import ClassifierLoss, get_loss
from gluonfr.loss.registry import LOSSES
from gluonfr.ops import available

CLASSES, SIZE, BATCH = 11, 8, 13
# MagFace's range of norms is that of the embeddings below; s where the default would hide all but the largest logit.
ARGUMENTS = {"MagFace": {"l_a": 1.0, "u_a": 20.0}, "CircleLoss": {"s": 32.0}}
NAMES = sorted(name for name in LOSSES.names() if issubclass(LOSSES.get(name), ClassifierLoss))


def make_loss(name, **kwargs):
    return get_loss(name, classes=CLASSES, embedding_size=SIZE, **{**ARGUMENTS.get(name, {}), **kwargs})


def batch(seed=0):
    rs = np.random.RandomState(seed)
    labels = rs.randint(0, CLASSES, BATCH)
    labels[:3] = 5
    return (3 * rs.randn(BATCH, SIZE)).astype("float32"), labels


def devices(count):
    return [mx.cpu(i) for i in range(count)]


def sharded(loss, contexts, **kwargs):
    head = ShardedHead(loss, CLASSES, SIZE, contexts, **kwargs)
    head.initialize()
    head.hybridize(static_alloc=True, static_shape=True)
    return head


def all_rows(head, what):
    return np.concatenate([what(shard.weight) for shard in head.shards])


def weights(head):
    return all_rows(head, lambda weight: weight.list_data()[0].asnumpy())


def one_pass(head, contexts, embeddings, labels, step_number=0):
    """Losses, gradients of the embeddings, both of the whole batch."""
    parts = [nd.array(part, ctx=ctx) for part, ctx in zip(np.array_split(embeddings, len(contexts)), contexts)]
    targets = [nd.array(part, ctx=ctx) for part, ctx in zip(np.array_split(labels, len(contexts)), contexts)]
    for part in parts:
        part.attach_grad()
    head.begin(labels, step_number)
    with autograd.record():
        losses = head([part * 1 for part in parts], targets)
    head.backward(losses)
    return np.concatenate([x.asnumpy() for x in losses]), np.concatenate([x.grad.asnumpy() for x in parts])


def reference(name, weight, embeddings, labels, passes):
    """The whole classifier in float64, after as many passes and steps; the loss's state moves as it does."""
    loss = make_loss(name, dtype="float64")
    loss.initialize()
    W = nd.array(weight, dtype="float64")
    W.attach_grad()
    for _ in range(passes):
        x = nd.array(embeddings, dtype="float64")
        x.attach_grad()
        with autograd.record():
            e = nd.L2Normalization(x) if loss.spec.feature_norm else x
            w = nd.L2Normalization(W) if loss.spec.weight_norm else W
            value = loss(nd.dot(e, w, transpose_b=True), nd.array(labels), *([x] if loss.spec.needs_embedding else []))
        value.backward()
        if loss.advances:
            loss.step()
    return value.asnumpy(), x.grad.asnumpy(), W.grad.asnumpy()


def test_every_loss_on_a_classifier_is_in_the_tests():
    assert len(NAMES) == 15, NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_shards_equal_the_whole_classifier_in_double_precision(name, count):
    contexts, (embeddings, labels) = devices(count), batch()
    head = sharded(make_loss(name), contexts)
    # 11 classes over 3 devices: 3, 4 and 4.
    assert [shard.classes for shard in head.shards] == {1: [11], 2: [5, 6], 3: [3, 4, 4]}[count]
    # Cosines of all sizes, where the weights of a fresh classifier would give them all near 0.
    for shard in head.shards:
        rows = shard.weight.shape[0]
        first = shard.first * head.loss.spec.num_centers
        shard.weight.set_data(
            nd.array(normal_rows(1, 0, CLASSES * head.loss.spec.num_centers, SIZE, 1.0)[first : first + rows])
        )
    wanted = {passes: reference(name, weights(head), embeddings, labels, passes) for passes in (1, 2)}
    for passes in (1, 2):
        values, gradients = one_pass(head, contexts, embeddings, labels)
        loss, of_embeddings, of_weights = wanted[passes]
        assert abs(values.mean() - loss.mean()) < 1e-6 * max(1, abs(loss.mean()))
        np.testing.assert_allclose(values, loss, rtol=2e-6, atol=5e-6)
        for got, right in (
            (gradients, of_embeddings),
            (all_rows(head, lambda weight: weight.list_grad()[0].asnumpy()), of_weights),
        ):
            assert np.abs(got - right).max() < 1e-5 * np.abs(right).max()
        if head.loss.advances:
            head.step()


@pytest.mark.parametrize("name", ["NormFace", "LSoftmax"])
def test_parameters_of_a_loss_get_the_whole_classifiers_gradient(name):
    contexts, (embeddings, labels) = devices(3), batch()
    head, plain = sharded(make_loss(name), contexts), PlainHead(make_loss(name), CLASSES, SIZE)
    plain.initialize()
    plain.classifier.weight.set_data(nd.array(weights(head)))
    one_pass(head, contexts, embeddings, labels)
    with autograd.record():
        losses = plain([nd.array(embeddings)], [nd.array(labels)])
    plain.backward(losses)
    if name == "NormFace":
        got = sum(gradient.asnumpy() for gradient in head.loss.scale.list_grad())
        wanted = plain.loss.scale.grad().asnumpy()
    else:
        got = np.concatenate([shard.own_parameters[1].list_grad()[0].asnumpy()[:, 0] for shard in head.shards])
        wanted = plain.loss.norms.grad().asnumpy()
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["ArcLoss", "CurricularFace", "SubCenterArc", "LSoftmax", "AdaCos"])
def test_the_softmax_is_over_all_sampled_classes(name):
    contexts, (embeddings, labels) = devices(2), batch()
    whole = sharded(make_loss(name), contexts)
    full = one_pass(whole, contexts, embeddings, labels)
    again = sharded(make_loss(name), contexts, sample=CLASSES)
    for a, b in zip(full, one_pass(again, contexts, embeddings, labels)):
        assert (a == b).all()
    few = labels % 3
    some = sharded(make_loss(name), contexts, sample=8)
    got = one_pass(some, contexts, embeddings, few)
    # Written out: a classifier that has these classes alone.
    used = np.concatenate(some.sampled)
    assert len(used) == 8
    assert {0, 1, 2} <= set(used.tolist())
    loss = get_loss(name, classes=8, embedding_size=SIZE)
    plain = PlainHead(loss, 8, SIZE)
    plain.initialize()
    num_centers = some.loss.spec.num_centers
    rows = (used[:, None] * num_centers + np.arange(num_centers)).ravel()
    plain.classifier.weight.set_data(nd.array(weights(some)[rows]))
    x = nd.array(embeddings)
    x.attach_grad()
    with autograd.record():
        if name == "AdaCos":
            loss.scale.set_data(some.loss.scale.data(mx.cpu(0)))
        losses = plain([x], [nd.array(np.searchsorted(used, few))])
    plain.backward(losses)
    np.testing.assert_allclose(got[0], losses[0].asnumpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(got[1], x.grad.asnumpy(), rtol=1e-3, atol=1e-5)


class Identity(gluon.nn.HybridBlock):
    """A network whose images are its embeddings, behind one trained matrix."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.dense = gluon.nn.Dense(SIZE, in_units=SIZE, use_bias=False)

    def hybrid_forward(self, F, x):
        return self.dense(x)


def training(contexts, head, optimizer="sgd", accumulate=1, clip_norm=None, momentum=0.9, **settings):
    net = Identity(prefix="net_")
    net.initialize(ctx=contexts)
    net.dense.weight.set_data(nd.array(np.eye(SIZE) + 0.1 * np.random.RandomState(3).randn(SIZE, SIZE)))
    net.hybridize(static_alloc=True, static_shape=True)
    settings = {"learning_rate": 0.1, "wd": 1e-3, **({"momentum": momentum} if optimizer == "sgd" else {}), **settings}
    return TrainStep(net, head, contexts, optimizer, settings, clip_norm, accumulate=accumulate)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_unsampled_classes_and_their_momentum_stay_bit_identical(optimizer):
    contexts, (embeddings, labels) = devices(2), batch()
    head = sharded(make_loss("CosLoss"), contexts, sample=8)
    step = training(contexts, head, optimizer)

    def everything():
        states = [step.own_trainers[k]._updaters[0].states[0] for k in range(2)]
        flat = [[state] if isinstance(state, nd.NDArray) else list(state) for state in states]
        return [weights(head)] + [np.concatenate([a.asnumpy() for a in arrays]) for arrays in zip(*flat)]

    step(nd.array(embeddings), nd.array(labels % 3))
    step(nd.array(embeddings), nd.array(labels % 3))
    for _ in range(3):
        before = everything()
        step(nd.array(embeddings), nd.array(labels % 3))
        used = np.concatenate(head.sampled)
        others = np.setdiff1d(np.arange(CLASSES), used)
        assert len(before) == {"sgd": 2, "adam": 3}[optimizer]
        assert len(others) == 3
        for old, new in zip(before, everything()):
            assert (old[others] == new[others]).all()
            assert (old[used] != new[used]).any(axis=1).all()


@pytest.mark.parametrize("clip_norm", [None, 0.05])
@pytest.mark.parametrize(("count", "accumulate"), [(1, 1), (3, 1), (2, 3)])
def test_training_shards_equals_training_the_whole(count, accumulate, clip_norm):
    contexts = devices(count)
    head = sharded(make_loss("CurricularFace"), contexts)
    plain = PlainHead(make_loss("CurricularFace"), CLASSES, SIZE)
    plain.initialize()
    plain.classifier.weight.set_data(nd.array(weights(head)))
    parts = training(contexts, head, accumulate=accumulate, clip_norm=clip_norm)
    whole = training(devices(1), plain, clip_norm=clip_norm)
    for seed in range(4):
        embeddings, labels = batch(seed)
        a = np.concatenate([x.asnumpy() for x in parts(nd.array(embeddings), nd.array(labels))])
        b = whole(nd.array(embeddings), nd.array(labels))[0].asnumpy()
        np.testing.assert_allclose(np.sort(a), np.sort(b), rtol=1e-4, atol=1e-4)
    classes = [weights(head), plain.classifier.weight.data().asnumpy()]
    np.testing.assert_allclose(*classes, atol=1e-5 * np.abs(classes[1]).max())
    matrices = [step.net.dense.weight.list_data()[0].asnumpy() for step in (parts, whole)]
    np.testing.assert_allclose(*matrices, rtol=1e-4, atol=1e-6)
    assert np.abs(matrices[0] - np.eye(SIZE)).max() > 1e-3


@pytest.mark.parametrize("sample", [1.0, 8])
def test_gradients_accumulated_over_parts_are_those_of_the_batch(sample):
    results = []
    for accumulate in (1, 4):
        head = sharded(make_loss("ArcLoss"), devices(2), sample=sample)
        step = training(devices(2), head, accumulate=accumulate)
        for seed in range(3):
            embeddings, labels = batch(seed)
            step(nd.array(embeddings), nd.array(labels % 3))
        results.append((weights(head), step.net.dense.weight.list_data()[1].asnumpy()))
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["SoftmaxLoss", "ArcLoss", "CurricularFace", "LSoftmax", "SubCenterArc"])
@pytest.mark.parametrize("count", [1, 2])
def test_a_corrected_sample_weights_classes_by_the_number_they_represent(name, count):
    contexts, (embeddings, labels) = devices(count), batch()
    labels = labels % 2 + np.where(labels > 6, CLASSES - 2, 0)
    head = sharded(make_loss(name), contexts, sample=8, correct=True)
    for shard in head.shards:
        shard.weight.set_data(nd.array(normal_rows(1, shard.first, shard.weight.shape[0], SIZE, 1.0)))
    values, gradients = one_pass(head, contexts, embeddings, labels, step_number=3)
    num_centers, matrix, rows, places = head.loss.spec.num_centers, weights(head), [], {}
    for shard, used in zip(head.shards, head.sampled):
        positives = np.intersect1d(labels, np.arange(shard.first, shard.first + shard.classes))
        stands_for = (shard.classes - len(positives)) / max(1, len(used) - len(positives))
        for identity in used:
            if identity in positives:
                places[identity] = len(rows)
            rows.append((identity, 1 if identity in positives else stands_for))
    loss = get_loss(name, classes=len(rows), embedding_size=SIZE, dtype="float64", **ARGUMENTS.get(name, {}))
    loss.initialize()
    x = nd.array(embeddings, dtype="float64")
    x.attach_grad()
    W = nd.array(np.concatenate([matrix[c * num_centers : (c + 1) * num_centers] for c, _ in rows]), dtype="float64")
    offset = nd.array(np.log([weight for _, weight in rows]), dtype="float64").reshape((1, -1))
    target = nd.array([places[label] for label in labels], dtype="float64")
    with autograd.record():
        e = nd.L2Normalization(x) if loss.spec.feature_norm else x
        w = nd.L2Normalization(W) if loss.spec.weight_norm else W
        output = loss.reduce_centers(nd, nd.dot(e, w, transpose_b=True), len(rows))
        state = {key: parameter.data() for key, parameter in loss._reg_params.items()}
        if loss.spec.needs_embedding:
            state["norm"] = nd.norm(x, axis=1)
        logits, changed = loss.logits(nd, output, target, nd.pick(output, target, axis=1), **state)
        if changed is not None:
            hot = nd.one_hot(target, len(rows), dtype="float64")
            logits = logits * (1 - hot) + hot * changed.reshape((-1, 1))
        value = -nd.pick(nd.log_softmax(logits + offset, axis=1), target, axis=1)
    value.backward()
    np.testing.assert_allclose(values, value.asnumpy(), rtol=2e-6, atol=5e-6)
    right = x.grad.asnumpy()
    assert np.abs(gradients - right).max() < 1e-5 * np.abs(right).max()


@pytest.mark.parametrize("correct", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_adacos_takes_its_scale_from_the_sums_over_a_sample(count, correct):
    contexts, (embeddings, labels) = devices(count), batch()
    head = sharded(make_loss("AdaCos"), contexts, sample=6, correct=correct)
    for shard in head.shards:
        shard.weight.set_data(nd.array(normal_rows(1, shard.first, shard.classes, SIZE, 1.0)))
    labels = labels % 2 + np.where(labels > 6, CLASSES - 2, 0)
    one_pass(head, contexts, embeddings, labels, step_number=3)
    head.step()
    x, w = (np.float64(rows) / np.linalg.norm(np.float64(rows), axis=1, keepdims=True) for rows in (embeddings, weights(head)))
    cosines, s, sums = x @ w.T, np.sqrt(2) * np.log(CLASSES - 1), np.zeros(BATCH)
    for shard, used in zip(head.shards, head.sampled):
        positives = np.intersect1d(labels, np.arange(shard.first, shard.first + shard.classes))
        stands_for = (shard.classes - len(positives)) / (len(used) - len(positives)) if correct else 1
        assert len(used) > len(positives)
        for identity in used:
            sums += np.where(
                labels == identity, 0, (1 if identity in positives else stands_for) * np.exp(s * cosines[:, identity])
            )
    angle = np.median(np.arccos(cosines[np.arange(BATCH), labels]))
    wanted = max(1, np.log(sums.mean()) / np.cos(min(np.pi / 4, angle)))
    assert wanted > 1.05
    assert head.loss.scale.data(mx.cpu(0)).asscalar() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.system
@pytest.mark.parametrize("correct", [False, True])
def test_the_corrected_sum_over_a_sample_is_unbiased(correct):
    embeddings, labels = batch()
    embeddings, labels = embeddings / 8, labels % 2
    head = sharded(make_loss("SoftmaxLoss"), devices(2), sample=6, correct=correct)
    for shard in head.shards:
        shard.weight.set_data(nd.array(normal_rows(1, shard.first, shard.classes, SIZE, 1.0)))
    outputs = embeddings @ weights(head).T
    draws = np.array([one_pass(head, devices(2), embeddings, labels, step)[0] for step in range(400)])
    sums = np.exp(draws + outputs[np.arange(BATCH), labels])
    error = sums.std(axis=0) / np.sqrt(len(sums))
    off = np.abs(sums.mean(axis=0) - np.exp(outputs).sum(axis=1)) / error
    assert off.max() < 5 if correct else off.min() > 20


def test_weights_follow_from_the_seed_however_classes_are_divided():
    heads = [sharded(make_loss("ArcLoss"), devices(count), seed=5) for count in (1, 3)]
    assert (weights(heads[0]) == weights(heads[1])).all()
    assert (weights(heads[0]) != weights(sharded(make_loss("ArcLoss"), devices(1), seed=6))).any()
    # Also across the blocks in which they are drawn.
    far = normal_rows(5, 2 * 16384 - 3, 6, 4)
    assert (far[:3] == normal_rows(5, 2 * 16384 - 3, 3, 4)).all()
    assert (far[3:] == normal_rows(5, 2 * 16384, 3, 4)).all()
    assert abs(normal_rows(0, 0, 20000, 8).std() / 0.01 - 1) < 0.01


@pytest.mark.parametrize(("classes", "count"), [(1000, 10), (1000, 500), (1000, 900), (1000, 1000), (7, 1)])
def test_a_sample_has_the_positives_and_is_otherwise_uniform(classes, count):
    positives = np.array([3, 5])[: max(1, min(2, count))]
    came = np.zeros(classes)
    for step in range(400):
        ids = sample_classes(classes, count, positives, seed=1, step=step, shard=0)
        assert len(ids) == count
        assert (np.diff(ids) > 0).all()
        assert np.isin(positives, ids).all()
        assert ids[-1] < classes
        came[ids] += 1
    assert (sample_classes(classes, count, positives, 1, 0, 0) == sample_classes(classes, count, positives, 1, 0, 0)).all()
    others = np.delete(came, positives)
    rate = (count - len(positives)) / (classes - len(positives))
    # Binomial(400, rate) for each class: six standard deviations, and the mean is exact.
    assert np.abs(others - 400 * rate).max() <= 6 * np.sqrt(400 * rate * (1 - rate)) + 1e-9
    assert abs(others.mean() - 400 * rate) < 1e-9


@pytest.mark.system
@pytest.mark.parametrize(("case", "used"), [("sharded", 200_000), ("sampled", 60_000), ("plain", 200_000)])
def test_the_predicted_memory_is_near_that_of_a_step(case, used):
    program = os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "benchmarks", "classifier.py")
    arguments = ["--one", case, "--classes", "200000", "--sizes", "128", "--sample", str(used), "--steps", "1"]
    done = subprocess.run([sys.executable, program, *arguments], stdout=subprocess.PIPE, check=True)
    measured = json.loads(done.stdout.splitlines()[-1])["mb"] * 2**20
    arrays = NATIVE_LOGIT_ARRAYS if available() else LOGIT_ARRAYS
    predicted = sum(classifier_bytes(200_000, used, 128, 128, logit_arrays=arrays))
    # Some tens of MB do not depend on the classes, and sparse gradients sometimes take more.
    assert 0.8 * measured - 100e6 < predicted < 1.2 * measured, measured


def test_small_samples_unsupported_losses_and_too_many_devices_are_refused():
    with pytest.raises(GluonFRError, match="4 identities of the batch do not fit into a sample of 3 classes"):
        sample_classes(10, 3, np.arange(4), 0, 0, 0)
    with pytest.raises(GluonFRError, match="CenterLoss is not a softmax over classes"):
        ShardedHead(make_loss("CenterLoss"), CLASSES, SIZE, devices(1))
    with pytest.raises(GluonFRError, match="11 classes cannot be divided over 12 devices"):
        ShardedHead(make_loss("ArcLoss"), CLASSES, SIZE, devices(12))
    for sample in (0, -0.1, 1.5, 12, "0.1"):
        with pytest.raises(GluonFRError, match="sample"):
            ShardedHead(make_loss("ArcLoss"), CLASSES, SIZE, devices(1), sample=sample)
    with pytest.raises(GluonFRError, match="optimizer='nag' does not work with a sampled classifier; use sgd or adam"):
        training(devices(1), sharded(make_loss("ArcLoss"), devices(1), sample=8), "nag")


@pytest.mark.parametrize("end", ["update", "step", "discard"])
def test_a_sample_is_valid_for_the_passes_of_one_step(end):
    contexts, (embeddings, labels) = devices(2), batch()
    labels = labels % 3
    head = sharded(make_loss("ArcLoss"), contexts, sample=8)
    trainers = [gluon.Trainer(parameters, "sgd", {"learning_rate": 0.1}, kvstore=None) for parameters in head.own_parameters]
    first, _ = one_pass(head, contexts, embeddings, labels)

    def again():
        parts = [nd.array(part, ctx=ctx) for part, ctx in zip(np.array_split(embeddings, 2), contexts)]
        targets = [nd.array(part, ctx=ctx) for part, ctx in zip(np.array_split(labels, 2), contexts)]
        return np.concatenate([loss.asnumpy() for loss in head(parts, targets)])

    assert (again() == first).all()
    for trainer in trainers:
        if end == "update":
            trainer.update(len(labels))
    if end != "update":
        getattr(head, end)()
    with pytest.raises(GluonFRError, match=r"no classes are drawn for this step; call head.begin"):
        again()
    head.begin(labels, 0)
    assert (again() == first).all() == (end != "update")


def test_a_sample_that_was_not_drawn_for_the_batch_is_refused():
    head = sharded(make_loss("ArcLoss"), devices(2), sample=8)
    embeddings, labels = batch()
    with pytest.raises(GluonFRError, match="no classes are drawn for this step"):
        head([nd.array(embeddings)], [nd.array(labels)])
    head.begin(np.zeros(1, np.int64), 0)
    with pytest.raises(GluonFRError, match="a label of the batch is not in the sample"):
        head([nd.array(embeddings)], [nd.array(labels)])


@pytest.mark.parametrize(("sample", "count"), [(8, 3), (3, 3), (11, 3), (7, 2)])
def test_a_sample_size_counts_the_classes_of_all_devices(sample, count):
    assert sum(sharded(make_loss("ArcLoss"), devices(count), sample=sample).counts) == sample


def test_a_label_out_of_range_and_nan_are_reported():
    head = sharded(make_loss("ArcLoss"), devices(2))
    embeddings, labels = batch()
    with pytest.raises(GluonFRError, match="label"):
        one_pass(head, devices(2), embeddings, np.full(BATCH, CLASSES))
    embeddings[2, 1] = np.nan
    values, _ = one_pass(head, devices(2), embeddings, labels)
    assert np.isnan(values[2])
    assert np.isfinite(np.delete(values, 2)).all()
