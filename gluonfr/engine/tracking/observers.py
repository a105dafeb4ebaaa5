"""The observers of a run, called one after the other."""

from __future__ import annotations

import os
from typing import Sequence

from gluonfr.core.reading import read_if_valid
from gluonfr.engine.loop.options import RunOptions
from gluonfr.engine.tracking.mlflow import MLflowObserver
from gluonfr.engine.tracking.observer import TrainingObserver
from gluonfr.engine.tracking.status import STATUS, StatusFile
from gluonfr.engine.tracking.tensorboard import TensorBoardObserver


def observers_of(options: RunOptions, first_step: int, more: Sequence[TrainingObserver] = ()) -> list[TrainingObserver]:
    """Return the observers of a run: status file, TensorBoard where it is installed, MLflow when asked for, and `more`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = observers_of(RunOptions(out=folder), 0)
    >>> type(found[0]).__name__
    'StatusFile'
    """
    before = read_if_valid(os.path.join(options.out, STATUS)) if first_step else None
    found: list[TrainingObserver] = [StatusFile(options.out, before), *TensorBoardObserver.if_installed(options.out)]
    if options.mlflow:
        found.append(MLflowObserver(options.mlflow, options.out))
    return [*found, *more]
