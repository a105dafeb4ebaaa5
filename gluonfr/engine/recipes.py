"""Recipes: the options of a run that were not given, chosen by the number of people and images and by what it starts from."""

from __future__ import annotations

import dataclasses
import inspect
import math
from typing import Any, NamedTuple

from gluonfr.core import Card
from gluonfr.engine.loop.options import check_rate
from gluonfr.engine.option_fields import auto_names, is_auto
from gluonfr.engine.options import PLAIN_TRAINING, TrainOptions
from gluonfr.loss.registry import LOSSES

# Below this number of images a network of published size memorizes its training set within minutes.
SMALL_IMAGES = 100_000
# From this number of people on, the recipe for MS-Celeb-1M fits better than that for CASIA-WebFace.
LARGE_PEOPLE = 50_000

# A dense network on a small image: ten times as fast as MobileFaceNet, and better with little data.
_COMPACT = {"channels": (32, 32, 64, 128, 256), "embedding_size": 128, "stem_stride": 2, "dropout": 0.2}
_COMPACT_INPUT = {"input_crop": 102, "input_size": 64}
_DROPOUT_OF_STUDENTS = 0.0
# Images that a student sees that starts with trained weights.
_SEEN_BY_TRAINED_STUDENTS = 100_000


class Recipe(NamedTuple):
    """Values for the options that were not given, and why.

    Attributes
    ----------
    name : str
    reason : str
    images : int
        Number of images of the training set.
    values : dict
        By name of the option.

    Examples
    --------
    >>> choose_recipe(TrainOptions(dataset="celeb"), people=293, images=5967).name
    'small data'
    """

    name: str
    reason: str
    images: int
    values: dict[str, Any]


def choose_recipe(
    options: TrainOptions, people: int, images: int, image_size: tuple[int, int] = (112, 112), card: Card | None = None
) -> Recipe:
    """Return the recipe for a training set.

    Parameters
    ----------
    options : TrainOptions
        What is trained. Of the options that are given, only the teacher, the validation sets and what is frozen change the
        recipe.
    people, images : int
        Size of the training set.
    image_size : (H, W), default (112, 112)
        Size of its crops in pixels.
    card : Card, optional
        Card of the pretrained network.

    Returns
    -------
    Recipe

    Examples
    --------
    >>> recipe = choose_recipe(TrainOptions(dataset="emore"), people=85_742, images=5_822_653)
    >>> recipe.name, recipe.values["loss"], recipe.values["loss_args"], recipe.values["batch_size"]
    ('large data', 'arc', {'s': 64, 'm': 0.5}, 512)
    """
    size = f"{people:,} people with {images:,} images"
    if card is not None:
        name, reason, values = "fine-tuning", f"pretrained {card.network}, {size}", _fine_tuning(options, people, images, card)
    elif options.teacher:
        name, reason, values = "distillation", f"teacher {options.teacher}, {size}", _distillation(people, images, image_size)
    elif images < SMALL_IMAGES:
        name, reason = "small data", f"{size}, fewer than {SMALL_IMAGES:,} images"
        values = _small(people, images, image_size)
    elif people < LARGE_PEOPLE:
        name, reason = "medium data", f"{size}, fewer than {LARGE_PEOPLE:,} people"
        values = _published("lresnet50e_ir", 33, 5 / 8, 7 / 8)
    else:
        name, reason, values = "large data", size, _published("lresnet100e_ir", 16, 5 / 9, 8 / 9)
    return Recipe(name, reason, images, {**PLAIN_TRAINING, "freeze": None, **values, **_teaching(options, card)})


def complete_options(options: TrainOptions, recipe: Recipe) -> TrainOptions:
    """Return options without None: values that were given, and those of a recipe for the others.

    If the network or the loss is that of the recipe, arguments that were given replace those of the recipe one by one.

    Raises
    ------
    UsageError
        An optimizer is given without its learning rate.

    Examples
    --------
    >>> options = TrainOptions(dataset="celeb", lr=0.05, loss_args={"m": 0.2})
    >>> done = complete_options(options, choose_recipe(options, people=293, images=5967))
    >>> done.lr, done.loss, done.loss_args, done.augment
    (0.05, 'cos', {'s': 24, 'm': 0.2}, 'strong')
    """
    check_rate(options, recipe.values)
    changes = {name: recipe.values[name] for name in auto_names(options) if getattr(options, name) is None}
    if options.drops is not None and options.schedule is None:
        changes["schedule"] = "step"
    for name, arguments in (("network", "network_args"), ("loss", "loss_args")):
        if getattr(options, name) in (None, recipe.values[name]):
            changes[arguments] = {**recipe.values[arguments], **getattr(options, arguments)}
    scale = recipe.values["loss_args"].get("s")
    if "loss" not in changes and scale is not None and _has_scale(options.loss):
        changes["loss_args"] = {"s": scale, **changes.get("loss_args", options.loss_args)}
    epochs = changes.get("epochs", options.epochs)
    if options.steps is not None:
        epochs = options.steps * changes.get("batch_size", options.batch_size) / recipe.images
    changes.update({name: value for name, value in _relative_to(epochs, recipe.values).items() if name in changes})
    return dataclasses.replace(options, **changes)


