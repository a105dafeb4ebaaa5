import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon

from gluonfr.core import GluonFRError
from gluonfr.data.synthetic.scenes import render_scene
from gluonfr.detection import get_detector
from gluonfr.detection.anchors import anchor_grid
from gluonfr.detection.matching import CLASS, FACE, match_anchors
from gluonfr.detection.multibox_loss import MultiBoxLoss
from gluonfr.detection.retinaface_network import RetinaFaceNetwork
from gluonfr.detection.saved import CARD, PARAMETERS, DetectorCard, load_detector, save_detector
from gluonfr.metrics.detection import average_precision, match_detections

SIZE = 128


@pytest.fixture(scope="module")
def scenes():
    """Eight scenes with at least one face."""
    found = [render_scene(number, size=SIZE) for number in range(14)]
    return [scene for scene in found if len(scene.boxes)][:8]


def targets_of(scenes):
    anchors = anchor_grid(SIZE, SIZE)
    return np.stack(
        [match_anchors(scene.boxes, scene.landmarks, np.zeros(len(scene.boxes), bool), anchors) for scene in scenes]
    )


def start(contexts, seed=0):
    mx.random.seed(seed)
    net = RetinaFaceNetwork()
    net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2), ctx=contexts)
    for context in contexts:
        # Determines all shapes, and so draws the weights.
        net(mx.nd.zeros((1, 3, SIZE, SIZE), ctx=context))
    return net


def train_step(net, trainer, loss, images, targets, contexts, train_mode=True):
    positives = max(1.0, float((targets[:, :, CLASS] == FACE).sum()) / len(images))
    parts = gluon.utils.split_and_load(mx.nd.array(images), contexts)
    wanted = gluon.utils.split_and_load(mx.nd.array(targets), contexts)
    with autograd.record(train_mode=train_mode):
        losses = [
            loss(list(net(part)), target, mx.nd.full((1,), positives, ctx=target.context))
            for part, target in zip(parts, wanted)
        ]
    autograd.backward(losses, train_mode=train_mode)
    trainer.step(len(images))
    return sum(float(part.sum().asscalar()) for part in losses) / len(images)


def images_of(scenes):
    return np.stack([scene.image.transpose(2, 0, 1) for scene in scenes]).astype(np.float32) / 255


def test_two_devices_take_the_step_of_one(scenes):
    # Dark images keep the activations of a network without statistics small.
    images, targets = images_of(scenes[:4]) / 255, targets_of(scenes[:4])
    before, after = [], []
    for contexts in ([mx.cpu(0)], [mx.cpu(0), mx.cpu(1)]):
        # With all of the background: which anchors are the hardest depends on rounding.
        net, loss = start(contexts), MultiBoxLoss(negatives=None)
        trained = [parameter for parameter in net.collect_params().values() if parameter.grad_req != "null"]
        before.append(np.concatenate([parameter.list_data()[0].asnumpy().ravel() for parameter in trained]))
        trainer = gluon.Trainer(trained, "sgd", {"learning_rate": 1e-3}, kvstore="device" if len(contexts) > 1 else None)
        # In training mode, BatchNorm would normalize each part of the batch by its own statistics.
        train_step(net, trainer, loss, images, targets, contexts, train_mode=False)
        after.append(np.concatenate([parameter.list_data()[0].asnumpy().ravel() for parameter in trained]))
    assert np.array_equal(before[0], before[1])
    change = after[0] - before[0]
    # Sums of float32 in another order.
    assert np.abs(after[1] - before[1] - change).max() < 1e-3 * np.abs(change).max()


@pytest.mark.system
def test_training_finds_the_faces_of_eight_photos(scenes, tmp_path):
    images, targets = images_of(scenes), targets_of(scenes)
    net, loss = start([mx.cpu()]), MultiBoxLoss()
    net.hybridize(static_alloc=True, static_shape=True)
    loss.hybridize(static_alloc=True)
    trained = [parameter for parameter in net.collect_params().values() if parameter.grad_req != "null"]
    settings = {"learning_rate": 0.01, "momentum": 0.9, "clip_gradient": 1.0}
    trainer = gluon.Trainer(trained, "sgd", settings, kvstore=None)
    for step in range(300):
        if step == 200:
            trainer.set_learning_rate(0.002)
        train_step(net, trainer, loss, images, targets, [mx.cpu()])
    save_detector(net, str(tmp_path), DetectorCard(threshold=0.05))
    detector = get_detector(str(tmp_path), min_size=10)
    found = [detector.detect(scene.image) for scene in scenes]
    matches = [match_detections(faces.boxes, faces.scores, scene.boxes) for faces, scene in zip(found, scenes)]
    # Every face is found with a higher score than every false alarm.
    assert average_precision(matches, [np.ones(len(scene.boxes), bool) for scene in scenes]).ap == pytest.approx(1)


