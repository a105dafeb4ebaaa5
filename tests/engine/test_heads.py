"""Every loss trains through the engine: on any number of devices as on one, and resumed as unbroken."""

import json
import logging
import os

import mxnet as mx
import numpy as np
import pytest
from blobs import picture
from mxnet import nd
from mxnet.gluon import nn

from gluonfr.core import GluonFRError
from gluonfr.core.mxnet_internals import parameters_by_path
from gluonfr.data import IdentityBatchSampler
from gluonfr.engine import GatheringHead, PlainHead, Run, TrainOptions, TrainStep, make_head, train
from gluonfr.engine.batches import people_and_images
from gluonfr.engine.checkpoints.format import read_arrays
from gluonfr.engine.heads.tuples import form_pairs, form_triplets
from gluonfr.loss import get_loss, get_loss_list
from gluonfr.viz import read_log

PEOPLE, SIZE = 5, 12


def images_of(count, seed=0):
    return nd.array(np.random.RandomState(seed).randint(0, 256, (count, 3, SIZE, SIZE)), dtype="uint8")


def build(loss, contexts):
    """A network without BatchNorm, whose statistics are each device's own, and its step with the head of the loss."""
    mx.random.seed(5)
    np.random.seed(5)
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3, in_channels=3, strides=2), nn.Flatten(), nn.Dense(6, in_units=4 * 25))
    head = make_head(get_loss(loss, classes=PEOPLE, embedding_size=6), PEOPLE, 6)
    for block in (net, head):
        block.initialize(mx.init.Xavier(), ctx=contexts)
        block.hybridize(static_alloc=True, static_shape=True)
    return TrainStep(net, head, contexts, "sgd", {"learning_rate": 0.01, "momentum": 0.9, "wd": 1e-3}, clip_norm=1)


def state(step):
    parts = (step.net, step.head)
    return {(i, name): p for i, part in enumerate(parts) for name, p in parameters_by_path(part).items()}


@pytest.mark.parametrize("name", get_loss_list())
def test_two_devices_train_like_one_with_any_loss(name):
    one, two = build(name, [mx.cpu(0)]), build(name, [mx.cpu(0), mx.cpu(1)])
    for number, labels in enumerate(([0, 0, 3, 3, 1, 1, 4, 4, 2, 2], [2, 2, 2, 0, 0, 0, 4, 4, 4], [1, 1, 1, 1, 3, 3, 3, 3])):
        images, labels = images_of(len(labels), number), nd.array(labels)
        single = one(images, labels)[0].asnumpy()
        parts = [loss.asnumpy() for loss in two(images, labels)]
        assert len(parts) == 2
        assert abs(len(parts[0]) - len(parts[1])) <= 1
        assert single.shape == labels.shape
        assert np.isfinite(single).all()
        np.testing.assert_allclose(np.concatenate(parts), single, rtol=1e-4, atol=1e-5)
    a, b = state(one), state(two)
    assert a.keys() == b.keys()
    for key in a:
        for copy in b[key].list_data():
            np.testing.assert_allclose(copy.asnumpy(), a[key].list_data()[0].asnumpy(), rtol=1e-4, atol=1e-5, err_msg=key[1])


def by_hand_triplets(labels, i):
    """The triplets of anchor i, told from the docstring."""
    count = len(labels)
    after = [(i + k) % count for k in range(1, count)]
    positives = [j for j in after if labels[j] == labels[i]]
    negatives = [j for j in after if labels[j] != labels[i]]
    return positives, negatives


@pytest.mark.parametrize("labels", [[3, 3, 1, 1, 2, 2], [0] * 4 + [7] * 4 + [2] * 4, [5, 1, 5, 1, 5, 1, 2, 2, 2], [4, 9, 4, 4]])
def test_triplets_hold_every_positive_and_spread_negatives(labels):
    positives, negatives, weights = form_triplets(np.array(labels))
    for i in range(len(labels)):
        own, others = by_hand_triplets(labels, i)
        assert set(positives[i]) == set(own) or not own
        if own:
            assert set(negatives[i]) <= set(others)
            assert len(set(negatives[i])) == min(positives.shape[1], len(others))
        assert weights[i].sum() == pytest.approx(1 if own else 0)
    # One person's images do not all meet the same negatives.
    if labels[:2] == [0, 0]:
        assert len({tuple(negatives[i]) for i in range(4)}) == 4
        assert {labels[j] for j in negatives[:4].ravel()} == {7, 2}


