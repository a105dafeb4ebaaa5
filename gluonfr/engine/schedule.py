from __future__ import annotations

from mxnet import lr_scheduler

from gluonfr.core import GluonFRError

SCHEDULES = ("cosine", "step", "poly", "constant")


def make_schedule(kind, lr, steps, warmup_steps=0, drops=(), factor=0.1, final_lr=0.0):
    """A learning-rate schedule of `mx.lr_scheduler`, with linear warm-up from 0.

    Parameters
    ----------
    kind : {'cosine', 'step', 'poly', 'constant'}
        'poly' falls linearly.
    lr : float
        The rate after warm-up.
    steps : int
        Length of the training in steps.
    warmup_steps : int, default 0
    drops : sequence of int
        Steps at which 'step' multiplies the rate by `factor`.
    factor : float, default 0.1
    final_lr : float, default 0
        Where 'cosine' and 'poly' end.
    """
    if kind not in SCHEDULES:
        raise GluonFRError(f"schedule is one of {', '.join(SCHEDULES)}, got {kind!r}.")
    if warmup_steps and warmup_steps >= steps:
        raise GluonFRError(f"warm-up of {warmup_steps} steps does not fit into a training of {steps} steps; shorten it.")
    common = {"base_lr": lr, "warmup_steps": warmup_steps, "warmup_begin_lr": 0.0}
    if kind == "cosine":
        return lr_scheduler.CosineScheduler(steps, final_lr=final_lr, **common)
    if kind == "poly":
        return lr_scheduler.PolyScheduler(steps, pwr=1, final_lr=final_lr, **common)
    drops = sorted(set(drops)) if kind == "step" else ()
    if drops and drops[0] < 1:
        raise GluonFRError(f"the rate cannot drop at step {drops[0]}; the first step is 1.")
    if kind == "step" and not drops:
        raise GluonFRError("schedule 'step' needs the steps at which the rate drops (drops=[...]).")
    # One drop that is never reached makes a constant rate with warm-up.
    return lr_scheduler.MultiFactorScheduler(list(drops) or [steps + 1], factor=factor, **common)
