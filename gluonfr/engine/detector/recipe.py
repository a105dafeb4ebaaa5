"""The options of a detector's training that were not given, by the number of photos and by what it starts from."""

from __future__ import annotations

import dataclasses
from typing import Any

from gluonfr.engine.detector.options import DetectorOptions
from gluonfr.engine.loop.options import check_rate
from gluonfr.engine.option_fields import auto_names

# Samples that a network needs to see: from random weights, from those of a detector, and of rendered scenes, which vary less.
_FROM_NOTHING, _FROM_DETECTOR, _FROM_SCENES = 192_000, 24_000, 33_600


def complete_detector_options(options: DetectorOptions, photos: int, backbone: str | None = None) -> DetectorOptions:
    """Return options without None: those that are given, and values that suit the data for the others.

    Parameters
    ----------
    options : DetectorOptions
    photos : int
        Number of photos to train on.
    backbone : str, optional
        That of the detector from which training starts.

    Raises
    ------
    UsageError
        An optimizer is given without its learning rate.

    Examples
    --------
    >>> done = complete_detector_options(DetectorOptions(data="wider", lr=0.005), photos=12_880)
    >>> done.lr, done.epochs, done.batch_size
    (0.005, 80, 32)
    """
    values = _recipe(options, photos, backbone)
    check_rate(options, values)
    changes = {name: values[name] for name in auto_names(options) if getattr(options, name) is None}
    if options.drops is not None and options.schedule is None:
        changes["schedule"] = "step"
    epochs = changes.get("epochs", options.epochs)
    if options.steps is not None:
        epochs = options.steps * changes.get("batch_size", options.batch_size) / photos
    # In parts of the length of the run.
    for name, part in (("warmup", 0.1 if options.scenes else 0.02), ("val_every", 0.25 if options.scenes else 0.1)):
        if name in changes:
            changes[name] = round(part * epochs, 4)
    return dataclasses.replace(options, **changes)


def _recipe(options: DetectorOptions, photos: int, backbone: str | None) -> dict[str, Any]:
    if options.pretrained:
        # Higher rates forget small faces.
        epochs, lr = max(15, round(_FROM_DETECTOR / photos)), 0.0005
    elif options.scenes:
        epochs, lr = max(1, round(_FROM_SCENES / photos)), 0.2
    else:
        # As many epochs as in the paper, or more of a small set.
        epochs, lr = max(80, round(_FROM_NOTHING / photos)), 0.2
    return {
        "backbone": backbone or "mobilenet0.25",
        "size": 160 if options.scenes else 256,
        # More updates with fewer images each where minutes have to suffice.
        "batch_size": 16 if options.scenes else 32,
        "epochs": min(epochs, 1000),
        "optimizer": "sgd",
        "lr": lr,
        "schedule": "cosine",
        "drops": (),
        "final_lr": 0.01,
        "wd": 5e-4,
        "clip_norm": 10.0,
        "average": 0.99 if options.scenes else 0.998,
        "warmup": 0.0,
        "val_every": 0.0,
    }