def test_a_batch_without_positives_or_without_negatives_has_zero_weight():
    assert (form_triplets([1, 2, 3])[2] == 0).all()
    assert (form_triplets([1, 1, 1])[2] == 0).all()
    assert (form_triplets([1])[2] == 0).all()
    assert (form_pairs([1])[2] == 0).all()
    others, issame, weights = form_pairs([1, 1, 1])
    assert weights.sum() == 3
    assert (weights[issame == 0] == 0).all()
    others, issame, weights = form_pairs([1, 2, 3])
    assert weights.sum() == 3
    assert (weights[issame == 1] == 0).all()


def test_formed_pairs_match_their_labels():
    labels = np.array([2, 2, 2, 5, 5, 5, 1, 1, 1])
    others, issame, weights = form_pairs(labels)
    assert others.shape == (9, 4)
    assert (weights == 0.25).all()
    for i in range(9):
        assert ((labels[others[i]] == labels[i]) == issame[i]).all()
        assert i not in others[i]
        assert len(set(others[i])) == 4


# What each loss needs, told by its paper: a classifier of its own rows, its images seen together.
NEEDS = {
    "ArcLoss": (PEOPLE, False),
    "SubCenterArc": (3 * PEOPLE, False),
    "CenterLoss": (PEOPLE, False),
    "RingLoss": (PEOPLE, False),
    "GitLoss": (PEOPLE, True),
    "COCOLoss": (0, False),
    "LGMLoss": (0, False),
    "RangeLoss": (0, True),
    "MPSLoss": (0, True),
    "MultiBatchLoss": (0, True),
    "PairwiseCircle": (0, True),
    "BatchHardTriplet": (0, True),
    "SemiHardTriplet": (0, True),
    "TripletLoss": (0, True),
    "ContrastiveLoss": (0, True),
}


@pytest.mark.parametrize("name", NEEDS)
def test_heads_follow_the_input_kind_of_the_loss(name):
    rows, together = NEEDS[name]
    loss = get_loss(name, classes=PEOPLE, embedding_size=6)
    head = make_head(loss, PEOPLE, 6)
    assert type(head) is (GatheringHead if together else PlainHead)
    assert (0 if head.classifier is None else head.classifier.weight.shape[0]) == rows
    if rows:
        assert (head.classifier.weight_norm, head.classifier.feature_norm) == (loss.spec.weight_norm, loss.spec.feature_norm)


def test_losses_on_unit_vectors_get_unit_vectors():
    images, labels = images_of(6), nd.array([0, 0, 1, 1, 2, 2])
    step = build("BatchHardTriplet", [mx.cpu()])
    embedding = step.net(images.astype("float32") / 255)
    unit = embedding.asnumpy() / np.linalg.norm(embedding.asnumpy(), axis=1, keepdims=True)
    distance = ((unit[:, None] - unit) ** 2).sum(axis=2)
    same = np.arange(6)[:, None] // 2 == np.arange(6) // 2
    wanted = np.where(same, distance, -1).max(axis=1) - np.where(same, 9, distance).min(axis=1) + 0.2
    np.testing.assert_allclose(step.head([embedding], [labels])[0].asnumpy(), np.maximum(wanted, 0), rtol=1e-4, atol=1e-6)


