from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Sequence

import numpy as np
from mxnet import nd

from gluonfr.core import generator
from gluonfr.deploy import embed

if TYPE_CHECKING:
    import mxnet as mx

    from gluonfr.data import TrainingSet

logger = logging.getLogger(__name__)

# More images of a person change the mean little.
_IMAGES_PER_PERSON = 20
_PURPOSE = int.from_bytes(b"means", "big")


class Crops:
    """Some images of a training set as a sequence of uint8 (H, W, 3) arrays, read on access.

    Examples
    --------
    >>> len(Crops(None, [3, 5]))
    2
    """

    def __init__(self, dataset: Any, items: Sequence[int]) -> None:
        self._dataset, self._items = dataset, items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, i: int) -> np.ndarray:
        return self._dataset.read(int(self._items[i]))[0]


def class_means(
    net: Any,
    dataset: TrainingSet,
    contexts: Sequence[mx.Context],
    first: int,
    count: int,
    seed: int = 0,
    after_batch: Any = None,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Return the mean embedding of each person of a training set, of norm 1.

    At most 20 images of each person are used, chosen by `seed`. A class without images gets a random direction.

    Parameters
    ----------
    net : HybridBlock
        Initialized on `contexts`.
    dataset : TrainingSet
        Crops as the network expects them.
    contexts : list of Context
    first, count : int
        The classes `first` to `first + count - 1`.
    seed : int, default 0
    after_batch : callable, optional
        Called after each batch.
    rows : np.ndarray, optional
        float32 (images, D), the embeddings of all images by `net`, where they are known already.

    Returns
    -------
    float32 (count, D)

    Examples
    --------
    >>> class_means(net, dataset, [mx.cpu()], 0, dataset.num_classes).shape  # doctest: +SKIP
    (293, 128)
    """
    chosen = []
    for label in range(first, first + count):
        items = dataset.identities[label]
        if len(items) > _IMAGES_PER_PERSON:
            items = np.sort(generator(seed, _PURPOSE, label).choice(items, _IMAGES_PER_PERSON, replace=False))
        chosen.append(items)
    items = np.concatenate(chosen)
    logger.info("class means of %d people from %d images", count, len(items))
    if rows is None:
        chosen_rows = embed(net, Crops(dataset, items), contexts, flip=False, after_batch=after_batch)
    else:
        chosen_rows = rows[items]
    return means_by_label(chosen_rows, np.repeat(np.arange(count), [len(part) for part in chosen]), count, seed)


def means_by_label(rows: np.ndarray, labels: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Return the normalized mean of the normalized rows of each label, and a random direction for labels without rows.

    Examples
    --------
    >>> means_by_label(np.eye(2, dtype=np.float32), np.array([0, 0]), 1).round(3)
    array([[0.707, 0.707]], dtype=float32)
    """
    means = 1e-6 * generator(seed, _PURPOSE).standard_normal((count, rows.shape[1]), dtype=np.float32)
    np.add.at(means, labels, rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def start_classifier(
    head: Any,
    net: Any,
    dataset: TrainingSet,
    contexts: Sequence[mx.Context],
    seed: int = 0,
    after_batch: Any = None,
    rows: np.ndarray | None = None,
) -> None:
    """Set the weights of a head's classifier to the class means; all centers of a class begin near its mean.

    A head without a classifier is not changed.

    Parameters
    ----------
    head : PlainHead, GatheringHead or ShardedHead
    net, dataset, contexts, seed, after_batch, rows
        As for `class_means`.

    Examples
    --------
    >>> start_classifier(head, net, dataset, [mx.cpu()])  # doctest: +SKIP
    """
    parts = [(shard.weight, shard.first, shard.classes) for shard in head.shards]
    if not parts and getattr(head, "classifier", None) is not None:
        parts = [(head.classifier.weight, 0, dataset.num_classes)]
    for weight, first, count in parts:
        means = class_means(net, dataset, contexts, first, count, seed, after_batch, rows)
        centers = np.repeat(means, weight.shape[0] // count, axis=0)
        if len(centers) > count:
            noise = generator(seed, _PURPOSE, first).standard_normal(centers.shape, dtype=np.float32)
            centers = centers + 0.1 * noise / np.sqrt(centers.shape[1])
        weight.set_data(nd.array(centers))
