"""The loop that all kinds of training share, from the lock of the run folder to the saved network."""

from __future__ import annotations

import logging
import os
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Iterator, Mapping, NamedTuple, Sequence, TypeVar

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from gluonfr.core import TrainingInterrupted, TrainingStopped, UsageError
from gluonfr.engine.checkpoints.manager import CheckpointManager
from gluonfr.engine.checkpoints.snapshot import restore_snapshot, take_snapshot
from gluonfr.engine.checkpoints.writer import ArrayCache
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.loop.options import RunOptions
from gluonfr.engine.loop.outputs import RunOutputs
from gluonfr.engine.loop.validator import NetworkValidator
from gluonfr.engine.meter import Meter
from gluonfr.engine.overflow import has_diverged
from gluonfr.engine.precision import choose_dtype, use_dtype
from gluonfr.engine.run_folder import RunFolder, check_same_options
from gluonfr.engine.step import TrainStep
from gluonfr.engine.stop_signals import StopSignals
from gluonfr.engine.tracking.observer import TrainingObserver
from gluonfr.engine.train_result import TrainResult, peak_memory
from gluonfr.engine.weight_average import WeightAverage

logger = logging.getLogger(__name__)

_Loop = TypeVar("_Loop", bound="TrainingLoop")


class TrainingLoop(ABC):
    """A training run: build it from options, then call `train`.

    A subclass provides the parts: network, loader, head, step, validator and outputs. Building reads the data and the latest
    checkpoint; nothing is written before `train` or `opened`.

    Parameters
    ----------
    options : RunOptions
        Complete: no option that a recipe chooses is None.
    contexts : list of Context
        Devices of this process.
    group : Group
        Processes that train together; all build the same run. Rank 0 writes and logs.
    observers : sequence of TrainingObserver
        Called by rank 0 with everything that is logged.

    Attributes
    ----------
    net : HybridBlock
    head : Block
        `head(outputs, labels) -> losses`, lists with one entry per device.
    step : TrainStep
    loader : iterable of batches by epoch

    Examples
    --------
    >>> Run(TrainOptions(dataset="emore", out="runs/emore")).train()  # doctest: +SKIP
    """

    # What to change when the loss is not finite.
    divergence_advice = "use a lower lr= or a longer warmup="
    outputs: RunOutputs

    def __init__(
        self, options: RunOptions, contexts: Sequence[mx.Context], group: Group, observers: Sequence[TrainingObserver]
    ) -> None:
        if options.dtype == "auto":
            options = replace(options, dtype=choose_dtype(contexts))
        self.options, self.contexts, self.group, self._observers = options, list(contexts), group, observers
        self.folder = RunFolder(options.out)
        self.checkpoints = CheckpointManager(os.path.join(options.out, "checkpoints"), group, options.keep_checkpoints)
        self._found = self.checkpoints.find_latest()
        use_dtype(options.dtype, self.contexts)
        self.net: HybridBlock = self._build_network()
        self.loader = self._make_loader()
        self.steps_per_epoch = len(self.loader)
        self.total_steps: int = options.steps or max(1, round(options.epochs * self.steps_per_epoch))
        self.head: Any = self._build_head(self._found[1].get("classifier") if self._found else None)
        self.step: TrainStep = self._build_step()
        self.average = WeightAverage(self.net, options.average, group) if options.average else None
        self.val_steps = self._in_steps(options.val_every)
        self.checkpoint_steps = min(self._in_steps(options.checkpoint_every), options.checkpoint_steps or self.total_steps)
        self.validator: NetworkValidator = self._make_validator()
        self.first_step = 0
        self.validation: Mapping[str, Any] | None = None

    @abstractmethod
    def _build_network(self) -> HybridBlock:
        """Return the network, initialized on all devices."""

    @abstractmethod
    def _make_loader(self) -> Any:
        """Return the loader: `len(loader)` batches per epoch, and `epoch(number, start)` iterates over them."""

    @abstractmethod
    def _build_head(self, stored_kind: str | None) -> Any:
        """Return the initialized head; `stored_kind` is that of the classifier in the checkpoint that is resumed."""

    @abstractmethod
    def _build_step(self) -> TrainStep:
        """Return the training step, from `net` and `head`."""

    @abstractmethod
    def _make_validator(self) -> NetworkValidator:
        """Return the validator."""

    @abstractmethod
    def _make_outputs(self, first_step: int) -> RunOutputs:
        """Return what writes the results of the run; called once its folder is locked."""

    @abstractmethod
    def _data_files(self) -> list[str]:
        """Return the paths of the data files, for the provenance."""

    @abstractmethod
    def _log_start(self) -> None:
        """Log what is trained, on which data and devices."""

    def _start_fresh(self) -> None:  # noqa: B027  (most kinds of training have nothing to prepare)
        """Prepare a run that does not resume; called once its folder is locked."""

    def _step_arguments(self, batch: Any) -> tuple[Any, ...]:
        """Return the arguments of the step for a batch of the loader."""
        return tuple(batch)

    @property
    def starts_trained(self) -> bool:
        """Whether the network is worth a validation before it is trained."""
        return False

    @property
    def has_stalled(self) -> bool:
        """Whether the run ends early because the network no longer improves."""
        return False

    def _in_steps(self, epochs: float) -> int:
        return max(1, int(round(epochs * self.steps_per_epoch))) if epochs else self.total_steps

    @property
    def is_chief(self) -> bool:
        """Whether this process writes and logs for all."""
        return self.group.rank == 0

    @contextmanager
    def opened(self: _Loop) -> Iterator[_Loop]:
        """Lock the run folder for the time of the block, and restore the latest checkpoint.

        Raises
        ------
        UsageError
            Another live process uses the folder, or it holds a run with other options.
        """
        with self.folder.locked() if self.is_chief else nullcontext():
            self._restore()
            if self.is_chief:
                # Written last, so that a run that is refused changes nothing.
                first = self.step.step_number
                self.folder.write_description(self.options, self.contexts, self._data_files(), first)
                self.outputs = self._make_outputs(first)
            error: BaseException | None = None
            try:
                yield self
            except BaseException as raised:
                error = raised
                raise
            finally:
                if self.group.size == 1:
                    # Other processes may have ended already, and waiting for them would never end.
                    self.checkpoints.finish()
                if self.is_chief:
                    self.outputs.close(error)

    def _restore(self) -> None:
        if self._found:
            path, meta = self._found
            self._check_resumable(path, meta)
            restore_snapshot(path, meta, self.step, self.average)
            self.validator.best, self.first_step = meta["best"], self.step.step_number
            logger.info("resuming from %s, step %d of %d", path, self.first_step, self.total_steps)
        elif self.options.resume:
            raise UsageError(f"{self.checkpoints.folder} holds no checkpoint to resume from; start with resume=False.")
        elif self.is_chief:
            self.folder.check_start(self.options)
        if not self._found:
            self._start_fresh()
        self.step.share()

    def _check_resumable(self, path: str, meta: Mapping[str, Any]) -> None:
        """Raise an error unless the checkpoint at `path` is of this run."""
        check_same_options(path, meta, self.options)

    def train(self) -> TrainResult:
        """Train to the end, or until SIGINT or SIGTERM, after which the run finishes its step and writes a checkpoint.

        Raises
        ------
        TrainingStopped
            The run was asked to stop, or the loss is not finite.
        """
        with self.opened():
            return self._train()

    def _train(self) -> TrainResult:
        self._log_start()
        meter = Meter(self.contexts, self.group)
        self._saved_at, cache_ready = time.monotonic(), False
        if self.starts_trained and self.validator.has_data and self.step.step_number == 0:
            with meter.paused():
                self.validation = self._validate()
        with logging_redirect_tqdm(), StopSignals(limit=1) as signals, self._progress_bar() as bar:
            for arguments in self._batches():
                meter.add(arguments[0].shape[0], self.step(*arguments))
                if self.average is not None:
                    self.average.update()
                bar.update()
                if not cache_ready and self.step.updates:
                    cache_ready = True
                    # After the first update all arrays of a checkpoint exist: allocate their copies now.
                    with meter.paused():
                        self._snapshot(self.checkpoints.cache)
                self._after_step(meter, bar, bool(signals.count))
        self.checkpoints.finish()
        if self.validation is None and self.validator.has_data:
            self.validation = self._validate()
        return self._finish(meter)

    def _progress_bar(self) -> tqdm:
        disable = None if self.options.progress and self.is_chief else True
        return tqdm(total=self.total_steps, initial=self.step.step_number, unit="step", disable=disable)

    def _batches(self) -> Iterator[tuple[Any, ...]]:
        while self.step.step_number < self.total_steps and not self.has_stalled:
            epoch, start = divmod(self.step.step_number, self.steps_per_epoch)
            for batch in self.loader.epoch(epoch, start):
                yield self._step_arguments(batch)
                if self.step.step_number >= self.total_steps or self.has_stalled:
                    return

    def _after_step(self, meter: Meter, bar: tqdm, stop_requested: bool) -> None:
        """Publish the checkpoint that is on disk, log, validate, save, and stop, as far as each is due."""
        number = self.step.step_number
        last = number == self.total_steps
        decision = self._agree(stop_requested)
        if decision.publish:
            self.checkpoints.publish()
        stopping = decision.stop and not last
        validating = self.validator.has_data and (last or number % self.val_steps == 0)
        saving = last or stopping or decision.save or number % self.checkpoint_steps == 0
        logging_due = number % self.options.log_every == 0
        if validating or saving or logging_due:
            self._log(meter, bar)
        if self.average is not None and (validating or logging_due):
            with meter.paused():
                self.average.update_statistics()
        if validating or saving:
            with meter.paused():
                self._validate_and_save(validating, saving)
        if self.has_stalled and not last:
            logger.info("no better network since step %d: training ends early", self.validator.best["step"])
        elif stopping:
            self.checkpoints.finish()
            raise TrainingInterrupted(f"stopped after step {number} with a checkpoint; run the same command again to resume.")

    def _agree(self, stop_requested: bool) -> _Decision:
        """Return what all ranks do after a step."""
        minutes = self.options.checkpoint_minutes
        save_due = minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes
        values = self.group.gather_values([stop_requested, save_due, self.checkpoints.writing, self.checkpoints.written])
        stops, saves, writing, written = zip(*values)
        # Clocks differ: that of rank 0 decides.
        return _Decision(any(stops), saves[0], any(writing) and all(written))

    def _validate_and_save(self, validating: bool, saving: bool) -> None:
        try:
            if validating:
                self.validation = self._validate()
        except Exception as error:
            # A failed validation must not cost the work since the last checkpoint, unless the training diverged. It fails on
            # all ranks together; after any other failure saving would wait for ranks that have not failed.
            fails_everywhere = self.group.size == 1 or isinstance(error, TrainingStopped)
            if fails_everywhere and not has_diverged(self.net, self.contexts[0]):
                self._save()
                self.checkpoints.finish()
            raise
        if saving or self.has_stalled:
            self._save()

    def _save(self) -> None:
        self.checkpoints.save(self.step.step_number, self._snapshot)
        self._saved_at = time.monotonic()

    def _snapshot(self, cache: ArrayCache) -> tuple[dict[str, Any], dict[str, Any]]:
        arrays, meta = take_snapshot(self.step, self.average, cache)
        return arrays, dict(meta, best=self.validator.best, options=self.options.fixed_on_resume())

    def _log(self, meter: Meter, bar: tqdm) -> None:
        loss, speed = meter.read()
        number = self.step.step_number
        if not np.isfinite(loss):
            raise TrainingStopped(
                f"the loss became {loss} before step {number}: {self.divergence_advice}; earlier checkpoints are in "
                f"{self.checkpoints.folder}."
            )
        bar.set_postfix(loss=f"{loss:.3f}", images_per_s=f"{speed:.0f}")
        if self.is_chief:
            self.outputs.add_training(number, number / self.steps_per_epoch, loss, self.step.trainer.learning_rate, speed)

    def _validate(self) -> Mapping[str, Any]:
        number = self.step.step_number
        results, is_best = self.validator.validate(number)
        if self.is_chief:
            self.outputs.add_validation(number, number / self.steps_per_epoch, results, self.validator.norms)
        if is_best:
            # All ranks take part, because they share their running statistics.
            with self.validator.as_saved():
                if self.is_chief:
                    self.outputs.save_network("best", self.net, number, results)
        return results

    def _finish(self, meter: Meter) -> TrainResult:
        pictures, validation = [], dict(self.validation or {})
        with self.validator.as_saved():
            if self.is_chief:
                self.outputs.save_network("last", self.net, self.step.step_number, validation)
        if self.is_chief:
            pictures = self.outputs.finish(validation)
        steps, best = self.step.step_number - self.first_step, self.validator.best
        return TrainResult(self.options.out, steps, meter.images, meter.seconds, validation, best, peak_memory(), pictures)


class _Decision(NamedTuple):
    """What all ranks do after a step: stop, write a checkpoint, publish the one that all have written."""

    stop: bool
    save: bool
    publish: bool