def test_given_triplets_are_those_of_the_batch():
    labels = np.array([0, 0, 0, 3, 3, 3])
    step = build("TripletLoss", [mx.cpu(0), mx.cpu(1)])
    rng = np.random.RandomState(0)
    unit = rng.randn(6, 6).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    positives, negatives, _ = form_triplets(labels)
    wanted = [
        np.mean([max(0, ((unit[i] - unit[p]) ** 2).sum() - ((unit[i] - unit[n]) ** 2).sum() + 0.2) for p, n in zip(*places)])
        for i, places in enumerate(zip(positives, negatives))
    ]
    parts = [nd.array(5 * unit[rows], ctx=mx.cpu(k)) for k, rows in enumerate((slice(0, 2), slice(2, 6)))]
    losses = step.head(parts, [nd.array(labels[:2], ctx=mx.cpu(0)), nd.array(labels[2:], ctx=mx.cpu(1))])
    assert [loss.context for loss in losses] == [mx.cpu(0), mx.cpu(1)]
    np.testing.assert_allclose(np.concatenate([loss.asnumpy() for loss in losses]), wanted, rtol=1e-4, atol=1e-5)


@pytest.fixture
def options(small_options):
    """Without verification, two devices, batches that every loss can take."""
    return dict(small_options, loss_args={}, val=[], batch_size=12, people=4, cpus=2, lr=0.01, clip_norm=1, log_every=1)


@pytest.fixture(scope="module")
def unseen():
    """36 pictures of the training set's six people that training does not see: (36, 3, 32, 32) in [0, 1], labels (36,)."""
    labels = np.repeat(np.arange(6), 6)
    pictures = np.stack([picture(person, 500 + number) for number, person in enumerate(labels)])
    return nd.array(pictures.transpose(0, 3, 1, 2) / 255.0), labels


def spread_ratio(net, images, labels):
    """Mean squared distance of unit embeddings within people, divided by that between people."""
    outputs = net(images)
    embeddings = (outputs[0] if isinstance(outputs, (list, tuple)) else outputs).asnumpy()
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    distances = np.square(embeddings[:, None] - embeddings[None]).sum(axis=2)
    same = labels[:, None] == labels[None]
    return distances[same & ~np.eye(len(labels), dtype=bool)].mean() / distances[~same].mean()


# A scale that suits six classes, for the losses that have one.
SCALES = {
    name: {"s": 12}
    for name in (
        "ArcLoss",
        "CircleLoss",
        "CombinedMargin",
        "CurricularFace",
        "MagFace",
        "NormFace",
        "SVXSoftmax",
        "SubCenterArc",
    )
}
SCALES.update({name: {"s": 12, "m": 0.1} for name in ("AdaFace", "CosLoss")})


@pytest.mark.parametrize("name", get_loss_list())
def test_training_with_any_loss_brings_the_embeddings_of_a_person_together(options, unseen, name):
    settings = {"network_args": dict(options["network_args"], dropout=0), "loss_args": SCALES.get(name, {})}
    run = Run(TrainOptions(**dict(options, **settings, loss=name, steps=40, lr=0.2, cpus=1)))
    untrained = spread_ratio(run.net, *unseen)
    result = run.train()
    # The untrained network has about 0.56 here, trained ones 0.01 to 0.10; half leaves room for the rounding of other CPUs.
    assert spread_ratio(run.net, *unseen) < 0.5 * untrained
    rows = read_log(os.path.join(result.folder, "log.jsonl"))
    assert [row["step"] for row in rows if np.isfinite(row["loss"])] == list(range(1, 41))


class PulledPlugError(Exception):
    pass


def pull_plug_at(run, number):
    """End the run in the middle of a step, with nothing saved on the way out."""
    took = run.step.head.step

    def step():
        if run.step.step_number == number:
            raise PulledPlugError
        took()

    run.step.head.step = step
    return run


@pytest.mark.parametrize("name", ["ASoftmax", "AdaFace", "CenterLoss", "RingLoss", "MultiBatchLoss", "TripletLoss"])
def test_a_resumed_run_has_the_state_of_an_unbroken_one(options, tmp_path, name):
    # Step 4 is lost and taken again; the second epoch of five steps begins in the resumed part.
    options = dict(options, loss=name, steps=7, checkpoint_every=0.6, augment="standard")
    whole, broken = (dict(options, out=str(tmp_path / part)) for part in ("whole", "broken"))
    train(**whole)
    with pytest.raises(PulledPlugError):
        pull_plug_at(Run(TrainOptions(**broken)), 4).train()
    assert os.listdir(os.path.join(broken["out"], "checkpoints")) == ["step_00000003"]
    train(**broken, resume=True)
    a, b = (stored(options["out"], 7) for options in (whole, broken))
    assert a.keys() == b.keys()
    assert all((a[key] == b[key]).all() for key in a)
    start = stored(broken["out"], 6)
    of_loss = [key for key in a if key.startswith("head.loss.")]
    assert bool(of_loss) == (name != "TripletLoss")
    assert not of_loss or any((a[key] != start[key]).any() for key in of_loss)