def test_outputs_have_the_shapes_of_the_anchors():
    net = RetinaFaceNetwork(channels=8)
    net.initialize()
    outputs = net(mx.nd.zeros((1, 3, 64, 96)))
    # Two anchors per cell of 32, 16 and 8 pixels, with 2 scores, 4 numbers of a box and 10 of landmarks each.
    expected = [(2 * values, *cells) for cells in ((2, 3), (4, 6), (8, 12)) for values in (2, 4, 10)]
    assert [output.shape[1:] for output in outputs] == expected
    assert sum(output.shape[1] // 4 * output.shape[2] * output.shape[3] * 2 for output in outputs[::3]) == len(
        anchor_grid(64, 96)
    )


def test_resnet50_has_the_same_outputs():
    net = RetinaFaceNetwork("resnet50", channels=8)
    net.initialize()
    expected = [(2 * values, cells, cells) for cells in (2, 4, 8) for values in (2, 4, 10)]
    assert [output.shape[1:] for output in net(mx.nd.zeros((1, 3, 64, 64)))] == expected


@pytest.fixture
def saved(tmp_path):
    net = RetinaFaceNetwork(channels=4)
    net.initialize(mx.init.Xavier())
    net(mx.nd.zeros((1, 3, 64, 64)))
    save_detector(net, str(tmp_path), DetectorCard(channels=4, threshold=0.3))
    return net, tmp_path


def test_saved_detectors_are_loaded_with_their_card(saved):
    net, folder = saved
    again, card = load_detector(folder)
    assert (card.channels, card.threshold) == (4, 0.3)
    image = mx.nd.random.uniform(shape=(1, 3, 64, 64))
    assert all(np.array_equal(a.asnumpy(), b.asnumpy()) for a, b in zip(net(image), again(image)))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / PARAMETERS).write_bytes((folder / PARAMETERS).read_bytes()[:-8]), "damaged"),
        (lambda folder: (folder / PARAMETERS).unlink(), PARAMETERS),
        (lambda folder: (folder / CARD).write_text("[]"), "card of a detector"),
        (lambda folder: (folder / CARD).write_text('{"backbone": "vgg"}'), "backbone"),
        (lambda folder: (folder / CARD).write_text('{"channels": 1e9}'), "channels"),
        (lambda folder: (folder / CARD).write_text('{"sides": [[1]]}'), "sides"),
        (lambda folder: (folder / CARD).write_text('{"channels": 8}'), "another network"),
        (lambda folder: (folder / CARD).unlink(), "symbol"),
    ],
)
def test_damaged_detectors_are_refused(saved, damage, words):
    damage(saved[1])
    with pytest.raises(GluonFRError, match=words):
        load_detector(saved[1])


def test_published_weights_give_the_published_network(faces):
    from gluonfr.weights.symbol_block import build_symbol_block
    from gluonfr.weights.symbol_file import load_symbol

    folder = f"{faces}/weights"
    net, _ = load_detector(folder)
    published = build_symbol_block(
        load_symbol(f"{folder}/mnet.25-symbol.json"), f"{folder}/mnet.25-0000.params", (64, 64), mx.cpu()
    )
    image = mx.nd.random.uniform(shape=(1, 3, 96, 128))
    for number, (ours, theirs) in enumerate(zip(net(image), published(image * 255))):
        values, expected = ours.asnumpy(), theirs.asnumpy()
        if number % 3 == 0:
            # The published network ends with softmax over background and face.
            pairs = values.reshape(1, 2, -1)
            odds = np.exp(pairs - pairs.max(1, keepdims=True))
            values = (odds / odds.sum(1, keepdims=True)).reshape(values.shape)
        assert np.allclose(values, expected, atol=1e-4)
