"""Training that starts from a trained network: what is trained when, where the classifier begins, when training ends."""

import glob
import json
import logging
import os
import shutil

import mxnet as mx
import numpy as np
import pytest
from blobs import picture
from mxnet import nd

from gluonfr.core import DataError, GluonFRError, TrainingStopped, UsageError
from gluonfr.core.mxnet_internals import parameter_value, parameters_by_path
from gluonfr.data import FRTrainRecordDataset, RecordWriter
from gluonfr.engine import Run, TrainOptions, TrainStep, train
from gluonfr.engine.finetuning.blocks import decay_rates, freeze, freeze_statistics, network_blocks
from gluonfr.engine.finetuning.class_means import means_by_label
from gluonfr.engine.finetuning.start import load_start
from gluonfr.engine.heads.plain import PlainHead
from gluonfr.loss import get_loss
from gluonfr.model_zoo import get_model
from gluonfr.viz import read_log
from gluonfr.weights.saved import load_network, save_network

SMALL = {"units": [1, 1], "channels": [8, 8, 16], "embedding_size": 16, "dropout": 0.2, "stem_stride": 2}


def small_network(seed=0):
    mx.random.seed(seed)
    net = get_model("lresnet10e_ir", **SMALL)
    net.initialize(mx.init.Xavier())
    net(nd.zeros((1, 3, 32, 32)))
    return net


def values(net):
    return {path: parameter_value(p) for path, p in parameters_by_path(net).items()}


@pytest.fixture
def start(small_options, tmp_path):
    """A saved network that was trained for some steps."""
    return os.path.join(train(**dict(small_options, epochs=3, out=str(tmp_path / "start"))).folder, "last")


@pytest.fixture
def options(small_options, start):
    """Options of a run from that network, with everything that fine-tuning can do."""
    return dict(
        {name: value for name, value in small_options.items() if name not in ("network", "network_args")},
        pretrained=start,
        lr=0.02,
        epochs=2,
        freeze_epochs=0.7,
        init_classifier="means",
        lr_decay_by_depth=0.7,
        batch_norm="frozen",
        stay_close=2.0,
        freeze="1",
        average=0.9,
    )


def test_the_blocks_are_in_order_and_hold_every_layer_once():
    for name, arguments in (("lresnet10e_ir", SMALL), ("mobilefacenet", {}), ("dlib_resnet29", {})):
        net = get_model(name, **arguments)
        blocks = network_blocks(net)
        names = [p.name for block in blocks for layer in block for p in layer.collect_params().values()]
        assert sorted(names) == sorted(net.features.collect_params())
        assert len(blocks) > 3
    assert len(blocks) == 1 + 14 + 1


def test_frozen_blocks_do_not_change_and_the_others_do():
    net = small_network()
    freeze(net, "2")
    head = PlainHead(get_loss("cos", classes=3), 3, 16)
    head.initialize()
    before, frozen = (
        values(net),
        {p.name for block in network_blocks(net)[:2] for x in block for p in x.collect_params().values()},
    )
    step = TrainStep(net, head, [mx.cpu()], "sgd", {"learning_rate": 0.1, "wd": 0.1})
    for _ in range(2):
        step(nd.random.uniform(shape=(6, 3, 32, 32)), nd.array([0, 1, 2, 0, 1, 2]))
    for path, p in parameters_by_path(net).items():
        changed = bool((p.data().asnumpy() != before[path]).any())
        # The scale of the last BatchNorm is fixed at 1; a dead unit has no gradient.
        assert not (changed and p.name in frozen), path
        assert changed or p.name in frozen or path.endswith(("gamma", "bias")), path


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ("99", "blocks; give a number from"),
        ("-99", "blocks; give a number from"),
        ("nothing", "matches no parameter"),
        ("(", "not a regular expression"),
        (".", "leaves no parameter of the network to train"),
        ("4", "blocks; give a number from -4 to 3"),
    ],
)
def test_a_freeze_without_effect_is_refused(which, message):
    with pytest.raises(UsageError, match=message):
        freeze(small_network(), which)


@pytest.mark.parametrize(("which", "same"), [("-1", "3"), ("0", None)])
def test_blocks_are_counted_from_the_output_too(which, same):
    trained = []
    for name in (which, same):
        net = small_network()
        assert len(network_blocks(net)) == 4
        if name:
            freeze(net, name)
        trained.append({path for path, p in parameters_by_path(net).items() if p.grad_req != "null"})
    assert trained[0] == trained[1]
    assert trained[0]


def test_a_pattern_freezes_the_parameters_that_match():
    net = small_network()
    freeze(net, r"gamma|beta")
    trained = {path.rsplit(".")[-1] for path, p in parameters_by_path(net).items() if p.grad_req != "null"}
    assert "weight" in trained
    assert not trained & {"gamma", "beta"}


