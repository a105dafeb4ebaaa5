"""Sets by name: training sets, unions of them, and verification sets."""

from __future__ import annotations

import logging
import os
from typing import Any, Callable, Iterable, Sequence, Union

import numpy as np

from gluonfr.core import DEFAULT_ROOT, DataError
from gluonfr.data.dataset.base import TrainingSet
from gluonfr.data.dataset.catalog import is_training, training_names
from gluonfr.data.dataset.joined import FRJoinedDataset
from gluonfr.data.dataset.train import FRTrainRecordDataset
from gluonfr.data.dataset.val import FRValDataset

# The protocol averages over this many folds.
_FOLDS = 10
# Sets with more classes than this must have images for a fraction of them. Otherwise a flipped bit in a label, or personal
# numbers used as labels, would allocate gigabytes.
_MAX_SPARSE_CLASSES, _MAX_EMPTY_RATIO = 100_000, 10

logger = logging.getLogger(__name__)

Names = Union[str, "list[str]", "tuple[str, ...]"]


def get_recognition_dataset(
    name: Names,
    root: str = DEFAULT_ROOT,
    transform: Callable[..., Any] | None = None,
    identities: str | None = None,
    **kwargs: Any,
) -> TrainingSet | FRValDataset:
    """Open the set called `name` below `root`: a training set if `root/NAME/train.rec` exists, else a verification set.

    Parameters
    ----------
    name : str or list of str
        "emore" (training), "lfw" (`root/lfw.bin`), "emore/lfw" or "emore/val_data" (`.bin` files inside a training folder).
        "emore,celeb" or a list of names joins several training sets.
    root : str, default '~/.mxnet/datasets/face'
        Folder of the sets.
    transform : callable, optional
        Called with `(image, label)` of a training set or `(image)` of a verification set.
    identities : str, optional
        CSV file of the labels that belong to the same person, see `FRJoinedDataset`.
    **kwargs
        Further arguments of `FRTrainRecordDataset`.

    Returns
    -------
    FRTrainRecordDataset, FRJoinedDataset or FRValDataset
        The set.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from gluonfr.data.records import RecordWriter
    >>> root = tempfile.mkdtemp()
    >>> with RecordWriter(f"{root}/tiny", image_size=(8, 8)) as writer:
    ...     writer.add(np.zeros((8, 8, 3), np.uint8), label=0)
    >>> dataset = get_recognition_dataset("tiny", root=root)
    >>> image, label = dataset[0]
    >>> image.shape, float(label)
    ((8, 8, 3), 0.0)
    """
    names = training_names(name, root)
    if len(names) != 1 or identities is not None:
        members = [FRTrainRecordDataset(member, root=root, **kwargs) for member in names]
        return FRJoinedDataset(members, transform, identities)
    if is_training(names[0], root):
        return FRTrainRecordDataset(names[0], root=root, transform=transform, **kwargs)
    return FRValDataset(names[0], root=root, transform=transform, **kwargs)


def get_training_set(name: Names, root: str = DEFAULT_ROOT, identities: str | None = None) -> TrainingSet:
    """Open a training set, or several as one, to train a classifier on it.

    A classifier has one class per label up to the largest. Labels without images are logged when they outnumber the people.

    Parameters
    ----------
    name : str or list of str
        Names of one or several training sets.
    root : str, default '~/.mxnet/datasets/face'
        Folder of the sets.
    identities : str, optional
        CSV file of the labels that belong to the same person, see `FRJoinedDataset`.

    Raises
    ------
    DataError
        The name is that of a verification set, or nearly all of more than 100,000 labels have no images.

    Examples
    --------
    >>> get_training_set("emore,celeb", identities="identities.csv")  # doctest: +SKIP
    FRJoinedDataset('emore,celeb', ...)
    """
    dataset = get_recognition_dataset(name, root=root, identities=identities)
    if not isinstance(dataset, TrainingSet):
        raise DataError(f"{dataset.path} is a verification set; to train, name a folder with a train.rec.")
    people = dataset.num_people
    empty = dataset.num_classes - people
    if empty > people:
        words = f"{dataset.records.path}: {empty:,} of {dataset.num_classes:,} labels have no images"
        if dataset.num_classes > _MAX_SPARSE_CLASSES and empty > _MAX_EMPTY_RATIO * people:
            raise DataError(f"{words}, and the classifier would have a class for each; relabel the set to remove the gaps.")
        logger.warning("%s, and the classifier has a class for each; relabel the set to remove the gaps", words)
    return dataset


def get_verification_set(name: str, root: str = DEFAULT_ROOT, training_set: Names | None = None) -> FRValDataset:
    """Open a verification set for the 10-fold protocol.

    Parameters
    ----------
    name : str
        The set's name below `root`, or else inside the folder of the training set, where InsightFace puts them.
    root : str, default '~/.mxnet/datasets/face'
        Folder of the sets.
    training_set : str or list of str, optional
        Name of the training set. Of several, the first that holds NAME.bin counts.

    Raises
    ------
    DataError
        The set is missing, or has fewer than 10 pairs.

    Examples
    --------
    >>> get_verification_set("lfw", training_set="emore")  # doctest: +SKIP
    FRValDataset('emore/lfw', ...)
    """
    root = os.path.abspath(os.path.expanduser(root))
    if training_set and not os.path.exists(os.path.join(root, name + ".bin")):
        for member in training_names(training_set, root):
            if os.path.isfile(os.path.join(root, member, name + ".bin")):
                name = f"{member}/{name}"
                break
    pairs = FRValDataset(name, root=root)
    if len(pairs) < _FOLDS:
        raise DataError(
            f"{pairs.path}: {len(pairs)} pairs are too few for the {_FOLDS} folds of the protocol; use a larger set."
        )
    warn_of_uneven_folds(pairs.issame, pairs.path)
    return pairs


def warn_of_uneven_folds(issame: Sequence[bool], where: str) -> None:
    """Log a warning when folds of the 10-fold protocol hold pairs of one kind only, which makes the accuracy meaningless.

    Examples
    --------
    >>> warn_of_uneven_folds([True, False] * 10, "lfw.bin")
    """
    labels = np.asarray(issame, dtype=bool)
    folds = [fold for fold in np.array_split(labels, _FOLDS) if len(fold)]
    uneven = sum(fold.all() or not fold.any() for fold in folds)
    # A set with one kind of pairs has no accuracy to mislead, and is reported elsewhere.
    if uneven and labels.any() and not labels.all():
        logger.warning(
            "%s: %d of %d folds hold pairs of one kind only, so that the 10-fold accuracy is too low; mix genuine and impostor "
            "pairs in their order, and trust the AUC until then",
            where,
            uneven,
            len(folds),
        )


def get_verification_sets(names: Iterable[str], root: str, training_set: Names | None = None) -> dict[str, FRValDataset]:
    """Open several verification sets, by name; see `get_verification_set`.

    Examples
    --------
    >>> get_verification_sets([], "~/.mxnet/datasets/face")
    {}
    """
    return {name: get_verification_set(name, root, training_set) for name in names}
