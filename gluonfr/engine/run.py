"""A training run from records to a recognition network: `train`, and the `Run` that it builds."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from mxnet.gluon import HybridBlock

from gluonfr.core import UsageError
from gluonfr.deploy.devices import devices
from gluonfr.engine.batches import make_loader
from gluonfr.engine.build import build_head, build_network_and_loss, build_step
from gluonfr.engine.distillation.build import build_distiller
from gluonfr.engine.distributed.agreement import check_agreement
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.finetuning.class_means import start_classifier
from gluonfr.engine.finetuning.inputs import open_inputs
from gluonfr.engine.loop.outputs import RunOutputs
from gluonfr.engine.loop.training_loop import TrainingLoop
from gluonfr.engine.options import TrainOptions
from gluonfr.engine.run_outputs import RecognizerOutputs, log_start
from gluonfr.engine.step import TrainStep
from gluonfr.engine.tracking.observer import TrainingObserver
from gluonfr.engine.tracking.provenance import data_files
from gluonfr.engine.train_result import TrainResult
from gluonfr.engine.validation import Validator


class Run(TrainingLoop):
    """The training of a recognition network: build it from options, then call `train`.

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
    sets : dict of str to FRValDataset

    Raises
    ------
    GluonFRError
        Options or files that cannot be used.

    Examples
    --------
    >>> Run(TrainOptions(dataset="emore", out="runs/emore")).train()  # doctest: +SKIP
    """

    divergence_advice = (
        "use a lower lr=, a longer warmup=, a smaller scale (loss_args= with s=16) or clip gradients (clip_norm=5)"
    )
    options: TrainOptions
    validator: Validator

    def __init__(self, options: TrainOptions, group: Group | None = None, observers: Sequence[TrainingObserver] = ()) -> None:
        group, contexts = group or Group(), devices(options.gpus, options.cpus)
        self._inputs = inputs = open_inputs(options, contexts)
        self.dataset, self.sets = inputs.dataset, inputs.sets
        check_agreement(group, inputs.options, self.dataset, self.sets)
        super().__init__(inputs.options, contexts, group, observers)

    def __repr__(self) -> str:
        return (
            f"Run({self.options.network} on {self.options.dataset}, {type(self.head.loss).__name__}, step "
            f"{self.step.step_number} of {self.total_steps}, {self.options.out!r})"
        )

    def _build_network(self) -> HybridBlock:
        inputs = self._inputs
        net, self._loss = build_network_and_loss(self.options, self.dataset, self.contexts, inputs.net)
        self._distiller = build_distiller(self.options, net, inputs.card, inputs.records, self._loss, self.contexts, self.group)
        return net

    def _make_loader(self) -> Any:
        with_items = self._distiller is not None
        return make_loader(self.options, self.dataset, len(self.contexts), self._loss, self.group, with_items)

    def _build_head(self, stored_kind: str | None) -> Any:
        classes, size = self.dataset.num_classes, self.net.embedding_size
        return build_head(self.options, self._loss, classes, size, self.contexts, self.group, stored_kind)

    def _build_step(self) -> TrainStep:
        options, lengths = self.options, (self.steps_per_epoch, self.total_steps)
        frozen = int(round(options.freeze_epochs * self.steps_per_epoch))
        parts = self.net, self.head, self.contexts, *lengths, self.group, self._distiller
        return build_step(options, *parts, options.classifier_wd_mult, frozen)

    def _make_validator(self) -> Validator:
        progress, card = self.options.progress, self._inputs.card
        return Validator(self.net, self.sets, self.contexts, self.average, self.group, progress, card)

    def _make_outputs(self, first_step: int) -> RunOutputs:
        card = self._inputs.card
        return RecognizerOutputs(self.options, card, self.validator, first_step, self.total_steps, self._observers)

    def _data_files(self) -> list[str]:
        return data_files(self.options, self.sets)

    def _log_start(self) -> None:
        loss = type(self.head.loss).__name__
        log_start(self.options, self.dataset, loss, self.total_steps, self.contexts, self.group.size)

    def _start_fresh(self) -> None:
        if self.options.init_classifier == "means":
            rows = self._distiller.rows_of_start if self._distiller is not None else None
            start_classifier(self.head, self.net, self.dataset, self.contexts, self.options.seed, self.group.beat, rows)

    def _step_arguments(self, batch: Any) -> tuple[Any, ...]:
        images, labels, *items = batch
        return images, labels, self._distiller.batch(*items) if self._distiller is not None else None

    def _snapshot(self, cache: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        arrays, meta = super()._snapshot(cache)
        return arrays, meta if self._distiller is None else {**meta, "references": self._distiller.sources}

    def _check_resumable(self, path: str, meta: Mapping[str, Any]) -> None:
        super()._check_resumable(path, meta)
        # Older checkpoints do not record them.
        if self._distiller is not None and meta.get("references", self._distiller.sources) != self._distiller.sources:
            raise UsageError(
                f"{path} was written with another network as teacher= or pretrained= (a file has changed since), or by another "
                "version; restore that, or start a new run in another folder (out=)."
            )

    @property
    def starts_trained(self) -> bool:
        """Whether training starts from pretrained weights."""
        return bool(self.options.pretrained)

    @property
    def has_stalled(self) -> bool:
        """Whether the run ends early: no validation among the last `patience` ones was better than those before."""
        best, patience = self.validator.best, self.options.patience
        # No gain is expected before the warm-up has ended and the network is trained.
        start = max(self.step.frozen_steps, int(self.options.warmup * self.steps_per_epoch))
        since = max(best.get("step", 0), -(-start // self.val_steps) * self.val_steps)
        return bool(patience and best) and self.step.step_number - since >= patience * self.val_steps


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
