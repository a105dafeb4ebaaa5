"""The learning rate of a run: linear warm-up, then cosine, steps, linear decay or a constant."""

from __future__ import annotations

from typing import Sequence

from mxnet import lr_scheduler

from gluonfr.core import UsageError
from gluonfr.engine.loop.options import SCHEDULES


def make_schedule(
    kind: str,
    lr: float,
    steps: int,
    warmup_steps: int = 0,
    drops: Sequence[int] = (),
    factor: float = 0.1,
    final_lr: float = 0.0,
) -> lr_scheduler.LRScheduler:
    """Return a learning-rate schedule with linear warm-up from 0.

    Parameters
    ----------
    kind : {'cosine', 'step', 'poly', 'constant'}
        Shape after the warm-up; 'poly' decays linearly.
    lr : float
        Rate at the end of the warm-up.
    steps : int
        Length of the training in steps, warm-up included.
    warmup_steps : int, default 0
        Length of the warm-up in steps; must be less than `steps`.
    drops : sequence of int, optional
        Steps at which 'step' multiplies the rate by `factor`.
    factor : float, default 0.1
        Factor of each drop.
    final_lr : float, default 0
        Rate at which 'cosine' and 'poly' end.

    Returns
    -------
    mx.lr_scheduler.LRScheduler
        Callable: step number (from 1) to rate.

    Raises
    ------
    UsageError
        An unknown kind, a warm-up longer than the training, or drops that are missing or before step 1.

    Examples
    --------
    >>> schedule = make_schedule("cosine", lr=0.1, steps=100, warmup_steps=10)
    >>> [round(schedule(step), 3) for step in (5, 10, 55, 100)]
    [0.05, 0.1, 0.05, 0.0]
    """
    if kind not in SCHEDULES:
        raise UsageError(f"schedule={kind!r} must be one of {', '.join(SCHEDULES)}.")
    if warmup_steps and warmup_steps >= steps:
        raise UsageError(
            f"a warm-up of {warmup_steps} steps does not fit into a training of {steps} steps; use a shorter warmup=."
        )
    common = {"base_lr": lr, "warmup_steps": warmup_steps, "warmup_begin_lr": 0.0}
    if kind == "cosine":
        return lr_scheduler.CosineScheduler(steps, final_lr=final_lr, **common)
    if kind == "poly":
        return lr_scheduler.PolyScheduler(steps, pwr=1, final_lr=final_lr, **common)
    drops = sorted(set(drops)) if kind == "step" else []
    if drops and drops[0] < 1:
        raise UsageError(f"the learning rate cannot drop at step {drops[0]}: the first step is 1; correct drops=.")
    if kind == "step" and not drops:
        raise UsageError("schedule='step' needs the points at which the rate drops; set drops=.")
    # A constant rate with warm-up is a single drop that is never reached.
    return lr_scheduler.MultiFactorScheduler(drops or [steps + 1], factor=factor, **common)
