"""gluon-face's learning-rate schedule by iterations, built on `mx.lr_scheduler`."""

from __future__ import annotations

from typing import Sequence

from mxnet import lr_scheduler

from gluonfr.core import check_choice


def IterLRScheduler(  # noqa: N802  gluon-face's name
    mode: str,
    baselr: float,
    niters: int,
    step: Sequence[int] = (30000, 60000, 90000),
    step_factor: float = 0.1,
    targetlr: float = 0,
    power: float = 0.9,
    warmup_iters: int = 0,
    warmup_lr: float = 0,
    warmup_mode: str = "linear",
) -> lr_scheduler.LRScheduler:
    """Build a scheduler of `mx.lr_scheduler` from gluon-face's arguments.

    Parameters
    ----------
    mode : {'step', 'poly', 'cosine'}
        Kind of schedule.
    baselr : float
        Learning rate after the warm-up.
    niters : int
        Number of iterations of the training.
    step : sequence of int, default (30000, 60000, 90000)
        Iterations at which 'step' reduces the rate.
    step_factor : float, default 0.1
        Factor of each reduction.
    targetlr : float, default 0
        Last learning rate of 'poly' and 'cosine'.
    power : float, default 0.9
        Exponent of 'poly'.
    warmup_iters : int, default 0
        Number of iterations of the warm-up.
    warmup_lr : float, default 0
        First learning rate of the warm-up.
    warmup_mode : {'linear', 'constant'}, default 'linear'
        Kind of warm-up.

    Raises
    ------
    UsageError
        For an unknown mode.

    Examples
    --------
    >>> schedule = IterLRScheduler("step", 0.1, 100, step=(50,))
    >>> schedule(10), schedule(60)
    (0.1, 0.010000000000000002)
    """
    check_choice("mode", mode, ("step", "poly", "cosine"))
    common = {
        "base_lr": baselr,
        "warmup_steps": warmup_iters,
        "warmup_begin_lr": warmup_lr,
        "warmup_mode": warmup_mode,
    }
    if mode == "step":
        return lr_scheduler.MultiFactorScheduler([int(iteration) for iteration in step], factor=step_factor, **common)
    if mode == "poly":
        return lr_scheduler.PolyScheduler(niters, pwr=power, final_lr=targetlr, **common)
    return lr_scheduler.CosineScheduler(niters, final_lr=targetlr, **common)
