from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from gluonfr.core import UsageError
from gluonfr.engine.heads.plain import make_head
from gluonfr.engine.heads.sharded import ShardedHead
from gluonfr.loss import ClassifierLoss
from gluonfr.ops import available

if TYPE_CHECKING:
    from typing import Sequence

    import mxnet as mx

    from gluonfr.engine.distributed.group import Group
    from gluonfr.engine.options import TrainOptions

logger = logging.getLogger(__name__)

# Number of classes from which a classifier is divided over several devices. With 128 numbers per class, its weights, gradients
# and momentum take 77 MB per device, and exchanging them takes longer than exchanging those of the network.
MANY = 50_000
# Number of arrays of the size of the logits that a step allocates, with native operators and with MXNet's; measured on CPUs by
# `benchmarks/classifier.py`.
NATIVE_LOGIT_ARRAYS, LOGIT_ARRAYS = 3, 5


def choose_head(
    options: TrainOptions,
    loss: Any,
    classes: int,
    embedding_size: int,
    contexts: Sequence[mx.Context],
    group: Group,
    before: str | None = None,
) -> Any:
    """Return the head for the options of a run, and log its kind, the reason and the memory that it needs.

    Parameters
    ----------
    options : TrainOptions
    loss : gluonfr.loss.FRLoss
    classes, embedding_size : int
    contexts : list of Context
    group : Group
    before : 'plain' or 'sharded', optional
        Kind of the classifier in the checkpoint that is resumed: 'auto' uses the same.

    Raises
    ------
    GluonFRError
        The classes cannot be divided with this loss or these processes, or the sample may be smaller than the number of
        identities in a batch.

    Examples
    --------
    >>> head = choose_head(options, loss, 1000, 128, [mx.cpu()], Group())  # doctest: +SKIP
    """
    devices, arrays = group.size * len(contexts), _logit_arrays(loss, contexts)
    kind, why = _kind(options, loss, classes, devices, group, before)
    if kind == "plain":
        head = make_head(loss, classes, embedding_size, group)
        if head.classifier is not None:
            rows = loss.outputs or classes
            need = _need(loss, rows, rows, embedding_size, options, options.batch_size / devices, arrays)
            logger.info("classifier: plain (%s), %s", why, need)
        return head
    if not group.shards:
        raise UsageError("sync='ps' exchanges gradients only, so the classes cannot be divided; use sync='horovod'.")
    head = ShardedHead(
        loss, classes, embedding_size, contexts, group, options.sample_rate, options.seed, options.sample_correction
    )
    _check_sample(head, options)
    shard = max(head.shards, key=lambda shard: shard.classes)
    _warn_of_small_sample(shard, options, classes)
    logger.info(
        "classifier: sharded (%s), %d of %d classes per device%s, %s",
        why,
        shard.classes,
        classes,
        f", {shard.sampled} of them in a step{', corrected' if shard.corrected else ''}" if shard.sampled else "",
        _need(
            loss,
            shard.classes * loss.spec.num_centers,
            (shard.sampled or shard.classes) * loss.spec.num_centers,
            embedding_size,
            options,
            options.batch_size,
            arrays,
        ),
    )
    return head


def _check_sample(head: ShardedHead, options: TrainOptions) -> None:
    """Raise UsageError if a batch may have more identities than a shard samples; all ranks check all shards."""
    for begin, end, sampled in zip(head.ends, head.ends[1:], head.counts):
        most = min(options.people or options.batch_size, end - begin)
        if sampled < most:
            raise UsageError(
                f"sample_rate={options.sample_rate!r} uses {sampled} of the {end - begin} classes on a device, fewer than the "
                f"{most} identities that a batch may have there; raise it, or lower the batch size."
            )


def _warn_of_small_sample(shard: Any, options: TrainOptions, classes: int) -> None:
    identities = math.ceil((options.people or options.batch_size) * shard.classes / classes)
    if shard.corrected and shard.sampled < 2 * identities:
        logger.warning(
            "in a step with %d identities on a device, %d other classes represent %d: a larger sample_rate gives a more "
            "stable estimate",
            identities,
            shard.sampled - identities,
            shard.classes - identities,
        )


def _kind(options: TrainOptions, loss: Any, classes: int, devices: int, group: Group, before: str | None) -> Any:
    divisible = isinstance(loss, ClassifierLoss)
    asked = options.classifier == "sharded" or options.sample_rate != 1
    if asked and not divisible:
        raise UsageError(
            f"loss={options.loss} is not a plain softmax over classes, so they cannot be divided; use classifier='plain'."
        )
    if asked:
        return "sharded", "a sample of the classes was requested" if options.sample_rate != 1 else "as requested"
    if options.classifier == "plain":
        return "plain", "as requested"
    if not divisible:
        return "plain", f"{options.loss} has a term besides the softmax"
    if before is not None:
        return before, "as in the checkpoint"
    if not group.shards:
        return "plain", "sync='ps' exchanges gradients only"
    if devices == 1:
        return "plain", "one device"
    if classes < MANY:
        return "plain", f"{classes} classes are fewer than {MANY}"
    return "sharded", f"{classes} classes are {MANY} or more, on {devices} devices"


def _logit_arrays(loss: Any, contexts: Sequence[mx.Context]) -> int:
    on_cpus = all(context.device_type == "cpu" for context in contexts)
    native = on_cpus and isinstance(loss, ClassifierLoss) and loss.is_native and available()
    return NATIVE_LOGIT_ARRAYS if native else LOGIT_ARRAYS


def classifier_bytes(
    rows: float,
    used: float,
    size: int,
    batch: float,
    states: int = 1,
    normed: bool = True,
    logit_arrays: int = LOGIT_ARRAYS,
) -> tuple[float, float]:
    """Return the memory of a classifier on one device: bytes for arrays of weights, and bytes for arrays of logits.

    Measurements by `benchmarks/classifier.py` agree within a tenth, except for some tens of MB that do not depend on the
    classes.

    Parameters
    ----------
    rows, used : int
        Rows of the classifier on the device, and how many of them a step uses.
    size, batch : int
        Sizes of the embedding and of the batch.
    states : int, default 1
        Arrays per weight that the optimizer stores.
    normed : bool, default True
        Whether rows are normalized, which needs a copy of them and of their gradient.
    logit_arrays : int, default 5
        Arrays of the size of the logits that a step allocates; 3 with native operators.

    Examples
    --------
    >>> weights, logits = classifier_bytes(rows=1000, used=1000, size=128, batch=64)
    >>> weights
    2560000
    """
    # One copy for the gradient. A sample needs four: its rows, their gradient, and two sparse copies of the gradient.
    copies = (1 if used == rows else 4) + (2 if normed else 0)
    return 4 * size * (rows * (1 + states) + used * copies), 4 * logit_arrays * used * batch


def _need(loss: Any, rows: Any, used: int, size: int, options: TrainOptions, batch: float, arrays: int) -> str:
    """Describe the memory per device."""
    states = 2 if options.optimizer == "adam" else 1
    weights, logits = classifier_bytes(rows, used, size, batch / options.accumulate, states, loss.spec.weight_norm, arrays)
    return (
        f"about {(weights + logits) / 1e6:.0f} MB per device: {weights / 1e6:.0f} for weights, {logits / 1e6:.0f} for a batch; "
        f"and {4 * size * rows * (1 + states) / 1e6:.0f} MB of the machine for checkpoints"
    )