def describe_recipe(options: TrainOptions, completed: TrainOptions, recipe: Recipe) -> str:
    """Return the line of the log on what a recipe chose, and why.

    Examples
    --------
    >>> options = TrainOptions(dataset="celeb", epochs=4)
    >>> recipe = choose_recipe(options, people=293, images=5967)
    >>> describe_recipe(options, complete_options(options, recipe), recipe)[:71]
    'recipe for small data (293 people with 5,967 images, fewer than 100,000'
    """
    shown = []
    for field in dataclasses.fields(options):
        value = getattr(completed, field.name)
        is_changed = value != getattr(options, field.name) and (is_auto(field) or field.name.endswith("_args"))
        if is_changed and value != PLAIN_TRAINING.get(field.name, None) and value != ():
            shown.append(f"{field.name}={value!r}")
    return f"recipe for {recipe.name} ({recipe.reason}): {', '.join(shown) or 'all options are given'}"


def scale_for(people: int) -> int:
    """Return the scale of cosines for a number of people: three times the fixed scale of AdaCos, at most 64.

    With more scale than the classes need, a few people are learned by heart and gradients vanish
    (https://arxiv.org/abs/1905.00292).

    Examples
    --------
    >>> scale_for(24), scale_for(293), scale_for(10_575)
    (13, 24, 39)
    """
    return max(8, min(64, round(3 * math.sqrt(2) * math.log(max(people, 4) - 1))))


def _small(people: int, images: int, image_size: tuple[int, int], seen: int = 300_000) -> dict[str, Any]:
    epochs = _epochs(images, seen)
    return {
        "network": "lresnet10e_ir",
        "network_args": {**_COMPACT, **(_COMPACT_INPUT if tuple(image_size) == (112, 112) else {})},
        "loss": "cos",
        "loss_args": {"s": scale_for(people), "m": 0.3},
        "augment": "strong",
        "batch_size": 64,
        "epochs": epochs,
        "optimizer": "sgd",
        "lr": 0.1,
        "schedule": "cosine",
        "drops": (),
        "final_lr": 0.05,
        "wd": 5e-4,
        "clip_norm": 5.0,
        "average": 0.998,
        **_lengths(epochs, warmup=0.1, validations=8),
    }


def _published(network: str, epochs: int, first: float, second: float) -> dict[str, Any]:
    """Return the recipe of the ArcFace paper: 32,000 steps on CASIA-WebFace, 180,000 on MS-Celeb-1M, of 512 images."""
    return {
        "network": network,
        "network_args": {},
        "loss": "arc",
        "loss_args": {"s": 64, "m": 0.5},
        "augment": "flip",
        "batch_size": 512,
        "epochs": epochs,
        "optimizer": "sgd",
        "lr": 0.1,
        "schedule": "step",
        "drops": (round(first * epochs, 2), round(second * epochs, 2)),
        "warmup": 0.0,
        "final_lr": 0.0,
        "wd": 5e-4,
        "clip_norm": 0.0,
        "average": 0.0,
        "val_every": 1.0,
    }


def _fine_tuning(options: TrainOptions, people: int, images: int, card: Card) -> dict[str, Any]:
    epochs = _epochs(images, _SEEN_BY_TRAINED_STUDENTS if options.teacher else 36_000)
    values = {
        **_small(people, images, card.image_size),
        "network": card.network,
        "network_args": card.arguments,
        "epochs": epochs,
        "average": 0.99,
        "init_classifier": "means",
        "batch_norm": "frozen",
        **_lengths(epochs, warmup=0.2, validations=6),
    }
    if options.teacher:
        # All layers adapt to another input or teacher. SGD at the rate that this takes breaks networks without BatchNorm.
        return {**values, "augment": "standard", "optimizer": "adam", "lr": 3e-4, "wd": 0.0, "clip_norm": 0.0}
    # The last layer adapts; a small set shows too few faces to change the others.
    return {
        **values,
        "augment": "flip",
        "lr": 0.01 if options.freeze in (None, "-1") else 0.05,
        "clip_norm": 1.0,
        "freeze": "-1",
        "lr_decay_by_depth": 0.7,
        "stay_close": 3.0,
    }


def _distillation(people: int, images: int, image_size: tuple[int, int]) -> dict[str, Any]:
    # A student learns more from the same faces for longer than from labels, which it soon knows by heart.
    values = _small(people, images, image_size, seen=600_000)
    return {**values, "network_args": {**values["network_args"], "dropout": _DROPOUT_OF_STUDENTS}}


def _teaching(options: TrainOptions, card: Card | None) -> dict[str, Any]:
    """Return what depends on the teacher and the validation set alone."""
    values: dict[str, Any] = {"distill_weight": 20.0} if options.teacher else {}
    if not options.val and (card is not None or options.teacher or options.patience):
        values["hold_out"] = 0.1
    return values


def _epochs(images: int, seen: int) -> int:
    """Return the epochs in which about `seen` images are seen, within bounds."""
    return max(2, min(200, round(seen / max(1, images))))


def _lengths(epochs: float, warmup: float, validations: int) -> dict[str, float]:
    return {"warmup": round(warmup * epochs, 4), "val_every": round(epochs / validations, 4)}


def _relative_to(epochs: float, values: dict[str, Any]) -> dict[str, Any]:
    """Return the lengths of a recipe for another number of epochs."""
    part = epochs / values["epochs"]
    lengths: dict[str, Any] = {name: round(part * values[name], 4) for name in ("warmup", "freeze_epochs", "val_every")}
    return {**lengths, "drops": tuple(round(part * epoch, 4) for epoch in values["drops"])}


def _has_scale(loss: str) -> bool:
    return "s" in inspect.signature(LOSSES.get(loss)).parameters
