"""Losses computed by the native operators: equal to float64 on every kind of call, and absent from exported graphs."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from gluonfr.engine import ShardedHead
from gluonfr.loss import ArcLoss, ClassifierLoss, MarginLoss, get_loss
from gluonfr.loss.registry import LOSSES
from gluonfr.ops import available, cross_entropy, log_sum_exp_of_others

pytestmark = pytest.mark.skipif(not available(), reason="no C++ compiler")

NAMES = sorted(name for name in LOSSES.names() if issubclass(LOSSES.get(name), ClassifierLoss))
# s where the default would hide all but the largest logit; MagFace's range is that of the embeddings below.
ARGUMENTS = {"CircleLoss": {"s": 32.0}, "MagFace": {"l_a": 1.0, "u_a": 20.0}}
# More classes than a block of the operator, and not a multiple of it.
MANY = 2500


def build(name, classes, dtype="float32", hybrid=False, **arguments):
    loss = get_loss(name, classes=classes, embedding_size=4, dtype=dtype, **{**ARGUMENTS.get(name, {}), **arguments})
    loss.initialize()
    for key, value in (("steps", 3000.0), ("t", 0.37), ("mean", 4.0), ("std", 2.0)):
        if isinstance(getattr(loss, key, None), gluon.Parameter):
            getattr(loss, key).set_data(nd.array([value], dtype=dtype))
    if hasattr(loss, "norms"):
        loss.norms.set_data(nd.array(np.random.RandomState(9).uniform(0.5, 1.5, classes), dtype=dtype))
    if hybrid:
        loss.hybridize(static_alloc=True, static_shape=True)
    return loss


def draw(loss, rows, seed=0):
    rng = np.random.RandomState(seed)
    output = rng.uniform(-0.97, 0.97, (rows, loss.outputs))
    label = rng.randint(0, loss.classes, rows)
    # Targets on both sides of every margin's turning point.
    output[np.arange(rows), label * loss.spec.num_centers] = np.linspace(-0.95, 0.97, rows)
    return (output, label, 3 * rng.randn(rows, 4))[: 3 if loss.spec.needs_embedding else 2]


def run(loss, arrays, dtype="float32", label_dtype="float32", grad_req="write", passes=1):
    """Value, gradients of the matrices, and those of the parameters."""
    inputs = [nd.array(array, dtype=label_dtype if i == 1 else dtype) for i, array in enumerate(arrays)]
    real = [array for i, array in enumerate(inputs) if i != 1]
    for array in real:
        array.attach_grad(grad_req)
    for _ in range(passes):
        with autograd.record():
            value = loss(*inputs)
        value.backward()
    learned = [p for p in loss.collect_params().values() if p.grad_req != "null"]
    return value.asnumpy(), [a.grad.asnumpy() for a in real] + [p.grad().asnumpy() for p in learned]


def assert_equals(got, wanted, times=1):
    # float32: logits up to 100 have steps of 8e-6, and gradients are s times probabilities.
    np.testing.assert_allclose(got[0], wanted[0], rtol=2e-5, atol=5e-5)
    for one, other in zip(got[1], wanted[1]):
        np.testing.assert_allclose(one, times * other, rtol=5e-4, atol=2e-5 * max(1, np.abs(other).max()))


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_value_and_gradients_equal_double_precision(name, hybrid):
    loss, exact = build(name, MANY, hybrid=hybrid), build(name, MANY, "float64")
    for rows, label_dtype in ((5, "float32"), (3, "int32")):
        arrays = draw(loss, rows, rows)
        wanted = run(exact, arrays, "float64")
        assert_equals(run(loss, arrays, label_dtype=label_dtype), wanted)
        assert loss.native
        assert not exact.native


@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("name", ["ArcLoss", "NormFace", "LSoftmax", "CurricularFace", "SubCenterArc"])
def test_gradients_accumulate_where_they_are_to(name, hybrid):
    loss = build(name, 7, hybrid=hybrid)
    arrays = draw(loss, 5)
    wanted = run(build(name, 7, "float64"), arrays, "float64")
    for parameter in loss.collect_params().values():
        if parameter.grad_req != "null":
            parameter.grad_req = "add"
            parameter.zero_grad()
    assert_equals(run(loss, arrays, grad_req="add", passes=3), wanted, times=3)


def test_a_retained_graph_gives_the_same_gradient_again():
    loss = build("ArcLoss", 7)
    output, label = (nd.array(array) for array in draw(loss, 5))
    output.attach_grad()
    with autograd.record():
        value = loss(output, label)
    value.backward(retain_graph=True)
    first = output.grad.asnumpy()
    output.grad[:] = 0
    value.backward()
    np.testing.assert_array_equal(output.grad.asnumpy(), first)
    assert np.abs(first).max() > 0.1


def test_two_contexts_compute_the_same():
    loss = ArcLoss(classes=7)
    loss.hybridize(static_alloc=True, static_shape=True)
    output, label = (nd.array(array) for array in draw(loss, 5))
    values = [loss(output.as_in_context(c), label.as_in_context(c)).asnumpy() for c in (mx.cpu(0), mx.cpu(1))]
    np.testing.assert_array_equal(*values)


def test_a_million_classes_and_labels_above_2_to_the_24_are_exact():
    classes = 2**24 + 5
    loss = build("CosLoss", classes, s=1.0, m=0.0)
    output = nd.zeros((1, classes))
    # In float32 this label would become its even neighbor.
    label = nd.array([2**24 + 1], dtype="int32")
    output.attach_grad()
    with autograd.record():
        value = loss(output, label)
    value.backward()
    np.testing.assert_allclose(value.asnumpy(), [np.log(classes)], rtol=1e-6)
    gradient = output.grad.asnumpy()[0]
    assert gradient.argmin() == 2**24 + 1
    # Sums of 16 million numbers to the last places of float32.
    np.testing.assert_allclose(np.delete(gradient, 2**24 + 1), 1 / classes, rtol=1e-5)


@pytest.mark.parametrize("hybrid", [False, True])
def test_one_class_that_dominates_keeps_tiny_losses_exact(hybrid):
    loss = build("CosLoss", 3, hybrid=hybrid, s=64.0, m=0.35)
    output, label = np.array([[1.0, -0.25, -0.25], [1.0, -0.25, -0.25]]), [0, 1]
    value, (gradient,) = run(loss, (output, label))
    # log(1 + e^x) is e^x where x is small, as in the first row, and x in the second. Its logits have steps of 4e-6.
    np.testing.assert_allclose(value, [2 * np.exp(-64 * 0.9), 64 * 1.6], rtol=2e-5)
    np.testing.assert_allclose(gradient[1], [64, -64, 0], atol=1e-5)


def test_nan_and_infinity_stay_in_their_row():
    loss = build("ArcLoss", MANY)
    output, label = draw(loss, 4)
    clean, (wanted,) = run(loss, (output, label))
    for bad in (np.nan, np.inf, -np.inf):
        for column in (0, label[2], 1500, MANY - 1):
            broken = output.copy()
            broken[2, column] = bad
            value, (gradient,) = run(loss, (broken, label))
            assert not np.isfinite(value[2])
            np.testing.assert_array_equal(np.delete(value, 2), np.delete(clean, 2))
            np.testing.assert_array_equal(np.delete(gradient, 2, axis=0), np.delete(wanted, 2, axis=0))


def test_centers_that_are_equal_all_get_the_gradient_as_in_the_graph(monkeypatch):
    output, label = np.full((2, 12), 0.2), [1, 2]
    for centers in (2, 3, 4, 6):
        loss = build("SubCenterArc", 12 // centers, K=centers)
        labels = np.array(label) % loss.classes
        native = run(loss, (output, labels))
        assert loss.native
        with monkeypatch.context() as patch:
            patch.setenv("GLUONFR_OPS", "0")
            graph = run(loss, (output, labels))
        assert not loss.native
        assert_equals(native, graph)


@pytest.mark.parametrize("name", NAMES)
def test_exported_graphs_have_no_native_operator(name, tmp_path):
    loss = build(name, 6, hybrid=True)
    inputs = [nd.array(array) for array in draw(loss, 4)]
    wanted = loss(*inputs).asnumpy()
    loss.export(str(tmp_path / "loss"))
    assert "gluonfr" not in (tmp_path / "loss-symbol.json").read_text()
    variables = [mx.sym.var(f"data{i}") for i in range(len(inputs))]
    assert "gluonfr" not in loss(*variables).tojson()
    # Neither changes what the loss computes with afterwards.
    assert loss.native
    np.testing.assert_array_equal(loss(*inputs).asnumpy(), wanted)
    assert loss.native


def test_a_graph_of_a_parent_block_has_no_native_operator(tmp_path):
    class Parent(gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.loss = get_loss("ArcLoss", classes=6)

        def hybrid_forward(self, F, output, label):
            return self.loss(output, label)

    parent = Parent()
    parent.hybridize()
    parent(*(nd.array(array) for array in draw(parent.loss, 3)))
    parent.export(str(tmp_path / "parent"))
    assert "gluonfr" not in (tmp_path / "parent-symbol.json").read_text()


def test_subclasses_that_change_how_logits_are_computed_use_the_graph():
    class Others(ArcLoss):
        def others(self, F, output, output_y):
            return output * 0.5

    class Logits(MarginLoss):
        def logits(self, F, output, label, output_y):
            return output * 2, None

    class Target(MarginLoss):
        def target(self, F, cos_y):
            return cos_y - 0.1

    output, label = (nd.array(array) for array in draw(Target(classes=5), 4))
    for kind, native in ((Others, False), (Logits, False), (Target, True)):
        loss = kind(classes=5)
        loss(output, label)
        assert loss.native is native
    got, plain = Logits(classes=5)(output, label), get_loss("softmax", classes=5)(output * 2, label)
    np.testing.assert_allclose(got.asnumpy(), plain.asnumpy(), rtol=1e-5)


@pytest.mark.parametrize("name", ["ArcLoss", "LSoftmax", "AdaCos", "SVXSoftmax"])
def test_corrected_samples_of_classes_equal_the_graph(name, monkeypatch):
    rng = np.random.RandomState(0)
    embeddings, labels = 3 * rng.randn(6, 8).astype("float32"), rng.randint(0, 20, 6)
    results = []
    for ops in ("1", "0"):
        monkeypatch.setenv("GLUONFR_OPS", ops)
        contexts = [mx.cpu(0), mx.cpu(1)]
        head = ShardedHead(get_loss(name, classes=20, embedding_size=8), 20, 8, contexts, sample=14, correct=True)
        head.initialize()
        head.hybridize(static_alloc=True, static_shape=True)
        head.begin(labels, 0)
        parts = [nd.array(part, ctx=c) for part, c in zip(np.split(embeddings, 2), contexts)]
        for part in parts:
            part.attach_grad()
        with autograd.record():
            losses = head([part * 1 for part in parts], [nd.array(y, ctx=c) for y, c in zip(np.split(labels, 2), contexts)])
        head.backward(losses)
        results.append([np.concatenate([a.asnumpy() for a in arrays]) for arrays in (losses, [p.grad for p in parts])])
        assert all(shard.native == (ops == "1") for shard in head.shards)
    for native, graph in zip(*results):
        np.testing.assert_allclose(native, graph, rtol=1e-4, atol=1e-5)


def test_the_operators_without_other_classes_and_without_the_own_class():
    output = nd.array([[0.5]])
    sums, own = log_sum_exp_of_others(nd, output, nd.array([0]))
    assert sums.asscalar() == -np.inf
    assert own.asscalar() == 0.5
    assert cross_entropy(nd, sums, own).asscalar() == 0
    sums, own = log_sum_exp_of_others(nd, output, nd.array([-1]), scale=2.0)
    assert (sums.asscalar(), own.asscalar()) == (1.0, 0.0)


def test_the_operators_refuse_other_types():
    with pytest.raises(mx.MXNetError):
        log_sum_exp_of_others(nd, nd.zeros((1, 2), dtype="float64"), nd.zeros(1))[0].wait_to_read()
