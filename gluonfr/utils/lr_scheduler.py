"""gluon-face's learning-rate schedule by iterations."""

from __future__ import annotations

from typing import Sequence

from mxnet import lr_scheduler

from gluonfr.core import UsageError, check_choice, check_number


class IterLRScheduler(lr_scheduler.LRScheduler):
    """Learning rate by the number of updates, with gluon-face's arguments.

    The reductions of 'step' hold from the iterations in `step` on, as in gluon-face; those of `mx.lr_scheduler` begin one
    update later. New code uses `mx.lr_scheduler`, or `gluonfr.engine.make_schedule`.

    Parameters
    ----------
    mode : {'step', 'poly', 'cosine'}
        Kind of schedule.
    baselr : float
        Learning rate after the warm-up.
    niters : int
        Number of iterations of the training; 'poly' and 'cosine' stay at their last rate afterwards.
    step : sequence of int, default (30000, 60000, 90000)
        Iterations from which on 'step' reduces the rate.
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
        For an unknown mode, or a warm-up that is as long as the training.

    Examples
    --------
    >>> schedule = IterLRScheduler("step", 0.1, 100, step=(50,))
    >>> schedule(49), schedule(50)
    (0.1, 0.010000000000000002)
    """

    def __init__(
        self,
        mode: str,
        baselr: float,
        niters: int,
        step: Sequence[float] = (30000, 60000, 90000),
        step_factor: float = 0.1,
        targetlr: float = 0,
        power: float = 0.9,
        warmup_iters: int = 0,
        warmup_lr: float = 0,
        warmup_mode: str = "linear",
    ) -> None:
        check_choice("mode", mode, ("step", "poly", "cosine"))
        check_choice("warmup_mode", warmup_mode, ("linear", "constant"))
        check_number("warmup_lr", warmup_lr, minimum=0)
        check_number("baselr", baselr, minimum=warmup_lr)
        if mode != "step" and warmup_iters >= niters:
            raise UsageError(f"warmup_iters={warmup_iters} must be less than niters={niters}.")
        super().__init__(baselr, int(warmup_iters), warmup_lr, warmup_mode)
        self.mode, self.niters, self.step, self.step_factor = mode, niters, tuple(step), step_factor
        self.targetlr, self.power = targetlr, power

    def __call__(self, num_update: int) -> float:
        """Return the learning rate of an update; the first one has number 1."""
        if num_update < self.warmup_steps:
            return self.get_warmup_lr(num_update)
        if self.mode == "step":
            return self.base_lr * self.step_factor ** sum(iteration <= num_update for iteration in self.step)
        schedule = lr_scheduler.PolyScheduler if self.mode == "poly" else lr_scheduler.CosineScheduler
        shape = {"pwr": self.power} if self.mode == "poly" else {}
        settings = {"base_lr": self.base_lr, "final_lr": self.targetlr, "warmup_steps": self.warmup_steps}
        return schedule(int(self.niters), **settings, **shape)(min(num_update, int(self.niters)))
