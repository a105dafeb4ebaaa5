from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gluonfr.engine.option_fields import option

if TYPE_CHECKING:
    from gluonfr.engine.option_fields import Auto

INITIAL_CLASSIFIERS = ("random", "means")
BATCH_NORMS = ("train", "frozen")


@dataclass
class FineTuningOptions:
    """How training starts from a trained network, and when it stops. The help text of every field is its documentation.

    Examples
    --------
    >>> FineTuningOptions(freeze="4", patience=3).patience
    3
    """

    freeze: Auto[str] = option(
        None,
        "parameters that are not trained: a number of blocks counted from the input (-1: all but the last block, 0: none), or "
        "a regular expression on parameter names, such as 'features.[0-9]\\.'",
        metavar="N|PATTERN",
    )
    freeze_epochs: Auto[float] = option(None, "epochs at the start in which only the classifier is trained")
    init_classifier: Auto[str] = option(
        None,
        "first weights of the classifier: random, or means, the mean embedding of each person",
        choices=INITIAL_CLASSIFIERS,
        metavar="KIND",
    )
    lr_decay_by_depth: Auto[float] = option(
        None, "factor of the learning rate from each block of the network to the block before it, such as 0.7; 1: the same rate"
    )
    batch_norm: Auto[str] = option(
        None,
        "running statistics of BatchNorm: train (updated), or frozen (those of the start are used)",
        choices=BATCH_NORMS,
        metavar="KIND",
    )
    stay_close: Auto[float] = option(
        None, "weight of the penalty 1 - cosine between the embeddings and those of the pretrained network; 0: off"
    )
    patience: Auto[int] = option(
        None,
        "stop after this many validations after the warm-up without a larger mean TAR at FARs up to 0.1 on the first "
        "verification set; 0: never",
    )
    hold_out: Auto[float] = option(
        None,
        "fraction of the people of the training set, at most 0.5, that is held out for validation, besides the sets of val; "
        "0: none",
    )
