from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from gluonfr.core import GluonFRError
from gluonfr.data import IdentityBatchSampler, RecordLoader, get_augmentation
from gluonfr.engine.distributed.group import Group

if TYPE_CHECKING:
    from gluonfr.engine.options import TrainOptions

logger = logging.getLogger(__name__)

_PEOPLE = 16


def make_loader(
    options: TrainOptions, dataset: Any, devices: int, loss: Any, group: Group | None = None, with_items: bool = False
) -> RecordLoader:
    """Return the loader of a run: all images in random order, or batches of P people with K images each.

    Parameters
    ----------
    options : TrainOptions
    dataset : TrainingSet
    devices : int
        Number of devices of this process.
    loss : gluonfr.loss.FRLoss
    group : Group, optional
        Processes that share a batch.
    with_items : bool, default False
        Whether batches hold the numbers of their images.

    Raises
    ------
    GluonFRError
        The batch cannot be shared, or P x K does not fit the training set.

    Examples
    --------
    >>> loader = make_loader(options, dataset, 1, loss)  # doctest: +SKIP
    """
    # BatchNorm needs at least two images per device; a last batch that is too small for that is skipped.
    group = group or Group()
    parts = devices * group.size * options.accumulate
    least = 2 * parts
    size = min(options.batch_size, len(dataset))
    if size < least:
        of = "devices" if options.accumulate == 1 else f"devices in {options.accumulate} parts"
        raise GluonFRError(
            f"a batch of {size} images cannot be split over {devices * group.size} {of}: each needs two or more; use a larger "
            "batch or fewer devices."
        )
    if options.batch_size % group.size:
        raise GluonFRError(
            f"a batch of {options.batch_size} images cannot be shared by {group.size} processes; choose a batch_size= "
            f"that is divisible by {group.size}."
        )
    tail = len(dataset) % options.batch_size
    return RecordLoader(
        dataset,
        options.batch_size // group.size,
        augment=get_augmentation(options.augment, **options.augment_args),
        seed=options.seed,
        threads=options.threads,
        last_batch="discard" if 0 < tail < least else "keep",
        sampler=_sampler(options, dataset, loss, group.size * options.accumulate),
        rank=group.rank,
        num_ranks=group.size,
        with_items=with_items,
    )


def _sampler(options: TrainOptions, dataset: Any, loss: Any, parts: Any) -> Any:
    grouped = loss.spec.needs_identities
    if not (grouped or options.people or options.images_per_person):
        return None
    people, images = people_and_images(options.batch_size, options.people, options.images_per_person)
    if people % parts or people // parts < 2:
        raise GluonFRError(
            f"batches of people={people} cannot be divided into {parts} parts (processes times accumulate): each part needs "
            f"two or more people; choose people= and batch_size= that are divisible by {parts}."
        )
    here = np.count_nonzero(np.bincount(dataset.labels))
    if here < people:
        raise GluonFRError(
            f"{dataset.records.path}: batches of {people} people need more than the {here} of this set; use people={here} or "
            "fewer, and a batch_size= that is a multiple of it."
        )
    logger.info("batches of %d people with %d images each", people, images)
    return IdentityBatchSampler(dataset, people, images, options.seed)


def people_and_images(batch_size: int, people: int | None = None, images: Any = None) -> tuple[int, int]:
    """Return P and K of batches of P x K = `batch_size` images; P is 16 when neither is given.

    Raises
    ------
    GluonFRError
        P x K is not the batch size, or one of them is below 2.

    Examples
    --------
    >>> people_and_images(64)
    (16, 4)
    """
    if people is None:
        people = _PEOPLE if images is None else batch_size // images
    if images is None:
        images = batch_size // people
    if people * images != batch_size:
        raise GluonFRError(
            f"a batch of {batch_size} images is not {people} people with {images} images each; choose batch_size=, people= "
            "and images_per_person= so that it is their product."
        )
    if images < 2 or people < 2:
        raise GluonFRError(
            f"batches of {people} people with {images} images each contain no pairs to compare; both must be 2 or more: choose "
            "people= and batch_size= accordingly."
        )
    return people, images