def test_rates_fall_by_a_factor_per_block_towards_the_input():
    net = small_network()
    decay_rates(net, 0.5)
    rates = [{p.lr_mult for layer in block for p in layer.collect_params().values()} for block in network_blocks(net)]
    assert rates == [{0.5**depth} for depth in reversed(range(len(rates)))]


def test_with_frozen_statistics_training_computes_what_inference_does_and_leaves_them():
    net = small_network()
    images = nd.random.uniform(shape=(4, 3, 32, 32))
    with mx.autograd.record():
        net(images)
    freeze_statistics(net)
    # Dropout is the only other difference between training and inference.
    for layer in (layer for block in network_blocks(net) for layer in block if isinstance(layer, mx.gluon.nn.Dropout)):
        layer._rate = 0
    net.hybridize()
    before = values(net)
    with mx.autograd.record():
        trained = net(images)
        trained.sum().backward()
    np.testing.assert_allclose(trained.asnumpy(), net(images).asnumpy(), rtol=1e-4, atol=1e-5)
    for path, value in values(net).items():
        assert (value == before[path]).all(), path


def test_while_the_network_rests_only_the_classifier_is_trained():
    net = small_network()
    head = PlainHead(get_loss("cos", classes=3), 3, 16)
    head.initialize()
    before, classes = values(net), head.classifier.weight.data().asnumpy()
    settings = {"learning_rate": 0.1, "wd": 0.1}
    for optimizer in ("sgd", "adam"):
        step = TrainStep(net, head, [mx.cpu()], optimizer, settings, clip_norm=1.0, frozen_steps=2)
        for _ in range(2):
            step(nd.random.uniform(shape=(6, 3, 32, 32)), nd.array([0, 1, 2, 0, 1, 2]))
        for path, value in values(net).items():
            assert (value == before[path]).all(), path
    assert (head.classifier.weight.data().asnumpy() != classes).all()
    step(nd.random.uniform(shape=(6, 3, 32, 32)), nd.array([0, 1, 2, 0, 1, 2]))
    assert any((value != before[path]).any() for path, value in values(net).items())
    assert {p.lr_mult for p in net.collect_params().values()} == {1.0}


def test_class_means_are_unit_vectors_and_a_class_without_images_has_one_too():
    rows = np.array([[2, 0], [0, 5], [-1, 0]], np.float32)
    means = means_by_label(rows, np.array([0, 0, 1]), 3)
    np.testing.assert_allclose(means[:2], [[0.5**0.5, 0.5**0.5], [-1, 0]], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(means, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"stay_close": 0},
        {"loss": "SubCenterArc", "loss_args": {"s": 12, "m": 0.1}},
        {"classifier": "sharded", "cpus": 2, "stay_close": 0},
        {"classifier": "sharded", "cpus": 2},
    ],
)
def test_the_classifier_begins_at_the_class_means(options, more):
    run = Run(TrainOptions(**dict(options, **more)))
    mirrored = run.options.stay_close > 0
    with run.opened():
        weights = [run.head.classifier.weight] if not run.head.shards else [shard.weight for shard in run.head.shards]
        rows = np.concatenate([weight.list_data()[0].asnumpy() for weight in weights])
    images = np.stack([run.dataset.read(i)[0] for i in range(len(run.dataset))]).transpose(0, 3, 1, 2)
    embeddings = run.net(nd.array(images.astype("float32") / 255)).asnumpy()
    if mirrored:
        # Those of the penalty are used again, which hold the mirror images too.
        embeddings += run.net(nd.array(images[..., ::-1].astype("float32") / 255)).asnumpy()
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    centers = len(rows) // run.dataset.num_classes
    for label, items in enumerate(run.dataset.identities):
        mean = embeddings[items].mean(axis=0)
        cosine = rows[label * centers] @ mean / np.linalg.norm(mean) / np.linalg.norm(rows[label * centers])
        # The centers of one class begin at a distance of about 0.1 from the mean.
        assert cosine > (0.9999 if centers == 1 else 0.97)


def test_a_run_validates_its_start_and_never_delivers_less(options, small_options):
    # A rate that destroys the network: what is delivered is the start.
    result = train(**dict(options, lr=3.0, freeze_epochs=0, stay_close=0, lr_decay_by_depth=1, epochs=1, clip_norm=0))
    rows = read_log(os.path.join(result.folder, "log.jsonl"))
    first = next(row for row in rows if "val_data/auc" in row)
    assert first["step"] == 0
    assert result.best["start_auc"] == first["val_data/auc"]
    assert result.best["partial_auc"] >= result.best["start_partial_auc"]
    if result.best["step"] == 0:
        start, _ = load_network(options["pretrained"])
        delivered, _ = load_network(os.path.join(result.folder, "best"))
        assert all((a == b).all() for a, b in zip(values(start).values(), values(delivered).values()))


