import logging

from gluonfr.core import GluonFRError
from gluonfr.engine.heads import make_head
from gluonfr.engine.sharded import ShardedHead
from gluonfr.loss import ClassifierLoss

logger = logging.getLogger(__name__)

# Classes from which on a classifier is divided over several devices: there its weights, gradients and momentum of 128 numbers
# take 77 MB a device, and their exchange more than the networks'.
MANY = 50_000


def choose_head(options, loss, classes, embedding_size, contexts, group):
    """The head that a run's options ask for, and a log line that says which, why, and what memory it takes.

    Parameters
    ----------
    options : TrainOptions
    loss : gluonfr.loss.FRLoss
    classes, embedding_size : int
    contexts : list of Context
    group : Group

    Raises
    ------
    GluonFRError
        The classes of this loss, or over these processes, cannot be divided; a sample that may be smaller than the
        identities of a batch.
    """
    devices = group.size * len(contexts)
    kind, why = _kind(options, loss, classes, devices)
    if kind == "plain":
        head = make_head(loss, classes, embedding_size, group)
        if head.classifier is not None:
            logger.info(
                "classifier: plain (%s), %s", why, _need(classes * loss_centres(loss), embedding_size, options, classes)
            )
        return head
    if not group.shards:
        raise GluonFRError("--sync ps exchanges gradients only, so the classes cannot be divided; use --sync horovod.")
    head = ShardedHead(loss, classes, embedding_size, contexts, group, options.sample_rate, options.seed)
    for shard in head.shards:
        most = min(options.batch_size, shard.classes)
        if shard.sampled is not None and shard.sampled < most:
            raise GluonFRError(
                f"sample_rate {options.sample_rate!r} takes {shard.sampled} of the {shard.classes} classes on a device, fewer "
                f"than the {most} identities that a batch may have there; raise it, or lower the batch size."
            )
    shard = max(head.shards, key=lambda each: each.classes)
    logger.info(
        "classifier: sharded (%s), %d of %d classes a device%s, %s",
        why,
        shard.classes,
        classes,
        f", {shard.sampled} of them in a step" if shard.sampled else "",
        _need(shard.classes * loss.centres, embedding_size, options, shard.sampled or shard.classes),
    )
    return head


def loss_centres(loss):
    """Rows of the classifier a class."""
    return getattr(loss, "centres", 1)


def _kind(options, loss, classes, devices):
    divisible = isinstance(loss, ClassifierLoss)
    asked = options.classifier == "sharded" or options.sample_rate != 1
    if asked and not divisible:
        raise GluonFRError(
            f"{options.loss} is no softmax over classes alone, so they cannot be divided; use --classifier plain."
        )
    if asked:
        return "sharded", "a sample of the classes was asked for" if options.sample_rate != 1 else "as was asked for"
    if options.classifier == "plain":
        return "plain", "as was asked for"
    if not divisible:
        return "plain", f"{options.loss} has a term beside the softmax"
    if devices == 1:
        return "plain", "one device"
    if classes < MANY:
        return "plain", f"{classes} classes are fewer than {MANY}"
    return "sharded", f"{classes} classes are {MANY} or more, on {devices} devices"


def _need(rows, size, options, used):
    """In words, the memory of a device: weight, gradient and optimizer's array, and what a pass makes of each logit."""
    weights = 4 * size * (2 * rows + (rows if options.sample_rate == 1 else used))
    logits = 4 * 4 * used * (options.batch_size // options.accumulate)
    return f"about {(weights + logits) / 1e6:.0f} MB a device: {weights / 1e6:.0f} for weights, {logits / 1e6:.0f} for a batch"
