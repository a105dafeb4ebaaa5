from __future__ import annotations

import logging
import os
import resource
import sys
import time
from dataclasses import dataclass

import mxnet as mx
import numpy as np
from mxnet import nd
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from gluonfr.core import GluonFRError
from gluonfr.data.dataset.lookup import get_training_set, get_verification_sets
from gluonfr.engine import precision
from gluonfr.engine.average import WeightAverage, shared_statistics
from gluonfr.engine.batches import make_loader
from gluonfr.engine.checkpoints.files import Checkpoints
from gluonfr.engine.checkpoints.snapshot import put_back, take
from gluonfr.engine.distributed.agreement import check_agreement
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.folder import RunFolder, check_same_options
from gluonfr.engine.heads.selection import choose_head
from gluonfr.engine.meter import Meter
from gluonfr.engine.options import TrainOptions
from gluonfr.engine.results import Results
from gluonfr.engine.schedule import make_schedule
from gluonfr.engine.signals import StopSignals
from gluonfr.engine.step import TrainStep, recipe_multipliers
from gluonfr.engine.validate import validate
from gluonfr.loss import get_loss
from gluonfr.model_zoo import get_model

logger = logging.getLogger(__name__)


@dataclass
class TrainResult:
    """What a run came to.

    Attributes
    ----------
    folder : str
    steps, images : int
        Taken in this process.
    seconds : float
        Of training, without validation and checkpoints.
    validation : dict of name to VerificationResult
        At the end.
    best : dict
        `step` of the network with the largest area under the ROC of the first verification set, that `auc`, and its
        `accuracy` on every set by name; empty without a set that has both kinds of pairs.
    peak_memory : float
        GB of this process.
    pictures : list of str
    """

    folder: str
    steps: int
    images: int
    seconds: float
    validation: dict
    best: dict
    peak_memory: float
    pictures: list[str]