def stored(out, step):
    path = os.path.join(out, "checkpoints", f"step_{step:08d}")
    return {**read_arrays(path, "parameters"), **read_arrays(path, "statistics0")}


def test_people_and_images_are_logged_and_must_be_the_same_when_resumed(options, caplog):
    options = dict(options, loss="arc", steps=1, people=3, seed=7)
    with caplog.at_level(logging.INFO):
        run = Run(TrainOptions(**options))
    assert "batches of 3 people with 4 images each" in caplog.text
    wanted = run.dataset.labels[IdentityBatchSampler(run.dataset, 3, 4, seed=7)(1)].tolist()
    assert [label for _, labels in run.loader.epoch(1) for label in labels.asnumpy().tolist()] == wanted
    run.train()
    with open(os.path.join(options["out"], "options.json")) as file:
        assert json.load(file)["people"] == 3
    with pytest.raises(GluonFRError, match="was written with people=3 instead of 6"):
        train(**dict(options, people=6, resume=True))


@pytest.mark.parametrize(("name", "rates"), [("RingLoss", {"R": (1, 0)}), ("LGMLoss", {"mean": (1, 0), "log_var": (0.1, 0)})])
def test_parameters_of_the_loss_keep_their_rates(options, name, rates):
    run = Run(TrainOptions(**dict(options, loss=name, classifier_wd_mult=10)))
    optimizer = run.step.trainer._optimizer
    by_parameter = {p.name: (optimizer._get_lr(i), optimizer._get_wd(i)) for i, p in enumerate(run.step.parameters)}
    lr, wd = run.options.lr, run.options.wd
    for parameter, (lr_mult, wd_mult) in rates.items():
        got = by_parameter[getattr(run.head.loss, parameter).name]
        np.testing.assert_allclose(got, (lr_mult * lr, wd_mult * wd))
    if run.head.classifier is not None:
        np.testing.assert_allclose(by_parameter[run.head.classifier.weight.name], (lr, 10 * wd))


def test_a_loss_on_single_images_keeps_the_shuffled_order(options):
    run = Run(TrainOptions(**dict(options, loss="arc", people=None)))
    # Every image once: groups of people would repeat some.
    labels = np.concatenate([labels.asnumpy() for _, labels in run.loader.epoch(0)])
    assert np.array_equal(np.bincount(labels.astype(int)), np.bincount(run.dataset.labels))


def test_people_and_images_of_a_batch_are_derived_from_each_other():
    assert people_and_images(64) == (16, 4)
    assert people_and_images(256) == (16, 16)
    assert people_and_images(60, 20) == (20, 3)
    assert people_and_images(60, images=5) == (12, 5)
    assert people_and_images(60, 12, 5) == (12, 5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"people": None}, "batch of 12 images is not 16 people with 0 images each"),
        ({"people": 5}, "batch of 12 images is not 5 people with 2 images each"),
        ({"people": 3, "images_per_person": 3}, "not 3 people with 3 images each"),
        ({"people": None, "images_per_person": 5}, "not 2 people with 5 images each"),
        ({"people": 12}, "12 people with 1 images each contain no pairs"),
        ({"people": 1}, "1 people with 12 images each contain no pairs"),
        ({"people": 7, "batch_size": 14}, "batches of 7 people need more than the 6 of this set; use people=6 or fewer"),
        ({"people": 0}, "people=0 must be"),
        ({"images_per_person": -1}, "images_per_person=-1 must be"),
    ],
)
def test_impossible_groups_are_refused_in_one_sentence(options, changes, words):
    with pytest.raises(GluonFRError, match=words) as caught:
        train(**{**options, "loss": "TripletLoss", **changes})
    assert "\n" not in str(caught.value)
    assert not os.path.exists(options["out"])
