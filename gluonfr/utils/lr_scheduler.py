"""gluon-face's schedule by iterations, built on `mx.lr_scheduler`."""

from __future__ import annotations

from mxnet import lr_scheduler

from gluonfr.core import GluonFRError


def IterLRScheduler(
    mode,
    baselr,
    niters,
    step=(30000, 60000, 90000),
    step_factor=0.1,
    targetlr=0,
    power=0.9,
    warmup_iters=0,
    warmup_lr=0,
    warmup_mode="linear",
):
    """A scheduler of `mx.lr_scheduler` from gluon-face's arguments.

    Parameters
    ----------
    mode : {'step', 'poly', 'cosine'}
    baselr : float
        The rate after warm-up.
    niters : int
        Iterations of the whole training.
    step, step_factor
        Iterations at which 'step' multiplies the rate, and by what.
    targetlr, power
        Where 'poly' and 'cosine' end; the exponent of 'poly'.
    warmup_iters, warmup_lr, warmup_mode
        Length of the warm-up, its first rate, and 'linear' or 'constant'.
    """
    common = {
        "base_lr": baselr,
        "warmup_steps": warmup_iters,
        "warmup_begin_lr": warmup_lr,
        "warmup_mode": warmup_mode,
    }
    if mode == "step":
        return lr_scheduler.MultiFactorScheduler([int(each) for each in step], factor=step_factor, **common)
    if mode == "poly":
        return lr_scheduler.PolyScheduler(niters, pwr=power, final_lr=targetlr, **common)
    if mode == "cosine":
        return lr_scheduler.CosineScheduler(niters, final_lr=targetlr, **common)
    raise GluonFRError(f"mode is one of step, poly, cosine, got {mode!r}.")
