"""gluon-face's schedule and figures under their old import paths."""

import math

import numpy as np
import pytest
from mxnet import autograd, gluon

from gluonfr.core import UsageError
from gluonfr.utils.lr_scheduler import IterLRScheduler
from gluonfr.utils.viz import plot_accuracy, plot_roc


def test_step_drops_at_the_iterations_that_are_listed():
    schedule = IterLRScheduler("step", 0.4, 100, step=[10, 20], step_factor=0.5)
    assert [schedule(number) for number in (1, 9, 10, 19, 20, 100)] == [0.4, 0.4, 0.2, 0.2, 0.1, 0.1]
    # Earlier updates can be asked for again: the schedule has no state.
    assert schedule(9) == 0.4
    assert IterLRScheduler("step", 0.4, 100, step=(30e3,))(29_999) == 0.4


def test_poly_and_cosine_after_a_warm_up():
    poly = IterLRScheduler("poly", 0.4, 110, targetlr=0.1, power=2, warmup_iters=10, warmup_lr=0.2)
    assert [poly(number) for number in (0, 5, 10, 60, 110)] == pytest.approx([0.2, 0.3, 0.4, 0.1 + 0.3 * 0.25, 0.1])
    cosine = IterLRScheduler("cosine", 0.4, 110, targetlr=0.1, warmup_iters=10, warmup_lr=0.2, warmup_mode="constant")
    wanted = [0.2, 0.2, 0.4, 0.1 + 0.3 * (1 + math.cos(math.pi * 0.25)) / 2, 0.1, 0.1]
    assert [cosine(number) for number in (0, 9, 10, 35, 110, 500)] == pytest.approx(wanted)


def test_a_trainer_follows_the_schedule():
    weight = gluon.Parameter("weight", shape=(1,), init="zeros")
    weight.initialize()
    trainer = gluon.Trainer([weight], "sgd", {"lr_scheduler": IterLRScheduler("step", 0.5, 10, step=(3,))})
    values = [0.0]
    for _ in range(4):
        with autograd.record():
            loss = -weight.data()
        loss.backward()
        trainer.step(1)
        values.append(weight.data().asscalar())
    # The third update is the first one with the reduced rate.
    np.testing.assert_allclose(np.diff(values), [0.5, 0.5, 0.05, 0.05], rtol=1e-5)


@pytest.mark.parametrize("arguments", [("linear", 0.1, 10), ("cosine", 0.1, 10, (), 0.1, 0, 0.9, 10)])
def test_invalid_schedules_are_rejected(arguments):
    with pytest.raises(UsageError):
        IterLRScheduler(*arguments)


def test_the_figures_show_the_values():
    tpr, fpr = np.array([0, 0.8, 1]), np.array([0, 0.1, 1])
    (line,) = plot_roc(tpr, fpr, "false", "true").axes[0].lines
    np.testing.assert_array_equal(line.get_xydata(), np.stack([fpr, tpr], axis=1))
    axes = plot_accuracy([0.5, 0.9], [0.1, 0.2]).axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_xydata(), [[0.1, 0.5], [0.2, 0.9]])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("threshold", "accuracy")
    with pytest.raises(UsageError, match="3 values of FPR and 2 of TPR"):
        plot_roc([0, 1], [0, 0.5, 1])
