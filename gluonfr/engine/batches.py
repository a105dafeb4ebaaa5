from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from gluonfr.core import GluonFRError
from gluonfr.data import IdentityBatchSampler, RecordLoader
from gluonfr.engine.distributed.group import Group

if TYPE_CHECKING:
    from gluonfr.engine.options import TrainOptions

logger = logging.getLogger(__name__)

_PEOPLE = 16


def make_loader(options: TrainOptions, dataset: Any, devices: int, loss: Any, group: Group | None = None) -> RecordLoader:
    """The batches of a run: all images in random order, or P people with K images each where the loss or the options ask
    for them.

    Parameters
    ----------
    options : TrainOptions
    dataset : TrainingSet
    devices : int
        Of this process.
    loss : gluonfr.loss.FRLoss
    group : Group, optional
        The processes that share a batch.

    Raises
    ------
    GluonFRError
        A batch that cannot be shared, or that is no P x K of this set.
    """
    # BatchNorm makes nothing of one image: a device gets two or more, and a last batch too small for that is left out.
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
            f"a batch of {options.batch_size} images cannot be shared by {group.size} processes; take a --batch-size that "
            f"{group.size} divides."
        )
    tail = len(dataset) % options.batch_size
    return RecordLoader(
        dataset,
        options.batch_size // group.size,
        augment=options.augment,
        seed=options.seed,
        threads=options.threads,
        last_batch="discard" if 0 < tail < least else "keep",
        sampler=_sampler(options, dataset, loss, group.size * options.accumulate),
        rank=group.rank,
        num_ranks=group.size,
    )


def _sampler(options: TrainOptions, dataset: Any, loss: Any, parts: Any) -> Any:
    grouped = loss.spec.needs_identities
    if not (grouped or options.people or options.images_per_person):
        return None
    people, images = people_and_images(options.batch_size, options.people, options.images_per_person)
    if people % parts or people // parts < 2:
        raise GluonFRError(
            f"batches of {people} people cannot be taken in {parts} parts, by processes or --accumulate: each part needs two "
            f"people or more, whole; choose --people and --batch-size so that {parts} divides them."
        )
    here = np.count_nonzero(np.bincount(dataset.labels))
    if here < people:
        raise GluonFRError(
            f"{dataset.records.path}: batches of {people} people cannot be made of {here}; give --people {here} or fewer, "
            "and a batch size that it divides."
        )
    logger.info("batches of %d people with %d images each", people, images)
    return IdentityBatchSampler(dataset, people, images, options.seed)


def people_and_images(batch_size: int, people: int | None = None, images: Any = None) -> tuple[int, int]:
    """P and K of batches of P x K = `batch_size` images: what is not given follows from the rest, and P is 16 when neither is.

    Raises
    ------
    GluonFRError
        When they do not come out.
    """
    if people is None:
        people = _PEOPLE if images is None else batch_size // images
    if images is None:
        images = batch_size // people
    if people * images != batch_size:
        raise GluonFRError(
            f"a batch of {batch_size} images is not {people} people with {images} images each; choose --batch-size, --people "
            "and --images-per-person so that it is their product."
        )
    if images < 2 or people < 2:
        raise GluonFRError(
            f"batches of {people} people with {images} images each hold no pairs to compare; both must be 2 or more: choose "
            "--people and --batch-size accordingly."
        )
    return people, images
