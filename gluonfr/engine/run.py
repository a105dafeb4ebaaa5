"""A training run from records to a network: `train`, and the `Run` that it builds."""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager, nullcontext
from typing import Any, Iterator, NamedTuple, Sequence

import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from gluonfr.core import TrainingInterrupted, TrainingStopped, UsageError
from gluonfr.deploy.devices import devices
from gluonfr.engine.batches import make_loader
from gluonfr.engine.build import build_head, build_network_and_loss, build_step
from gluonfr.engine.checkpoints.manager import CheckpointManager
from gluonfr.engine.checkpoints.snapshot import restore_snapshot, take_snapshot
from gluonfr.engine.checkpoints.writer import ArrayCache
from gluonfr.engine.distillation.build import build_distiller
from gluonfr.engine.distributed.agreement import check_agreement
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.finetuning.class_means import start_classifier
from gluonfr.engine.finetuning.inputs import open_inputs
from gluonfr.engine.meter import Meter
from gluonfr.engine.options import TrainOptions
from gluonfr.engine.precision import use_dtype
from gluonfr.engine.run_folder import RunFolder, check_same_options
from gluonfr.engine.run_outputs import RunOutputs, log_start
from gluonfr.engine.stop_signals import StopSignals
from gluonfr.engine.tracking.observer import TrainingObserver
from gluonfr.engine.tracking.provenance import data_files
from gluonfr.engine.train_result import TrainResult, peak_memory
from gluonfr.engine.validation import Validator
from gluonfr.engine.weight_average import WeightAverage
from gluonfr.metrics import VerificationResult

logger = logging.getLogger(__name__)


