"""Losses with state in hand-written loops that never call `step`: the same state as with it, one batch later."""

import logging

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd

from gluonfr.core.mxnet_internals import own_parameters
from gluonfr.loss import get_loss

STATEFUL = ["ASoftmax", "AdaCos", "AdaFace", "CenterLoss", "CurricularFace", "GitLoss", "LSoftmax", "RingLoss"]
C, D = 5, 4


class Loop:
    """A network, a loss and a Trainer of both in the manner of gluon-face's scripts."""

    def __init__(self, name, contexts, hand_over=True):
        mx.random.seed(1)
        self.contexts = contexts
        self.loss = get_loss(name, classes=C, embedding_size=D)
        self.net, self.classifier = gluon.nn.Dense(D, in_units=3), gluon.nn.Dense(C, use_bias=False, in_units=D)
        for block in (self.net, self.classifier, self.loss):
            block.initialize(mx.init.Normal(0.5), ctx=contexts)
        # The order of initialization decides the values.
        parameters = self.net.collect_params()
        parameters.update(self.classifier.collect_params())
        if hand_over:
            parameters.update(self.loss.params)
        self.trainer = gluon.Trainer(parameters, "sgd", {"learning_rate": 0.05, "momentum": 0.9})

    def forward(self, seed):
        rng = np.random.RandomState(seed)
        arrays = nd.array(rng.randn(12, 3)), nd.array(rng.randint(0, C, 12))
        parts = zip(*(gluon.utils.split_and_load(array, self.contexts) for array in arrays))
        with autograd.record():
            losses = []
            for x, label in parts:
                embedding = self.net(x)
                output = self.classifier(embedding)
                if self.loss.spec.input_kind == "cosine":
                    output = nd.L2Normalization(output)
                losses.append(self.loss(output, label, *([embedding] if self.loss.spec.needs_embedding else [])))
        return losses

    def iterate(self, seed, step=False):
        autograd.backward(self.forward(seed))
        self.trainer.step(12)
        if step:
            self.loss.step()

    def state(self, context=None):
        return {name: parameter.data(context).asnumpy() for name, parameter in own_parameters(self.loss).items()}


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("name", STATEFUL)
def test_the_state_equals_that_of_a_loop_with_step(name, devices, caplog):
    contexts = [mx.cpu(i) for i in range(devices)]
    by_hand, plain = Loop(name, contexts), Loop(name, contexts)
    start = plain.state()
    with caplog.at_level(logging.WARNING):
        for seed in range(4):
            by_hand.iterate(seed, step=True)
            plain.iterate(seed)
        # The last step is noticed when the next batch begins.
        plain.forward(9)
    for context in contexts:
        for key, value in by_hand.state().items():
            np.testing.assert_allclose(plain.state(context)[key], value, rtol=1e-5, atol=1e-6, err_msg=key)
    assert any((start[key] != value).any() for key, value in plain.state().items())
    # Momentum and weights of the network are the same: no update of the state disturbs the Trainer.
    np.testing.assert_allclose(
        plain.net.weight.data(contexts[0]).asnumpy(), by_hand.net.weight.data(contexts[0]).asnumpy(), rtol=1e-4, atol=1e-5
    )
    # On several devices one sentence names the call.
    warnings = [record.getMessage() for record in caplog.records if "loss.step()" in record.getMessage()]
    assert len(warnings) == (devices > 1)


@pytest.mark.parametrize("name", ["CenterLoss", "CurricularFace"])
def test_the_trainer_need_not_have_the_parameters_of_the_loss(name):
    loop = Loop(name, [mx.cpu()], hand_over=False)
    start = loop.state()
    for seed in range(3):
        loop.iterate(seed)
    assert any((start[key] != value).any() for key, value in loop.state().items())


def test_passes_between_two_updates_are_one_step():
    loop = Loop("ASoftmax", [mx.cpu()])
    for seed in range(6):
        losses = loop.forward(seed)
        if seed % 3 == 2:
            autograd.backward(losses)
            loop.trainer.step(12)
    loop.forward(9)
    assert loop.loss.steps.data().asscalar() == 2


def test_passes_without_an_update_leave_the_state_alone():
    loop = Loop("CenterLoss", [mx.cpu()])
    loop.iterate(0)
    loop.forward(1)
    before = loop.state()["centers"]
    for seed in range(3):
        loop.forward(seed)
    np.testing.assert_array_equal(loop.state()["centers"], before)


def test_after_the_first_call_only_step_advances():
    loop = Loop("ASoftmax", [mx.cpu()])
    loop.iterate(0, step=True)
    for seed in range(3):
        loop.iterate(seed)
    assert loop.loss.steps.data().asscalar() == 1


@pytest.mark.parametrize(("name", "parameter"), [("RingLoss", "R"), ("MultiBatchLoss", "theta"), ("LGMLoss", "mean")])
def test_what_a_trainer_can_move_is_an_ordinary_parameter(name, parameter):
    loss = get_loss(name, **({"r_init": 1.0} if name == "RingLoss" else {}), classes=C, embedding_size=D)
    loss.initialize()
    trainer = gluon.Trainer(loss.params, "sgd", {"learning_rate": 0.1})
    before = loss.params.get(parameter).data().asnumpy()
    embedding, label = nd.random.normal(shape=(6, D)), nd.array([0, 0, 1, 1, 2, 2])
    with autograd.record():
        value = loss(nd.zeros((6, C)), label, embedding) if name == "RingLoss" else loss(embedding, label)
    value.backward()
    gradient = loss.params.get(parameter).grad().asnumpy()
    trainer.step(6)
    np.testing.assert_allclose(loss.params.get(parameter).data().asnumpy(), before - 0.1 * gradient / 6, rtol=1e-5, atol=1e-7)
    assert np.abs(gradient).max() > 0