def test_people_are_held_out_where_no_verification_set_is_given(small_options, start, tmp_path, caplog):
    root = str(tmp_path / "data")
    with RecordWriter(os.path.join(root, "many"), image_size=(32, 32)) as writer:
        for identity in range(12):
            for number in range(8):
                writer.add(picture(identity, number), identity)
    with caplog.at_level(logging.INFO):
        given = dict(small_options, dataset="many", root=root, val=[], pretrained=start, hold_out=0.25, epochs=1, patience=0)
        result = train(**given)
    assert "held out for validation: 3 people with 24 images, 168 pairs" in caplog.text
    assert list(result.validation) == ["held_out"]
    assert result.images == 72
    assert "start_auc" in result.best


def test_a_set_of_the_name_of_the_people_who_are_held_out_is_refused(small_options, small_root, start, tmp_path):
    root = tmp_path / "root"
    shutil.copytree(small_root, root)
    shutil.copy(root / "more.bin", root / "held_out.bin")
    with pytest.raises(UsageError, match="val= names a set 'held_out'"):
        Run(TrainOptions(**dict(small_options, root=str(root), val=["held_out"], pretrained=start, hold_out=0.5)))


@pytest.mark.parametrize("from_network", [False, True])
def test_one_person_is_not_enough(small_options, start, tmp_path, from_network):
    root = str(tmp_path / "data")
    with RecordWriter(os.path.join(root, "one"), image_size=(32, 32)) as writer:
        for number in range(8):
            writer.add(picture(0, number), 0)
    given = dict(small_options, dataset="one", root=root, val=[], pretrained=start if from_network else False)
    with pytest.raises(DataError, match=r"one/train\.rec: all its images have one label.* label_weight=0"):
        Run(TrainOptions(**given))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"pretrained": ""}, "pretrained='' must be the name of a network"),
        ({"teacher": ""}, "teacher='' must be the name of a network"),
        ({"teacher": "x", "distill_weight": 0.0}, "distill_weight=0.0 must be above 0"),
        ({"pretrained": False, "batch_norm": "frozen"}, "batch_norm='frozen' must be 'train'"),
        ({"val": [], "hold_out": 0.0, "patience": 2}, "patience=2 must be 0 without a verification set"),
    ],
)
def test_options_that_would_do_nothing_are_refused(small_options, more, message):
    with pytest.raises(UsageError, match=message):
        TrainOptions(**dict(small_options, **more))


@pytest.mark.parametrize("name", ["pretrained", "teacher"])
def test_the_message_on_a_missing_network_names_the_argument(small_options, name):
    with pytest.raises(GluonFRError, match=f"^{name}='nowhere': "):
        Run(TrainOptions(**dict(small_options, **{name: "nowhere"})))


def test_a_fine_tuning_that_diverges_leaves_no_checkpoint_and_says_what_to_lower(options):
    # The loss is that before the step, and finite.
    given = dict(options, lr=1e30, schedule="constant", steps=1, freeze="0", freeze_epochs=0, average=0, stay_close=0)
    with pytest.raises(TrainingStopped, match="The training diverged: lower lr="):
        train(**given)
    assert not glob.glob(os.path.join(given["out"], "checkpoints", "step_*"))


def test_a_network_starts_with_the_weights_of_a_larger_input(tmp_path):
    arguments = {"width": 0.125, "embedding_size": 8}
    net = get_model("mobilefacenet", **arguments)
    net.initialize()
    net(nd.zeros((1, 3, 112, 112)))
    folder = str(tmp_path / "large")
    os.mkdir(folder)
    save_network(net, folder, {"network": "mobilefacenet", "arguments": arguments})

    def start(**network_args):
        return load_start(TrainOptions(dataset="blobs", pretrained=folder, network_args=network_args), [mx.cpu()])

    small, card = start(input_crop=96, input_size=56, last_stride=1)
    assert card.arguments == {**arguments, "input_crop": 96, "input_size": 56, "last_stride": 1}
    assert values(small).keys() == values(net).keys()
    assert all((value == values(net)[path]).all() for path, value in values(small).items())
    assert small(nd.zeros((2, 3, 112, 112))).shape == (2, 8)
    # A layer without weights in between changes nothing.
    dropped, _ = start(input_size=56, last_stride=1, dropout=0.2)
    assert all((a == b).all() for a, b in zip(values(dropped).values(), values(net).values()))
    # Here the last map has 4x4 pixels, and each of 7x7 has weights of its own.
    with pytest.raises(UsageError, match=r"do not fit mobilefacenet with input_size=64: some layer would have another size"):
        start(input_size=64)
    with pytest.raises(GluonFRError, match="does not fit"):
        start(width=0.25)
    save_network(small, folder, card)
    again, _ = load_network(folder)
    image = nd.random.uniform(shape=(1, 3, 112, 112))
    np.testing.assert_array_equal(again(image).asnumpy(), small(image).asnumpy())
    # Of a head with a dense layer, the size is known only after an image.
    arguments["head"] = "E"
    net = get_model("mobilefacenet", **arguments)
    net.initialize()
    net(nd.zeros((1, 3, 112, 112)))
    save_network(net, folder, {"network": "mobilefacenet", "arguments": arguments})
    with pytest.raises(UsageError, match="do not fit mobilefacenet with input_size=64"):
        start(input_size=64)


