"""What a checkpoint holds is all there is, for every kind of head, and none is lost."""

import os
import threading

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon, nd

from gluonfr.core import DataError, GluonFRError
from gluonfr.engine import Group, PlainHead, ShardedHead, TrainStep
from gluonfr.engine.checkpoints import writer
from gluonfr.engine.checkpoints.format import read_arrays, steps_in, write_arrays
from gluonfr.engine.checkpoints.manager import CheckpointManager
from gluonfr.engine.checkpoints.snapshot import restore_snapshot, take_snapshot
from gluonfr.engine.checkpoints.writer import ArrayCache
from gluonfr.engine.precision import LossScale
from gluonfr.loss import ClassifierLoss, get_loss
from gluonfr.loss.registry import LOSSES

CLASSES, SIZE = 11, 8
NAMES = sorted(name for name in LOSSES.names() if issubclass(LOSSES.get(name), ClassifierLoss))


def make_step(name="ArcLoss", devices=2, divided=True, sample=1.0, optimizer="sgd", loss_scale=None, seed=1):
    contexts = [mx.cpu(i) for i in range(devices)]
    loss = get_loss(name, classes=CLASSES, embedding_size=SIZE)
    head = ShardedHead(loss, CLASSES, SIZE, contexts, sample=sample, seed=seed) if divided else PlainHead(loss, CLASSES, SIZE)
    head.initialize(ctx=contexts)
    mx.random.seed(seed)
    net = gluon.nn.HybridSequential(prefix="net_")
    with net.name_scope():
        net.add(gluon.nn.Dense(SIZE, in_units=SIZE), gluon.nn.BatchNorm(in_channels=SIZE), gluon.nn.Dropout(0.2))
    net.initialize(mx.init.Xavier(), ctx=contexts)
    settings = {"learning_rate": 0.05, **({"momentum": 0.9} if optimizer == "sgd" else {})}
    schedule = mx.lr_scheduler.CosineScheduler(20, base_lr=0.05, warmup_steps=4)
    return TrainStep(net, head, contexts, optimizer, dict(settings, lr_scheduler=schedule), loss_scale=loss_scale)


def batch(number):
    rs = np.random.RandomState(number)
    return nd.array(rs.rand(12, SIZE)), nd.array(rs.randint(0, CLASSES, 12) % 3)


def losses(step, numbers):
    return [np.concatenate([loss.asnumpy() for loss in step(*batch(number))]) for number in numbers]


def taken(step, memory=None):
    """The arrays that `take` gives, in one dict."""
    arrays, _ = take_snapshot(step, cache=memory)
    flat = {name: content for name, content in arrays.items() if not isinstance(content, dict)}
    return {**flat, **{f"{name} {key}": array for name in arrays.keys() - flat for key, array in arrays[name].items()}}


def save(folder, step, keep=2):
    checkpoints = CheckpointManager(str(folder), Group(), keep)
    checkpoints.save(step.step_number, lambda memory: take_snapshot(step, cache=memory))
    checkpoints.finish()
    return checkpoints


CASES = [(name, {}) for name in NAMES]
CASES += [("ArcLoss", {"sample": 8}), ("ArcLoss", {"sample": 8, "optimizer": "adam"}), ("LSoftmax", {"sample": 8})]
CASES += [("AdaCos", {"divided": False}), ("ArcLoss", {"divided": False, "optimizer": "adam"})]


@pytest.mark.parametrize(("name", "more"), CASES)
def test_a_restored_step_continues_bit_exact(tmp_path, name, more):
    whole = make_step(name, **more)
    losses(whole, range(3))
    checkpoints = save(tmp_path, whole)
    other = make_step(name, **more, seed=2)
    losses(other, range(5, 7))
    path, meta = checkpoints.latest()
    restore_snapshot(path, meta, other)
    # The seed of samples is the run's own.
    other.head.seed = getattr(whole.head, "seed", None)
    for a, b in zip(losses(whole, range(3, 7)), losses(other, range(3, 7))):
        assert (a == b).all()
    a, b = taken(whole), taken(other)
    assert a.keys() == b.keys()
    assert all((a[name] == b[name]).all() for name in a)


@pytest.mark.parametrize("overflows", [1, 3])
def test_a_step_that_overflows_is_skipped_also_after_resuming(tmp_path, overflows):
    exact, scaled = make_step(), make_step(loss_scale=LossScale(2.0**20, patience=3))
    poisoned, labels = batch(0)
    poisoned[0] = 3e38
    before = taken(scaled)
    for _ in range(overflows):
        scaled(poisoned, labels)
    after = taken(scaled)
    assert scaled.loss_scale.value == 2.0 ** (20 - overflows)
    assert scaled.updates == 0
    for name in ("classes0_weight", "classes5_weight"):
        assert (before[name] == after[name]).all()
    checkpoints = save(tmp_path, scaled)
    resumed = make_step(loss_scale=LossScale())
    path, meta = checkpoints.latest()
    restore_snapshot(path, meta, resumed)
    assert resumed.loss_scale.state() == scaled.loss_scale.state()
    for a, b in zip(losses(scaled, range(1, 6)), losses(resumed, range(1, 6))):
        assert (a == b).all()
    # Three good steps double the scale, and by powers of two the gradients are what they are without.
    assert scaled.loss_scale.value == 2.0 ** (21 - overflows)
    assert scaled.trainer.learning_rate == resumed.trainer.learning_rate
    exact.step_number = overflows
    losses(exact, range(1, 6))
    a, b = taken(exact), taken(scaled)
    np.testing.assert_allclose(b["classes0_weight"], a["classes0_weight"], rtol=1e-4, atol=1e-6)


