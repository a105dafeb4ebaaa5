"""The distiller of a run, built from its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Sequence

import mxnet as mx
import numpy as np

from gluonfr.core import UsageError
from gluonfr.core.errors import naming
from gluonfr.deploy import load_model
from gluonfr.engine.distillation.distiller import Distiller, Reference
from gluonfr.engine.distillation.embeddings import cached_embeddings, network_digest, row_parts
from gluonfr.engine.finetuning.class_means import means_by_label
from gluonfr.engine.recipes import scale_for

if TYPE_CHECKING:
    from gluonfr.core import Card
    from gluonfr.data import TrainingSet
    from gluonfr.engine.distributed.group import Group
    from gluonfr.engine.options import TrainOptions


def build_distiller(
    options: TrainOptions,
    net: Any,
    card: Card,
    records: TrainingSet,
    loss: Any,
    contexts: Sequence[mx.Context],
    group: Group,
) -> Distiller | None:
    """Return the initialized distiller of a run, or None without a teacher and without a penalty on leaving the start.

    Parameters
    ----------
    options : TrainOptions
        Complete.
    net : HybridBlock
        The network in training, with its first weights.
    card : Card
        Its card.
    records : TrainingSet
        The training set, not re-aligned.
    loss : FRLoss
        The loss on labels.
    contexts : list of Context
    group : Group

    Raises
    ------
    UsageError
        The combination of options cannot work.

    Examples
    --------
    >>> build_distiller(options, net, card, dataset, loss, [mx.cpu()], Group())  # doctest: +SKIP
    """
    references = []
    if options.teacher:
        with naming("teacher", options.teacher):
            teacher, its_card = load_model(options.teacher, contexts)
        rows = cached_embeddings(teacher, its_card, records, contexts, group, options.progress)
        reference = make_reference(options, rows, records)
        # A trained start keeps what its embeddings share; a new network, or a layer behind it, has no such part.
        shared = bool(options.pretrained) and rows.shape[1] == net.embedding_size
        references.append(reference._replace(source=network_digest(teacher), shared_space=shared))
    if options.stay_close:
        rows = cached_embeddings(net, card, records, contexts, group, options.progress)
        # Not from the mean: a part of the embedding that all faces share has to stay where it is, too.
        references.append(Reference(rows, "cosine", options.stay_close, source=network_digest(net), is_start=True))
    if not references:
        return None
    masked = bool(options.unlabeled or options.mixed) and options.label_weight > 0
    if masked and (loss.spec.compares_samples or options.classifier == "sharded" or options.sample_rate != 1):
        raise UsageError(
            f"unlabeled= and mixed= do not work with loss={options.loss} and this classifier: use a loss on single images with "
            "classifier='plain', or label_weight=0."
        )
    distiller = Distiller(references, net.embedding_size, options.label_weight, records.num_classes if masked else None)
    # What was drawn up to here depends on whether the embeddings were cached.
    mx.random.seed(options.seed)
    distiller.initialize(ctx=list(contexts))
    return distiller


def make_reference(options: TrainOptions, rows: np.ndarray, records: TrainingSet) -> Reference:
    """Return a teacher's embeddings as a student has to learn them.

    Cosines are measured from their mean. For 'l2' they are scaled to a mean variance of 1, like the embeddings of a new network
    that ends with a BatchNorm.

    Parameters
    ----------
    options : TrainOptions
        Complete.
    rows : np.ndarray
        float32 (images, D), the teacher's embeddings.
    records : TrainingSet
        With the labels of the images.

    Raises
    ------
    UsageError
        The teacher's embeddings of all images are equal, or some are not finite.

    Examples
    --------
    >>> from gluonfr.engine import TrainOptions
    >>> options = TrainOptions(dataset="celeb", teacher="dlib_resnet29", distill_weight=20.0)
    >>> make_reference(options, np.array([[5, 0], [7, 0]], np.float32), records=None).center
    array([6., 0.], dtype=float32)
    """
    kind, weight = options.distill, options.distill_weight
    center = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    if not np.isfinite(center).all():
        raise UsageError(f"teacher={options.teacher!r}: it has embeddings with NaN or infinite numbers; use another network.")
    if not np.ptp(rows, axis=0).any():
        raise UsageError(f"teacher={options.teacher!r}: its embeddings of all images are equal; use another network.")
    if kind == "l2":
        variance = np.mean([np.square(rows[part] - center, dtype=np.float64).mean() for part in row_parts(rows)])
        return Reference(rows, kind, weight, unit=float(np.sqrt(variance)))
    if kind != "logits":
        return Reference(rows, kind, weight, center=center)
    if records.num_classes < 2:
        raise UsageError(
            f"distill='logits' compares similarities to people, and all labeled images of {records.records.path} have one "
            "label; use distill='cosine'."
        )
    labeled = records.labels < records.num_classes
    means = means_by_label(rows[labeled] - center, records.labels[labeled], records.num_classes)
    return Reference(rows, kind, weight, means, scale_for(records.num_classes), center=center)
