from __future__ import annotations

import logging
from typing import Any, NamedTuple, Sequence

import mxnet as mx

from gluonfr.core import Card, DataError, UsageError
from gluonfr.data import TrainingSet, get_augmentation
from gluonfr.data.dataset.lookup import get_training_set, get_verification_sets
from gluonfr.data.dataset.mixed import MixedFaces
from gluonfr.data.dataset.views import PartlyLabeled, PeoplePairs, hold_out
from gluonfr.engine.finetuning.start import fit_crops, load_start
from gluonfr.engine.options import TrainOptions
from gluonfr.engine.recipes import choose_recipe, complete_options, describe_recipe

logger = logging.getLogger(__name__)

HELD_OUT = "held_out"


class RunInputs(NamedTuple):
    """What a run reads, and its options without gaps.

    Attributes
    ----------
    options : TrainOptions
        Given options, and those of the recipe for the data.
    net : HybridBlock or None
        The pretrained network.
    card : Card
        Card of the pretrained network, or the crops of the training set.
    records : TrainingSet
        The images to train on, as the records hold them.
    dataset : TrainingSet
        The same with the crops that the network expects.
    sets : dict
        Verification sets by name.

    Examples
    --------
    >>> open_inputs(TrainOptions(dataset="emore"), [mx.cpu()]).options.loss  # doctest: +SKIP
    'arc'
    """

    options: TrainOptions
    net: Any
    card: Card
    records: TrainingSet
    dataset: TrainingSet
    sets: dict[str, Any]


def open_inputs(options: TrainOptions, contexts: Sequence[mx.Context]) -> RunInputs:
    """Open the data and the pretrained network of a run, and choose the options that are not given.

    People who are held out for validation are not among the images to train on.

    Raises
    ------
    GluonFRError
        Options or files that cannot be used.

    Examples
    --------
    >>> inputs = open_inputs(TrainOptions(dataset="emore"), [mx.cpu()])  # doctest: +SKIP
    """
    records = get_training_set(options.dataset, options.root, options.identities)
    unlabeled = get_training_set(list(options.unlabeled), options.root) if options.unlabeled else None
    images = len(records) + (len(unlabeled) if unlabeled else 0) + options.mixed
    sets: dict[str, Any] = dict(get_verification_sets(options.val, options.root, options.dataset))
    start = load_start(options, contexts)
    recipe = choose_recipe(options, records.num_people, images, records.image_size, start[1] if start else None)
    complete = complete_options(options, recipe)
    logger.info(describe_recipe(options, complete, recipe))
    # Wrong values are found before a teacher embeds the images.
    get_augmentation(complete.augment, **complete.augment_args)
    if complete.label_weight and records.num_people < 2:
        raise DataError(
            f"{records.records.path}: all its images have one label, and a network learns to distinguish at least two people; "
            "add people, or learn from a teacher alone (teacher=, label_weight=0)."
        )
    if complete.hold_out:
        if HELD_OUT in sets:
            raise UsageError(f"val= names a set {HELD_OUT!r}, as the people who are held out are called: rename it.")
        records, validation = hold_out(records, complete.hold_out, complete.seed)
        sets[HELD_OUT] = PeoplePairs(validation, complete.seed)
        logger.info(
            "held out for validation: %d people with %d images, %d pairs",
            validation.num_people,
            len(validation),
            len(sets[HELD_OUT]),
        )
    faces = records
    if unlabeled:
        records = PartlyLabeled(records, unlabeled)
    if complete.mixed:
        records = PartlyLabeled(records, MixedFaces(faces, complete.mixed, complete.seed))
    net, card = start or (None, Card(network=complete.network, image_size=(records.image_size[0], records.image_size[1])))
    dataset = fit_crops(records, card)
    if dataset is not records:
        logger.info(
            "crops of %s: %dx%d pixels, re-aligned to %dx%d pixels of the template %r of the pretrained network",
            records.name,
            *records.image_size,
            *card.image_size,
            card.template,
        )
    return RunInputs(complete, net, card, records, dataset, sets)