def test_copies_reuse_memory_that_training_does_not_change():
    step, other, memory = make_step(optimizer="adam"), make_step(optimizer="adam"), ArrayCache()
    # Before the first step the optimizer has no arrays.
    taken(step, memory)
    losses(step, range(3)), losses(other, range(3))
    first, expected = taken(step, memory), taken(other)
    losses(step, range(3, 6)), losses(other, range(3, 6))
    assert first.keys() == expected.keys()
    assert all((first[name] == expected[name]).all() for name in first)
    second, later = taken(step, memory), taken(other)
    assert all((second[name] == later[name]).all() and second[name] is first[name] for name in first)
    assert (later["classes0_weight"] != expected["classes0_weight"]).any()


def test_a_checkpoint_that_is_being_written_is_not_overwritten(tmp_path, monkeypatch):
    released = threading.Event()

    def wait_then_write(*arguments):
        released.wait(60)
        return write_arrays(*arguments)

    monkeypatch.setattr(writer, "write_arrays", wait_then_write)
    step, checkpoints, expected = make_step(), CheckpointManager(str(tmp_path), Group(), keep=2), []

    def snapshot(cache):
        # The memory for copies is free only once the previous checkpoint is published.
        assert steps_in(str(tmp_path)) == list(range(1, step.step_number))
        return take_snapshot(step, cache=cache)

    for number in (1, 2):
        losses(step, [number])
        expected.append(taken(step))
        if number == 2:
            released.set()
        checkpoints.save(number, snapshot)
    checkpoints.finish()
    for number, arrays in zip((1, 2), expected):
        for name in ("classes0_weight", "classes5_weight.state0"):
            assert (read_arrays(str(tmp_path / f"step_{number:08d}"), name) == arrays[name]).all()
    assert (expected[0]["classes0_weight"] != expected[1]["classes0_weight"]).any()


def test_cached_memory_has_the_shape_and_type_of_the_copied_array():
    memory = ArrayCache()
    for shape, dtype in (((3, 4), "float32"), ((4, 3), "float32"), ((4, 3), "int32"), ((1,), "float64")):
        array = nd.array(np.arange(np.prod(shape)).reshape(shape), dtype=dtype)
        copied = memory.copy("a", array)
        assert copied.dtype == dtype
        assert copied.shape == shape
        assert (copied == array.asnumpy()).all()


def test_damaged_checkpoints_do_not_displace_intact_ones(tmp_path):
    step = make_step()
    for _ in range(3):
        losses(step, [step.step_number])
        save(tmp_path, step, keep=1 if step.step_number == 1 else 3)
    for number in (2, 3):
        os.truncate(tmp_path / f"step_{number:08d}" / "parameters.npz", 10)
    checkpoints = CheckpointManager(str(tmp_path), Group(), 1)
    path, meta = checkpoints.latest()
    assert meta["step"] == 1
    restore_snapshot(path, meta, step)
    losses(step, [1])
    save(tmp_path, step, keep=1)
    assert steps_in(str(tmp_path)) == [2]
    assert CheckpointManager(str(tmp_path), Group(), 1).latest()[1]["step"] == 2


def test_a_failed_write_leaves_no_checkpoint(tmp_path):
    step = make_step()
    losses(step, range(1))
    save(tmp_path, step)
    arrays, meta = take_snapshot(step)

    class Strange(dict):
        def __iter__(self):
            raise RuntimeError("not to be written")

        keys = items = __iter__

    checkpoints = CheckpointManager(str(tmp_path), Group())
    checkpoints.save(2, lambda memory: ({**arrays, "strange": Strange(a=np.zeros(1))}, meta))
    with pytest.raises(GluonFRError, match="cannot be written .not to be written.; free some space"):
        checkpoints.finish()
    assert steps_in(str(tmp_path)) == [1]
    assert os.listdir(tmp_path) == ["step_00000001"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("parameters", lambda array: array.astype(str)),
        ("parameters", lambda array: array[..., None]),
        ("statistics0", lambda array: array[:0]),
        ("optimizer", lambda array: np.array(array.tolist(), dtype=complex)),
        ("classes0_weight", lambda array: array[0]),
        ("classes0_weight", lambda array: array.astype(bool)),
        ("classes0_weight", lambda array: array[:, :-1]),
        ("classes0_weight.state0", lambda array: np.float32(1)),
    ],
)
def test_arrays_of_another_kind_are_refused_although_their_checksums_are_right(tmp_path, name, change):
    step = make_step()
    losses(step, range(2))
    save(tmp_path, step)
    path, meta = CheckpointManager(str(tmp_path)).latest()
    stored = read_arrays(path, name)
    forged = {key: change(array) for key, array in stored.items()} if isinstance(stored, dict) else change(np.array(stored))
    if isinstance(forged, dict):
        np.savez(os.path.join(path, name + ".npz"), **forged)
    else:
        np.save(os.path.join(path, name + ".npy"), forged)
    with pytest.raises(DataError, match=r"another|instead of numbers|missing"):
        restore_snapshot(path, meta, make_step())


@pytest.mark.parametrize("name", ["parameters.npz", "classes0_weight.npy"])
def test_damaged_arrays_are_named(tmp_path, name):
    step = make_step()
    losses(step, range(2))
    save(tmp_path, step)
    path, meta = CheckpointManager(str(tmp_path)).latest()
    with open(os.path.join(path, name), "r+b") as file:
        file.write(b"\0" * 20)
    with pytest.raises(DataError, match=f"{name} cannot be read"):
        restore_snapshot(path, meta, make_step())
