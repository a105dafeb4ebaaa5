from __future__ import annotations

import math
from numbers import Real
from typing import Any, Callable, Mapping

from gluonfr.core import DataError


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


# Older checkpoints do not hold the partial AUC, and only pretrained networks have a start.
_OPTIONAL = ("partial_auc", "start_partial_auc", "start_auc", "start_ap")


def _is_best(value: Any) -> bool:
    if not isinstance(value, dict) or not value:
        return value == {}
    # Of a recognizer the AUCs and the accuracies, of a detector the mean average precision and those of the subsets.
    mean, by_set = ("ap", "ap_of") if "ap" in value else ("auc", "accuracy")
    of_sets = value.get(by_set)
    numbers = [
        value.get(mean),
        *(value.get(key, 0.0) for key in _OPTIONAL),
        *(of_sets.values() if isinstance(of_sets, dict) else [None]),
    ]
    return _is_count(value.get("step")) and all(isinstance(number, Real) for number in numbers)


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "step": _is_count,
    "updates": _is_count,
    "devices": lambda value: _is_count(value) and value > 0,
    "ranks": lambda value: _is_count(value) and value > 0,
    "average": lambda value: isinstance(value, bool),
    "best": _is_best,
}


def check_meta(path: str, meta: Mapping[str, Any], needs_loss_scale: bool = False) -> None:
    """Check the types and ranges of what a run reads from the meta of a checkpoint.

    Parameters
    ----------
    path : str
        Folder of the checkpoint, for the message.
    meta : dict
    needs_loss_scale : bool, default False
        Whether the run needs the state of a loss scale.

    Raises
    ------
    DataError
        A value is missing or invalid.

    Examples
    --------
    >>> check_meta("step_1", {"step": -1})
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.DataError: step_1: step in its meta.json is missing or invalid; remove this checkpoint.
    """
    # `best` is absent where a snapshot was taken outside a run.
    invalid = [name for name, check in _CHECKS.items() if not check(meta.get(name, {} if name == "best" else None))]
    scale = meta.get("loss_scale")
    is_scale = isinstance(scale, list) and len(scale) == 2 and all(isinstance(v, Real) and math.isfinite(v) for v in scale)
    if needs_loss_scale and not is_scale:
        invalid.append("loss_scale")
    if invalid:
        raise DataError(f"{path}: {invalid[0]} in its meta.json is missing or invalid; remove this checkpoint.")
