"""Options of a new run that are taken from another run."""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any, TypeVar

from gluonfr.core import DataError, UsageError, absolute_path, display_path
from gluonfr.core.reading import read_if_valid, read_json
from gluonfr.engine.loop.options import OPTIONS, RunOptions, share_rates
from gluonfr.engine.options import TrainOptions

_Options = TypeVar("_Options", bound=RunOptions)


def options_from_run(folder: str, **changes: Any) -> TrainOptions:
    """Return the options of a run with some changes, for a new run in a folder of its own.

    Parameters
    ----------
    folder : str
        A run folder, also of an older version; it is recorded as the parent of the new run.
    **changes
        Fields of `TrainOptions` with other values. Another loss or network starts without the arguments of the former. With the
        first pretrained network or teacher, the recipe chooses again what suits training without them. Without `out`, the new
        folder is `FOLDER-2`, or the next free number; an unfinished run with the same options is continued.

    Returns
    -------
    TrainOptions

    Raises
    ------
    UsageError
        The folder holds no run, or a value is invalid.
    DataError
        The options of the run cannot be read.

    Examples
    --------
    >>> import json, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "first")
    ...     os.mkdir(path)
    ...     with open(os.path.join(path, "options.json"), "w") as file:
    ...         json.dump(TrainOptions(dataset="emore", out=path, loss="cos").to_dict(), file)
    ...     options = options_from_run(path, lr=0.05)
    >>> options.loss, options.lr, os.path.basename(options.out)
    ('cos', 0.05, 'first-2')
    """
    return derive_options(folder, TrainOptions, **changes)


def derive_options(folder: str, kind: type[_Options], **changes: Any) -> _Options:
    """Return the options of a run of any kind of training with some changes; see `options_from_run`.

    Parameters
    ----------
    folder : str
    kind : type
        Class of the options, such as `TrainOptions`.
    **changes
        Fields of `kind`.

    Examples
    --------
    >>> derive_options("runs/mine", TrainOptions, lr=0.05)  # doctest: +SKIP
    """
    folder = absolute_path(folder)
    path = os.path.join(folder, OPTIONS)
    if not os.path.isfile(path):
        raise UsageError(f"{display_path(folder)} holds no run: it has no {OPTIONS}; give a folder that training wrote.")
    recorded = read_json(path)
    if isinstance(recorded, dict):
        # Without these options a run of an older version trained as they say; its missing limit of the gradient was none.
        recorded = {**kind.former_defaults(), **recorded, "clip_norm": recorded.get("clip_norm") or 0.0}
    before = kind.from_dict(recorded, display_path(path)).to_dict()
    if changes.get("epochs") is not None and "steps" not in changes:
        # A number of steps would decide the length.
        before["steps"] = None
    defaults = kind.defaults()
    before.update({name: defaults[name] for name in kind.values_for_recipe(before, changes)})
    if changes.get("optimizer") and not share_rates(changes["optimizer"], before["optimizer"]):
        # Its rate suits the optimizer of the run.
        before["lr"] = None
    for name in kind.with_arguments:
        # Arguments of another loss or network would not fit.
        if changes.get(name, before[name]) != before[name]:
            before[f"{name}_args"] = {}
    options = kind(**{**before, **changes, "out": changes.get("out") or folder, "parent": folder, "resume": False})
    if not changes.get("out"):
        options.out = _own_folder(folder, options)
    return options


def _own_folder(folder: str, options: RunOptions) -> str:
    """Return the first of `FOLDER-2`, `FOLDER-3` and so on that is free, or holds this run unfinished.

    The number at the end of a folder is replaced.
    """
    match = re.fullmatch(r"(.*)-(\d{1,6})", folder)
    stem, number = (match[1], int(match[2])) if match else (folder, 1)
    while True:
        number += 1
        path = f"{stem}-{number}"
        if not os.path.exists(path):
            return path
        existing = read_if_valid(os.path.join(path, OPTIONS))
        if existing.get("parent") != folder or os.path.exists(os.path.join(path, "last")):
            continue
        with contextlib.suppress(DataError):
            if type(options).from_dict(existing).fixed_on_resume() == options.fixed_on_resume():
                return path