class Run:
    """A training run: build it from options, then call `train`.

    Building reads the data and the latest checkpoint; nothing is written before `train` or `opened`.

    Parameters
    ----------
    options : TrainOptions
    group : Group, optional
        Processes that train together; all build the same run. Rank 0 writes and logs.
    observers : sequence of TrainingObserver, optional
        Called by rank 0 with everything that is logged.

    Attributes
    ----------
    net : HybridBlock
    head : PlainHead, GatheringHead or ShardedHead
    step : TrainStep
    dataset : TrainingSet
    loader : RecordLoader

    Raises
    ------
    GluonFRError
        Options or files that cannot be used.

    Examples
    --------
    >>> Run(TrainOptions(dataset="emore", out="runs/emore")).train()  # doctest: +SKIP
    """

    def __init__(self, options: TrainOptions, group: Group | None = None, observers: Sequence[TrainingObserver] = ()) -> None:
        self.group, self.contexts, self._observers = group or Group(), devices(options.gpus, options.cpus), observers
        self._inputs = inputs = open_inputs(options, self.contexts)
        self.options, self.dataset, self.sets = inputs.options, inputs.dataset, inputs.sets
        options = self.options
        check_agreement(self.group, options, self.dataset, self.sets)
        self.folder = RunFolder(options.out)
        self.checkpoints = CheckpointManager(os.path.join(options.out, "checkpoints"), self.group, options.keep_checkpoints)
        self._found = self.checkpoints.find_latest()
        use_dtype(options.dtype, self.contexts)
        self.net, loss = build_network_and_loss(options, self.dataset, self.contexts, inputs.net)
        self._distiller = build_distiller(options, self.net, inputs.card, inputs.records, loss, self.contexts, self.group)
        self.loader = make_loader(options, self.dataset, len(self.contexts), loss, self.group, self._distiller is not None)
        self.steps_per_epoch = len(self.loader)
        self.total_steps = options.steps or max(1, round(options.epochs * self.steps_per_epoch))
        stored_kind = self._found[1].get("classifier") if self._found else None
        self.head = build_head(
            options, loss, self.dataset.num_classes, self.net.embedding_size, self.contexts, self.group, stored_kind
        )
        lengths = self.steps_per_epoch, self.total_steps
        self.step = build_step(options, self.net, self.head, self.contexts, *lengths, self.group, self._distiller)
        self.average = WeightAverage(self.net, options.average, self.group) if options.average else None
        self.val_steps = self._in_steps(options.val_every)
        self.checkpoint_steps = min(self._in_steps(options.checkpoint_every), options.checkpoint_steps or self.total_steps)
        self.validator = Validator(self.net, self.sets, self.contexts, self.average, self.group, options.progress, inputs.card)
        self.first_step = 0
        self.validation: dict[str, VerificationResult] | None = None

    def __repr__(self) -> str:
        return (
            f"Run({self.options.network} on {self.options.dataset}, {type(self.head.loss).__name__}, step "
            f"{self.step.step_number} of {self.total_steps}, {self.options.out!r})"
        )

    def _in_steps(self, epochs: float) -> int:
        return max(1, int(round(epochs * self.steps_per_epoch))) if epochs else self.total_steps

    @property
    def is_chief(self) -> bool:
        """Whether this process writes and logs for all."""
        return self.group.rank == 0

    @contextmanager
    def opened(self) -> Iterator[Run]:
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
                self.folder.write_description(self.options, self.contexts, data_files(self.options, self.sets), first)
                self.outputs = RunOutputs(self.options, self._inputs.card, first, self.total_steps, self._observers)
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
            check_same_options(path, meta, self.options)
            restore_snapshot(path, meta, self.step, self.average)
            self.validator.best, self.first_step = meta["best"], self.step.step_number
            logger.info("resuming from %s, step %d of %d", path, self.first_step, self.total_steps)
        elif self.options.resume:
            raise UsageError(f"{self.checkpoints.folder} holds no checkpoint to resume from; start with resume=False.")
        elif self.is_chief:
            self.folder.check_start(self.options)
        if not self._found and self.options.init_classifier == "means":
            start_classifier(self.head, self.net, self.dataset, self.contexts, self.options.seed, self.group.beat)
        self.step.share()

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
        log_start(self.options, self.dataset, type(self.head.loss).__name__, self.total_steps, self.contexts, self.group.size)
        meter = Meter(self.contexts, self.group)
        self._saved_at, cache_ready = time.monotonic(), False
        if self.options.pretrained and self.sets and self.step.step_number == 0:
            with meter.paused():
                self.validation = self._validate()
        with logging_redirect_tqdm(), StopSignals(limit=1) as signals, self._progress_bar() as bar:
            for images, labels, references in self._batches():
                meter.add(images.shape[0], self.step(images, labels, references))
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
        if self.validation is None and self.sets:
            self.validation = self._validate()
        return self._finish(meter)

    def _progress_bar(self) -> tqdm:
        disable = None if self.options.progress and self.is_chief else True
        return tqdm(total=self.total_steps, initial=self.step.step_number, unit="step", disable=disable)

    def _batches(self) -> Iterator[tuple[Any, Any, Any]]:
        while self.step.step_number < self.total_steps and not self.has_stalled:
            epoch, start = divmod(self.step.step_number, self.steps_per_epoch)
            for images, labels, *items in self.loader.epoch(epoch, start):
                yield images, labels, self._distiller.batch(*items) if self._distiller is not None else None
                if self.step.step_number >= self.total_steps or self.has_stalled:
                    return

    @property
    def has_stalled(self) -> bool:
        """Whether the run ends early: no validation among the last `patience` ones was better than those before."""
        best, patience = self.validator.best, self.options.patience
        # No gain is expected before the warm-up has ended and the network is trained.
        start = max(self.step.frozen_steps, int(self.options.warmup * self.steps_per_epoch))
        since = max(best.get("step", 0), -(-start // self.val_steps) * self.val_steps)
        return bool(patience and best) and self.step.step_number - since >= patience * self.val_steps

    def _after_step(self, meter: Meter, bar: tqdm, stop_requested: bool) -> None:
        """Publish the checkpoint that is on disk, log, validate, save, and stop, as far as each is due."""
        number = self.step.step_number
        last = number == self.total_steps
        decision = self._agree(stop_requested)
        if decision.publish:
            self.checkpoints.publish()
        stopping = decision.stop and not last
        validating = bool(self.sets) and (last or number % self.val_steps == 0)
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
            # A failed validation must not cost the work since the last checkpoint. It fails on all ranks together; after any
            # other failure saving would wait for ranks that have not failed.
            if self.group.size == 1 or isinstance(error, TrainingStopped):
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
                f"the loss became {loss} before step {number}: use a lower lr=, a longer warmup=, a smaller scale (loss_args= "
                f"with s=16) or clip gradients (clip_norm=5); earlier checkpoints are in {self.checkpoints.folder}."
            )
        bar.set_postfix(loss=f"{loss:.3f}", images_per_s=f"{speed:.0f}")
        if self.is_chief:
            self.outputs.add_training(number, number / self.steps_per_epoch, loss, self.step.trainer.learning_rate, speed)

    def _validate(self) -> dict[str, VerificationResult]:
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
        pictures, validation = [], self.validation or {}
        with self.validator.as_saved():
            if self.is_chief:
                self.outputs.save_network("last", self.net, self.step.step_number, validation)
        if self.is_chief:
            pictures = self.outputs.finish(validation, self.validator.pairs)
        steps, best = self.step.step_number - self.first_step, self.validator.best
        return TrainResult(self.options.out, steps, meter.images, meter.seconds, validation, best, peak_memory(), pictures)


class _Decision(NamedTuple):
    """What all ranks do after a step: stop, write a checkpoint, publish the one that all have written."""

    stop: bool
    save: bool
    publish: bool


def train(
    options: TrainOptions | None = None,
    group: Group | None = None,
    observers: Sequence[TrainingObserver] = (),
    **kwargs: Any,
) -> TrainResult:
    """Train a network, or resume the run in the same folder.

    Parameters
    ----------
    options : TrainOptions, optional
        All options; alternatively pass its fields as keyword arguments.
    group : Group, optional
        Processes that train together.
    observers : sequence of TrainingObserver, optional
        Called with everything that is logged.
    **kwargs
        Fields of `TrainOptions`.

    Returns
    -------
    TrainResult

    Raises
    ------
    GluonFRError
        Options or files that cannot be used.
    TrainingStopped
        A loss that is not finite, or a request to stop (the run is saved).

    Examples
    --------
    >>> from gluonfr.engine import train
    >>> train(dataset="emore", out="runs/emore", val=["lfw"], gpus=[0, 1])  # doctest: +SKIP
    """
    return Run(options or TrainOptions(**kwargs), group, observers).train()