class Run:
    """One training run from records to a network: build from options, then `train`.

    Parameters
    ----------
    options : TrainOptions
    group : Group, optional
        The processes that train together; all build the same run. Rank 0 writes and logs.
    """

    def __init__(self, options, group=None) -> None:
        self.options, self.group = options, group or Group()
        self.contexts = options.contexts()
        self.dataset = get_training_set(options.dataset, options.root, options.identities)
        self.sets = get_verification_sets(options.val, options.root, options.dataset)
        check_agreement(self.group, options, self.dataset, self.sets)
        self.folder = RunFolder(options.out)
        self.checkpoints = Checkpoints(os.path.join(options.out, "checkpoints"), self.group, options.keep_checkpoints)
        self._found = self.checkpoints.find()
        precision.use(options.dtype, self.contexts)
        self.net, loss = self._network_and_loss()
        self.loader = make_loader(options, self.dataset, len(self.contexts), loss, self.group)
        self.steps_per_epoch = len(self.loader)
        self.total_steps = options.steps or max(1, round(options.epochs * self.steps_per_epoch))
        self._build(loss)
        self.first_step, self.best = 0, {}
        if self.chief:
            self.folder.take()
        try:
            self._resume()
            # Written last, so that a run that is refused changes nothing.
            if self.chief:
                self.folder.write_options(options)
            self.results = Results(options, self.dataset.image_size, self.step.step_number) if self.chief else None
        except BaseException:
            self.folder.release()
            raise

    @property
    def chief(self):
        """Whether this process writes and logs for all."""
        return self.group.rank == 0

    def _network_and_loss(self):
        options, classes = self.options, self.dataset.num_classes
        mx.random.seed(options.seed)
        resized = {"input_crop", "input_size"} & set(options.network_args)
        if resized and tuple(self.dataset.image_size) != (112, 112):
            raise GluonFRError(f"{sorted(resized)[0]} takes images of 112x112, {self.dataset.records.path} holds others.")
        try:
            weights = {"pretrained": options.pretrained, "ctx": self.contexts} if options.pretrained else {}
            net = get_model(options.network, **weights, **options.network_args)
            return net, get_loss(options.loss, classes=classes, embedding_size=net.embedding_size, **options.loss_args)
        except TypeError as error:
            raise GluonFRError(f"an argument of the network or the loss is of the wrong kind ({error}); correct it.") from error

    def _build(self, loss) -> None:
        options = self.options
        if not options.pretrained:
            self.net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2), ctx=self.contexts)
        before = self._found[1].get("classifier") if self._found else None
        self.head = choose_head(
            options, loss, self.dataset.num_classes, self.net.embedding_size, self.contexts, self.group, before
        )
        self.head.initialize(mx.init.Xavier(), ctx=self.contexts)
        for block in (self.net, self.head):
            block.hybridize(static_alloc=True, static_shape=True)
        try:
            for context in self.contexts:
                self.net(nd.zeros((1, 3, *self.dataset.image_size), ctx=context)).wait_to_read()
        except (mx.base.MXNetError, ValueError) as error:
            size = "x".join(map(str, self.dataset.image_size))
            raise GluonFRError(
                f"{options.network} cannot take the images of {size} pixels that {self.dataset.records.path} holds; align them "
                "to 112x112."
            ) from error
        # The loss's own parameters keep the multipliers that the loss gave them.
        recipe_multipliers(self.net.collect_params(), self.head.classifier_weights, options.classifier_wd_mult)

        def in_steps(epochs):
            return int(round(epochs * self.steps_per_epoch))

        settings = {
            "learning_rate": options.lr,
            "wd": options.wd,
            "lr_scheduler": make_schedule(
                options.schedule,
                options.lr,
                self.total_steps,
                in_steps(options.warmup),
                [in_steps(each) for each in options.drops],
                final_lr=options.lr * options.final_lr,
            ),
        }
        if options.optimizer in ("sgd", "nag"):
            settings["momentum"] = options.momentum
        try:
            self.step = TrainStep(
                self.net,
                self.head,
                self.contexts,
                options.optimizer,
                settings,
                options.clip_norm,
                options.seed,
                self.group,
                options.accumulate,
                precision.LossScale() if options.dtype == "float16" else None,
            )
        except (TypeError, ValueError) as error:
            raise GluonFRError(f"optimizer {options.optimizer!r}: {str(error).splitlines()[0]}") from error
        self.average = WeightAverage(self.net, options.average, self.group) if options.average else None
        self.val_steps, self.checkpoint_steps = (
            max(1, in_steps(each)) if each else self.total_steps for each in (options.val_every, options.checkpoint_every)
        )
        if options.checkpoint_steps:
            self.checkpoint_steps = min(self.checkpoint_steps, options.checkpoint_steps)

    def _resume(self) -> None:
        if self._found:
            path, meta = self._found
            check_same_options(path, meta, self.options)
            put_back(path, meta, self.step, self.average)
            self.best, self.first_step = meta["best"], self.step.step_number
            logger.info("going on from %s, step %d of %d", path, self.first_step, self.total_steps)
        elif self.options.resume:
            raise GluonFRError(f"{self.checkpoints.folder} holds no checkpoint to go on from; start without --resume.")
        elif self.chief:
            self.folder.check_start(self.options)
        self.step.share()

    def train(self):
        """Train to the end, or until Ctrl-C or SIGTERM, which finish the step and save; returns a TrainResult."""
        try:
            return self._train()
        finally:
            if self.group.size == 1:
                # What was being written is whole; among several processes nobody can be waited for any more.
                self.checkpoints.finish()
            self.folder.release()

    def _train(self):
        options = self.options
        logger.info(
            "%s on %s: %d images of %d identities, %s, %d steps of %d images on %s%s",
            options.network,
            options.dataset,
            len(self.dataset),
            self.dataset.num_classes,
            type(self.head.loss).__name__,
            self.total_steps,
            options.batch_size,
            ", ".join(map(str, self.contexts)),
            "" if self.group.size == 1 else f" of each of {self.group.size} processes",
        )
        meter = Meter(self.contexts, self.group)
        validation, saved_at, ready = None, time.monotonic(), False
        with logging_redirect_tqdm(), StopSignals() as signals, tqdm(
            total=self.total_steps,
            initial=self.step.step_number,
            unit="step",
            disable=None if options.progress and self.chief else True,
        ) as bar:
            for images, labels in self._batches():
                meter.add(images.shape[0], self.step(images, labels))
                if self.average is not None:
                    self.average.update()
                bar.update()
                if not ready and self.step.updates:
                    ready = True
                    # From the first update on there is all that a checkpoint holds: make its memory ready, so that none waits.
                    with meter.paused():
                        self._taken(self.checkpoints.memory)
                number, last = self.step.step_number, self.step.step_number == self.total_steps
                asked, due, written = self._agree(signals.asked, time.monotonic() - saved_at)
                if written:
                    self.checkpoints.commit()
                validating = bool(self.sets) and (last or number % self.val_steps == 0)
                stopping = asked and not last
                saving = last or due or number % self.checkpoint_steps == 0
                if validating or saving or stopping or number % options.log_every == 0:
                    self._log(meter, bar)
                if self.average is not None and (validating or number % options.log_every == 0):
                    with meter.paused():
                        self.average.update_statistics()
                if validating or saving or stopping:
                    with meter.paused():
                        validation = self._validate() if validating else validation
                        if saving or stopping:
                            self.checkpoints.save(number, self._taken)
                            saved_at = time.monotonic()
                if stopping:
                    self.checkpoints.finish()
                    raise GluonFRError(f"stopped after step {number} and saved; the same command goes on from there.")
        self.checkpoints.finish()
        if validation is None and self.sets:
            validation = self._validate()
        return self._finish(meter, validation or {})

    def _agree(self, asked, seconds):
        """What all ranks do after a step: stop, since one was asked to; save, since rank 0's clock says so; and let the
        checkpoint count that all have written.
        """
        minutes = self.options.checkpoint_minutes
        due = minutes is not None and seconds >= 60 * minutes
        said = self.group.gather_values([asked, due, self.checkpoints.writing, self.checkpoints.written])
        writing = any(each[2] for each in said)
        return any(each[0] for each in said), said[0][1], writing and all(each[3] for each in said)

    def _taken(self, memory):
        """What a checkpoint holds."""
        arrays, meta = take(self.step, self.average, memory)
        return arrays, dict(meta, best=self.best, options=self.options.decisive())

    def _batches(self):
        while self.step.step_number < self.total_steps:
            epoch, start = divmod(self.step.step_number, self.steps_per_epoch)
            for batch in self.loader.epoch(epoch, start):
                yield batch
                if self.step.step_number >= self.total_steps:
                    return

    def _log(self, meter, bar) -> None:
        loss, speed = meter.read()
        number = self.step.step_number
        if not np.isfinite(loss):
            raise GluonFRError(
                f"the loss became {loss} before step {number}: lower --lr, lengthen --warmup, lower the scale "
                "(--loss-args s=16) or clip gradients (--clip-norm 5); checkpoints before that are in "
                f"{self.checkpoints.folder}."
            )
        bar.set_postfix(loss=f"{loss:.3f}", images_per_s=f"{speed:.0f}")
        if self.chief:
            self.results.trained(number, number / self.steps_per_epoch, loss, self.step.trainer.learning_rate, speed)

    def _validate(self):
        with self._as_saved():
            return self._validated()

    def _as_saved(self):
        return shared_statistics(self.net, self.group) if self.average is None else self.average.applied()

    def _validated(self):
        results = validate(
            self.net,
            self.sets,
            self.contexts,
            image_size=self.dataset.image_size,
            progress=self.options.progress and self.chief,
            group=self.group,
        )
        number, first = self.step.step_number, next(iter(results.values()))
        # The area under the ROC is steadier than the accuracy, which hangs on ten thresholds. NaN is never better.
        better = first.auc > self.best.get("auc", -1)
        if better:
            self.best = {"step": number, "auc": first.auc, "accuracy": {name: each.accuracy for name, each in results.items()}}
        if self.chief:
            self.results.validated(number, number / self.steps_per_epoch, results)
            if better:
                self.results.save_network("best", self.net, number, results)
        return results

    def _finish(self, meter, validation):
        pictures = []
        with self._as_saved():
            if self.chief:
                self.results.save_network("last", self.net, self.step.step_number, validation)
        if self.chief:
            pictures = self.results.finish(validation)
        # Linux counts in KB, macOS in bytes.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform.startswith("linux") else 1e9)
        steps = self.step.step_number - self.first_step
        return TrainResult(self.options.out, steps, meter.images, meter.seconds, validation, self.best, peak, pictures)


def train(options=None, group=None, **kwargs):
    """Train a network: `train(dataset="emore", out="runs/emore", val=["lfw"], gpus=[0, 1])`.

    Parameters
    ----------
    options : TrainOptions, optional
        Or its fields as keyword arguments.
    group : Group, optional
        The processes that train together.

    Returns
    -------
    TrainResult

    Raises
    ------
    GluonFRError
        Bad options or files; a loss that became NaN; a run that was asked to stop (it is saved).
    """
    return Run(options or TrainOptions(**kwargs), group).train()
