"""The margins computed row by row: the same numbers as the graph's, whatever is done with value and gradient."""

import mxnet as mx
import numpy as np
import pytest
from formulas import cosines
from mxnet import autograd, gluon, nd

from gluonfr.loss import MarginLoss, get_loss, rows

NAMES = ["CosLoss", "ArcLoss", "CombinedMargin"]


def pair(name, classes=7, hybrid=False, **arguments):
    """The loss by the graph, and row by row."""
    graph, rowwise = get_loss(name, classes=classes, **arguments), get_loss(name, classes=classes, **arguments)
    graph.rowwise_from, rowwise.rowwise_from = float("inf"), 0
    if hybrid:
        for each in (graph, rowwise):
            each.hybridize(static_alloc=True, static_shape=True)
    return graph, rowwise


@pytest.fixture(autouse=True)
def used(monkeypatch):
    """How often the rows were used."""
    calls, forward = [], rows.RowwiseMargin.forward
    monkeypatch.setattr(rows.RowwiseMargin, "forward", lambda self, output: calls.append(1) or forward(self, output))
    return calls


def run(loss, cos, y, times=None):
    # The graph in float64: in float32 it takes a target's probability from 1, and is off where that is near 1.
    x = nd.array(cos, dtype="float32" if loss.rowwise_from == 0 else "float64")
    times = None if times is None else times.astype(x.dtype)
    x.attach_grad()
    with autograd.record():
        value = loss(x, y)
        result = value if times is None else value * times
    result.backward()
    return value.asnumpy(), x.grad.asnumpy()


def same(one, two):
    for a, b in zip(one, two):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("hybrid", [False, True])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_value_and_gradient_are_the_graphs(name, hybrid, threads, monkeypatch, used):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    graph, rowwise = pair(name, hybrid=hybrid)
    for batch in (9, 4, 9, 1):
        cos, y = cosines(batch, 7, batch)
        for label in (nd.array(y), nd.array(y, dtype="int32"), nd.array(y).reshape((-1, 1))):
            times = nd.array(np.random.RandomState(0).uniform(-1, 3, batch))
            same(run(rowwise, cos, label, times), run(graph, cos, label, times))
    assert len(used) == 12


@pytest.mark.parametrize("s", [1, 64, 90, 1000])
@pytest.mark.parametrize("middle", [-0.9, 0, 0.9])
def test_any_scale_and_cosines_all_high_or_low(s, middle):
    # Exponents from -1300 to 1000: sums beyond float32 on both sides.
    graph, rowwise = pair("CosLoss", classes=9, s=s, m=0.3)
    cos = middle + np.random.RandomState(0).uniform(-0.1, 0.1, (6, 9))
    same(run(rowwise, cos, nd.arange(6)), run(graph, cos, nd.arange(6)))


def test_cosines_of_one_and_minus_one_are_finite():
    _, rowwise = pair("ArcLoss", classes=4)
    cos = np.array([[1, -1, 0, 1], [-1, 1, 1, 1], [0, 0, 0, 0], [-1, -1, -1, -1]])
    for each in run(rowwise, cos, nd.array([0, 0, 1, 2])):
        assert np.isfinite(each).all()
        assert each.any()


def test_a_loss_far_below_the_rounding_of_one_is_kept():
    cos = np.full((1, 100), -0.2)
    cos[0, 3] = 0.95
    value, gradient = run(pair("CosLoss", classes=100, m=0.1)[1], cos, nd.array([3]))
    wanted = 99 * np.exp(64 * (-0.2 - 0.85))
    np.testing.assert_allclose(value, [wanted], rtol=1e-4)
    np.testing.assert_allclose(gradient[0, 3], -64 * wanted, rtol=1e-4)
    np.testing.assert_allclose(np.delete(gradient[0], 3), 64 * wanted / 99, rtol=1e-4)


def test_losses_waiting_for_their_gradients_do_not_share_a_matrix():
    graph, rowwise = pair("ArcLoss")
    batches, gradients = [cosines(5, 7, seed) for seed in range(4)], []
    for loss in (graph, rowwise):
        inputs = [nd.array(cos, dtype="float32" if loss is rowwise else "float64") for cos, _ in batches]
        for each in inputs:
            each.attach_grad()
        with autograd.record():
            total = sum(loss(x, nd.array(y)).sum() for x, (_, y) in zip(inputs, batches))
        total.backward()
        gradients.append([each.grad.asnumpy() for each in inputs])
    same(*gradients)
    assert len(rowwise._spare) == 1


def test_gradients_are_added_where_that_is_asked_for():
    cos, y = cosines(6, 7)
    sums = []
    for loss, kind in zip(pair("CosLoss"), ("float64", "float32")):
        x = nd.array(cos, dtype=kind)
        x.attach_grad("add")
        for _ in range(3):
            with autograd.record():
                value = loss(x, nd.array(y))
            value.backward()
        sums.append(x.grad.asnumpy())
    same([sums[1]], [sums[0]])


def test_the_matrix_is_used_again_only_after_the_gradient_was_copied():
    graph, rowwise = pair("ArcLoss", classes=3000)
    wanted, got = [], []
    for loss, found in ((graph, wanted), (rowwise, got)):
        for seed in range(12):
            cos, y = cosines(16, 3000, seed)
            x = nd.array(cos, dtype="float32" if loss is rowwise else "float64")
            x.attach_grad()
            with autograd.record():
                value = loss(x, nd.array(y))
            value.backward()
            # Nobody waits for the gradient before the next batch is computed.
            found.append(x.grad)
    same([each.asnumpy() for each in got], [each.asnumpy() for each in wanted])


def test_through_a_network_on_two_devices_it_trains_as_the_graph_does():
    ends = []
    for loss in pair("ArcLoss", s=8):
        mx.random.seed(0)
        net, contexts = gluon.nn.Dense(7, in_units=3, use_bias=False), [mx.cpu(0), mx.cpu(1)]
        net.initialize(mx.init.Normal(0.3), ctx=contexts)
        net.hybridize(static_alloc=True, static_shape=True)
        trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1}, update_on_kvstore=False)
        x, y = nd.random.uniform(-1, 1, (8, 3)), nd.array([0, 1, 2, 3, 4, 5, 6, 0])
        for _ in range(10):
            with autograd.record():
                parts = [(x[:5], y[:5]), (x[5:], y[5:])]
                losses = [loss(nd.tanh(net(a.as_in_context(c))), b.as_in_context(c)) for (a, b), c in zip(parts, contexts)]
            autograd.backward(losses)
            trainer.step(8)
        ends.append([net.weight.data(c).asnumpy() for c in contexts])
    same(*ends)


def test_what_has_to_be_a_graph_stays_one(used, tmp_path):
    cos, y = cosines(6, 7)
    for name in ("SVXSoftmax", "CircleLoss", "SubCenterArc", "AdaFace"):
        assert not get_loss(name, classes=7)._rowwise(nd.array(cos))
    loss = pair("ArcLoss")[1]
    loss(nd.array(cos), nd.array(y))
    assert not used
    loss.hybridize()
    run(loss, cos, nd.array(y))
    assert len(used) == 1
    loss.export(str(tmp_path / "loss"))
    symbol = gluon.SymbolBlock.imports(str(tmp_path / "loss-symbol.json"), ["data0", "data1"])
    same([symbol(nd.array(cos), nd.array(y)).asnumpy()], [run(loss, cos, nd.array(y))[0]])
    low = nd.array(cos, dtype="float64")
    with autograd.record():
        assert loss(low, nd.array(y)).dtype == np.float64
    assert MarginLoss.rowwise_from == 2**20