def test_training_ends_early_without_a_better_network_and_stays_ended(options):
    # Nothing is trained, so that no validation is better than the first one.
    given = dict(options, lr=1e-12, wd=0, patience=2, epochs=6, freeze="0", average=0, freeze_epochs=0, val_every=1)
    first = train(**given)
    assert first.best["step"] == 0
    assert first.steps == 2 * 3
    again = train(**given)
    assert again.steps == 0
    assert again.best == first.best


def test_a_saved_card_keeps_the_crops_of_the_start(small_options, tmp_path):
    """Crops of ArcFace's template are re-aligned for a network of another template, in training and validation."""
    net = small_network()
    folder = tmp_path / "start"
    folder.mkdir()
    card = {"network": "lresnet10e_ir", "arguments": SMALL, "image_size": [48, 48], "template": "dlib", "license": "CC0"}
    net = get_model("lresnet10e_ir", **SMALL)
    net.initialize(mx.init.Xavier())
    net(nd.zeros((1, 3, 48, 48)))
    save_network(net, str(folder), card)
    options = dict(small_options, pretrained=str(folder), epochs=1, patience=0)
    for name in ("network", "network_args"):
        options.pop(name)
    result = train(**options)
    with open(os.path.join(result.folder, "last", "card.json")) as file:
        saved = json.load(file)
    assert (saved["image_size"], saved["template"], saved["license"]) == ([48, 48], "dlib", "CC0")
    run = Run(TrainOptions(**dict(options, out=str(tmp_path / "other"))))
    images, *_ = next(iter(run.loader))
    assert images.shape[2:] == (48, 48)
    plain = FRTrainRecordDataset("blobs", small_options["root"])
    assert run.dataset.read(0)[0].shape == (48, 48, 3)
    assert plain.read(0)[0].shape == (32, 32, 3)


@pytest.mark.parametrize("more", [{}, {"optimizer": "adam", "lr": 0.001}, {"accumulate": 2}])
def test_a_fine_tuning_that_is_interrupted_resumes_bit_exact(options, tmp_path, more):
    options = dict(options, checkpoint_every=0, checkpoint_steps=1, **more)
    whole = train(**dict(options, out=str(tmp_path / "whole")))
    broken = dict(options, out=str(tmp_path / "broken"))
    # In the part in which only the classifier is trained, and again in the part after it.
    for at in (1, 4):
        run = Run(TrainOptions(**broken))
        with pytest.raises(KeyboardInterrupt):
            interrupt_after(run, at).train()
        run.checkpoints.finish()
    resumed = train(**broken)
    assert resumed.steps < whole.steps
    a, b = (load_network(os.path.join(folder, "last"))[0] for folder in (whole.folder, resumed.folder))
    assert all((x == y).all() for x, y in zip(values(a).values(), values(b).values()))
    assert whole.best == resumed.best


def interrupt_after(run, step):
    batches = run._batches

    def some_batches():
        for batch in batches():
            if run.step.step_number == step:
                raise KeyboardInterrupt
            yield batch

    run._batches = some_batches
    return run


@pytest.mark.parametrize("has_teacher", [False, True])
def test_two_contexts_take_the_same_steps_as_one(options, tmp_path, has_teacher, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    nets = []
    given = dict(options, teacher=options["pretrained"], augment="standard") if has_teacher else options
    for cpus in (1, 2):
        # Without dropout, whose draws differ between devices.
        result = train(**dict(given, cpus=cpus, network_args={"dropout": 0}, out=str(tmp_path / str(cpus))))
        nets.append(values(load_network(os.path.join(result.folder, "last"))[0]))
    for path, value in nets[0].items():
        # Sums over devices are in another order: 1e-4 of values around 0.1 after 6 steps.
        np.testing.assert_allclose(value, nets[1][path], rtol=1e-3, atol=1e-4, err_msg=path)
