from __future__ import annotations

import datetime
import json
import os
import socket
import time
from typing import Any, Mapping

import numpy as np

from gluonfr.core import atomic_file, is_number
from gluonfr.engine.loop.options import RunOptions
from gluonfr.engine.tracking.observer import TrainingObserver, ValidationResult
from gluonfr.engine.train_result import peak_memory
from gluonfr.metrics.results import to_plain

STATUS = "status.json"
# Version of the files that describe a run; readers name a run of a later one.
FORMAT = 1
# Seconds between two writes for readings of the loss.
_INTERVAL = 2.0
# What is kept of a reading of the loss.
_FIGURES = ("epoch", "loss", "lr", "images_per_second")


class StatusFile(TrainingObserver):
    """Keeps `status.json` of the run folder up to date: state, times, position, last figures, results of validations.

    `gluonfr runs` lists runs by this file alone, without reading their logs.

    Parameters
    ----------
    folder : str
        The run folder.
    before : dict, optional
        Contents of the file when a run resumes.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     status = StatusFile(folder)
    ...     status.started(RunOptions(out=folder), 0, 100)
    ...     status.ended("failed", "the loss became nan", {})
    ...     with open(os.path.join(folder, STATUS)) as file:
    ...         values = json.load(file)
    >>> values["state"], values["reason"], values["total_steps"]
    ('failed', 'the loss became nan', 100)
    """

    def __init__(self, folder: str, before: Mapping[str, Any] | None = None) -> None:
        self._path = os.path.join(folder, STATUS)
        before = before or {}
        self._values: dict[str, Any] = {
            "format": FORMAT,
            "started": before["started"] if isinstance(before.get("started"), str) else now(),
            "seconds": before["seconds"] if is_number(before.get("seconds")) else 0.0,
            "last": _accuracies(before.get("last")),
            "best": _accuracies(before.get("best")),
            # A finished run that is started again reads no loss.
            **{name: before[name] for name in _FIGURES if is_number(before.get(name))},
        }
        self._seconds_before, self._began = float(self._values["seconds"]), time.monotonic()
        self._written = 0.0

    def started(self, options: RunOptions, first_step: int, total_steps: int) -> None:
        """Record that the run is running, in which process and at which step."""
        self._values.update(state="running", reason="", resumed=now(), ended=None, step=first_step, total_steps=total_steps)
        self._values.update(host=socket.gethostname(), process=os.getpid())
        self._write()

    def logged(self, step: int, values: Mapping[str, float]) -> None:
        """Record the step and its figures."""
        self._values.update(step=step, **{name: values[name] for name in _FIGURES})
        if time.monotonic() - self._written >= _INTERVAL:
            self._write()

    def validated(self, step: int, results: Mapping[str, ValidationResult], norms: np.ndarray) -> None:
        """Record the first figure of each set, such as the accuracy, and the highest so far."""
        self._values["step"] = step
        self._values["last"] = dict(_main_figure(name, result) for name, result in results.items())
        for name, value in self._values["last"].items():
            self._values["best"][name] = max(value, self._values["best"].get(name, 0.0))
        self._write()

    def ended(self, state: str, reason: str, pictures: Mapping[str, str]) -> None:
        """Record the state and its reason."""
        self._values.update(state=state, reason=reason, ended=now())
        self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        self._values.update(
            updated=now(), seconds=round(self._seconds_before + self._written - self._began, 1), peak_memory=peak_memory()
        )
        with atomic_file(self._path, "w", encoding="utf-8") as file:
            json.dump(to_plain(self._values), file, indent=1)


def _accuracies(values: Any) -> dict[str, float]:
    return {name: value for name, value in values.items() if is_number(value)} if isinstance(values, dict) else {}


def _main_figure(name: str, result: ValidationResult) -> tuple[str, float]:
    """Return the first figure of a set under the set's name, to which figures other than accuracies add their own."""
    figure, value = result.name_values()[0]
    return (name if figure == "accuracy" else f"{name} {figure.upper()}"), value


def now() -> str:
    """Return the time with its zone, to the second, in ISO format.

    Examples
    --------
    >>> datetime.datetime.fromisoformat(now()).tzinfo is not None
    True
    """
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")
