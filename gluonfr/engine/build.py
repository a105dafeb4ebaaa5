"""The parts of a run, built from its options: network, loss, head and training step."""

from __future__ import annotations

import logging
from typing import Any, Sequence

import mxnet as mx
from mxnet import nd
from mxnet.gluon import HybridBlock

from gluonfr.core import GluonFRError, UsageError
from gluonfr.data import TrainingSet
from gluonfr.engine.distillation.distiller import Distiller
from gluonfr.engine.distillation.no_labels import NoLabelLoss
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.finetuning.blocks import decay_rates, freeze, freeze_statistics
from gluonfr.engine.heads.selection import choose_head
from gluonfr.engine.loop.options import RunOptions
from gluonfr.engine.lr_schedule import make_schedule
from gluonfr.engine.options import TrainOptions
from gluonfr.engine.precision import LossScale
from gluonfr.engine.step import TrainStep, recipe_multipliers
from gluonfr.loss import FRLoss, MarginLoss, get_loss
from gluonfr.model_zoo import get_model

# Published margin losses with these scales are trained on at least this many people.
_LARGE_SCALE, _FEW_PEOPLE = 64, 1000

logger = logging.getLogger(__name__)


def build_network_and_loss(
    options: TrainOptions, dataset: TrainingSet, contexts: Sequence[mx.Context], pretrained: Any = None
) -> tuple[HybridBlock, FRLoss]:
    """Return the network, with random or pretrained weights on all devices, and the loss, not initialized.

    Parameters
    ----------
    options : TrainOptions
        Complete: no option is None.
    dataset : TrainingSet
    contexts : list of Context
    pretrained : HybridBlock, optional
        The network with pretrained weights.

    Raises
    ------
    UsageError
        Arguments that the network or the loss does not accept, or images that it cannot process.

    Examples
    --------
    >>> net, loss = build_network_and_loss(options, dataset, [mx.cpu()])  # doctest: +SKIP
    """
    mx.random.seed(options.seed)
    try:
        net = get_model(options.network, **options.network_args) if pretrained is None else pretrained
        loss = _loss(options, dataset, net.embedding_size)
    except TypeError as error:
        raise UsageError(f"an argument of the network or the loss has the wrong type ({error}); correct it.") from error
    resized = {"input_crop", "input_size"} & set(options.network_args)
    if resized and tuple(dataset.image_size) != tuple(net.image_size):
        raise UsageError(
            f"network_args= with {sorted(resized)[0]} needs images of {'x'.join(map(str, net.image_size))} pixels; those of "
            f"{dataset.records.path} differ."
        )
    warn_of_large_scale(loss, dataset)
    if pretrained is None:
        net.initialize(mx.init.Xavier(rnd_type="gaussian", factor_type="out", magnitude=2), ctx=contexts)
    _prepare_blocks(net, options)
    net.hybridize(static_alloc=True, static_shape=True)
    _check_image_size(net, options.network, dataset, contexts)
    return net, loss


def _loss(options: TrainOptions, dataset: TrainingSet, embedding_size: int) -> FRLoss:
    if options.label_weight == 0:
        return NoLabelLoss()
    return get_loss(options.loss, classes=dataset.num_classes, embedding_size=embedding_size, **options.loss_args)


def _prepare_blocks(net: HybridBlock, options: TrainOptions) -> None:
    """Apply what the options say about single blocks of the network; before it is hybridized."""
    if options.lr_decay_by_depth != 1:
        decay_rates(net, options.lr_decay_by_depth)
    if options.freeze:
        freeze(net, options.freeze)
    if options.batch_norm == "frozen":
        freeze_statistics(net)


def warn_of_large_scale(loss: FRLoss, dataset: TrainingSet) -> None:
    """Log a warning when the scale of a margin loss suits far more classes: such a training often does not start.

    Examples
    --------
    >>> warn_of_large_scale(get_loss("cosface", classes=200, s=24), dataset)  # doctest: +SKIP
    """
    people, scale = dataset.num_people, getattr(loss, "s", 0)
    if isinstance(loss, MarginLoss) and scale >= _LARGE_SCALE and people < _FEW_PEOPLE:
        logger.warning(
            "%s with s=%g suits many thousands of identities, and the set has %d: if the loss does not fall, use "
            "loss='cos' with loss_args s=24, m=0.3",
            *(type(loss).__name__, scale, people),
        )


def _check_image_size(net: HybridBlock, network: str, dataset: TrainingSet, contexts: Sequence[mx.Context]) -> None:
    """Raise UsageError unless the network accepts the images; this also infers all shapes."""
    try:
        for context in contexts:
            net(nd.zeros((1, 3, *dataset.image_size), ctx=context)).wait_to_read()
    except (mx.base.MXNetError, ValueError) as error:
        size = "x".join(map(str, dataset.image_size))
        raise UsageError(
            f"network={network} cannot process the images of {size} pixels in {dataset.records.path}; align them to 112x112."
        ) from error


def build_head(
    options: TrainOptions,
    loss: FRLoss,
    classes: int,
    embedding_size: int,
    contexts: Sequence[mx.Context],
    group: Group,
    stored_kind: str | None = None,
) -> Any:
    """Return the initialized head: classifier and loss.

    Parameters
    ----------
    options : TrainOptions
    loss : FRLoss
    classes, embedding_size : int
    contexts : list of Context
    group : Group
    stored_kind : {'plain', 'sharded'}, optional
        Kind of classifier in the checkpoint that is resumed.

    Examples
    --------
    >>> head = build_head(options, loss, 1000, 128, [mx.cpu()], Group())  # doctest: +SKIP
    """
    head = choose_head(options, loss, classes, embedding_size, contexts, group, stored_kind)
    head.initialize(mx.init.Xavier(), ctx=contexts)
    head.hybridize(static_alloc=True, static_shape=True)
    return head


def build_step(
    options: RunOptions,
    net: HybridBlock,
    head: Any,
    contexts: Sequence[mx.Context],
    steps_per_epoch: int,
    total_steps: int,
    group: Group,
    distiller: Distiller | None = None,
    classifier_wd_mult: float = 1.0,
    frozen_steps: int = 0,
) -> TrainStep:
    """Return the training step with optimizer, learning-rate schedule and weight-decay rules.

    `classifier_wd_mult` multiplies the weight decay of the head's classifier; in the first `frozen_steps` steps the network is
    not trained.

    Raises
    ------
    UsageError
        An optimizer or a schedule that does not work.

    Examples
    --------
    >>> step = build_step(options, net, head, [mx.cpu()], 100, 2000, Group())  # doctest: +SKIP
    """
    # The loss's own parameters keep the multipliers that the loss set.
    recipe_multipliers(net.collect_params(), head.classifier_weights, classifier_wd_mult)
    schedule = make_schedule(
        options.schedule,
        options.lr,
        total_steps,
        int(round(options.warmup * steps_per_epoch)),
        [int(round(epoch * steps_per_epoch)) for epoch in options.drops],
        final_lr=options.lr * options.final_lr,
    )
    settings = {"learning_rate": options.lr, "wd": options.wd, "lr_scheduler": schedule}
    if options.optimizer in ("sgd", "nag"):
        settings["momentum"] = options.momentum
    try:
        return TrainStep(
            net,
            head,
            contexts,
            options.optimizer,
            settings,
            options.clip_norm or None,
            options.seed,
            group,
            options.accumulate,
            LossScale() if options.dtype == "float16" else None,
            distiller,
            frozen_steps,
        )
    except GluonFRError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(f"optimizer={options.optimizer!r}: {str(error).splitlines()[0]}") from error
