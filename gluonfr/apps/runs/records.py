"""Run folders, read without trusting them: runs of other versions and broken ones are listed with a note."""

from __future__ import annotations

import contextlib
import math
import os
import socket
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gluonfr.core import UsageError, absolute_path, display_path
from gluonfr.core.paths import open_regular
from gluonfr.core.reading import parse_json, read_if_valid, read_json

OPTIONS, STATUS, LOG, PROVENANCE = "options.json", "status.json", "log.jsonl", "provenance.json"
# Version of the files that this reader knows.
_FORMAT = 1
# Folders inside of a run, which are not searched.
_INSIDE = frozenset(["checkpoints", "tensorboard", "best", "last", "ranks"])
_ACCURACY = "/accuracy"
# Bytes of a log that are read where there is no status file.
_MOST_LOG = 1 << 20


@dataclass
class RunRecord:
    """What the files of a run say about it; values that are missing or invalid are empty.

    Attributes
    ----------
    folder, name : str
        Path, and the path below the folder that was searched.
    state : str
        'running', 'finished', 'stopped' (resumable), 'failed', 'killed', or 'unknown'.
    reason : str
        Why a run failed or stopped.
    started : str
        ISO time.
    seconds : float or None
        Duration, without the time between a stop and a resumption.
    step, total_steps : int or None
    network, loss, dataset : str
    epochs : float or None
    last, best : dict of str to float
        Accuracy by verification set: of the last validation, and the highest one.
    images_per_second : float or None
    parent : str
        Folder of the run from which the options were taken.
    note : str
        What could not be read, or that a later version wrote the run.
    options : dict
        All options.

    Examples
    --------
    >>> RunRecord("runs/a", "a", state="finished", loss="arc").loss
    'arc'
    """

    folder: str
    name: str
    state: str = "unknown"
    reason: str = ""
    started: str = ""
    seconds: float | None = None
    step: int | None = None
    total_steps: int | None = None
    network: str = ""
    loss: str = ""
    dataset: str = ""
    epochs: float | None = None
    last: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    images_per_second: float | None = None
    parent: str = ""
    note: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def find_runs(folder: str) -> list[RunRecord]:
    """Return the runs below a folder, the folder itself included, in the order of their names.

    Raises
    ------
    UsageError
        There is no such folder.

    Examples
    --------
    >>> import json, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "first")
    ...     os.mkdir(path)
    ...     with open(os.path.join(path, "options.json"), "w") as file:
    ...         json.dump({"network": "mobilefacenet", "loss": "arc"}, file)
    ...     [(run.name, run.loss, run.state) for run in find_runs(folder)]
    [('first', 'arc', 'unknown')]
    """
    root = absolute_path(folder)
    if not os.path.isdir(root):
        raise UsageError(f"{display_path(folder)} is not a folder; name the folder that contains the runs.")
    records = []
    for path, folders, files in os.walk(root):
        if OPTIONS in files:
            name = os.path.relpath(path, root)
            records.append(read_run(path, os.path.basename(path) if name == "." else name))
            folders[:] = [inside for inside in folders if inside not in _INSIDE]
        folders.sort()
    return sorted(records, key=lambda record: record.name)


def read_run(folder: str, name: str = "") -> RunRecord:
    """Read a run folder.

    Raises
    ------
    UsageError
        The folder holds no run.

    Examples
    --------
    >>> read_run("runs/mine").state  # doctest: +SKIP
    'finished'
    """
    folder = absolute_path(folder)
    if not os.path.exists(folder):
        raise UsageError(f"{display_path(folder)} does not exist; give a folder that training wrote.")
    if not os.path.isfile(os.path.join(folder, OPTIONS)):
        raise UsageError(f"{display_path(folder)} holds no run: it has no {OPTIONS}; give a folder that training wrote.")
    record = RunRecord(folder, name or os.path.basename(folder))
    record.options = _options(record)
    for key in ("network", "loss", "dataset", "parent"):
        setattr(record, key, _text(record.options.get(key)))
    if "backbone" in record.options:
        # The training of a detector.
        data = _text(record.options.get("data")) or f"{record.options.get('scenes')} scenes"
        record.network, record.loss = _text(record.options["backbone"]), "multibox"
        record.dataset = os.path.basename(data)
    record.epochs = number(record.options.get("epochs"))
    status = read_if_valid(os.path.join(folder, STATUS))
    if status:
        _take_status(record, status)
    else:
        _take_log(record)
    if record.state == "running" and not _is_locked(record, status):
        record.state = "killed"
        record.reason = record.reason or "its process ended without recording a reason; rerun its command to resume"
    version = number(status.get("format"))
    if version is not None and version > _FORMAT:
        record.note = f"written by a later version (format {version:g}), so columns may be missing"
    return record


def _options(record: RunRecord) -> dict[str, Any]:
    try:
        options = read_json(os.path.join(record.folder, OPTIONS))
        if isinstance(options, dict):
            return options
        record.note = f"{OPTIONS} holds no object"
    except (OSError, ValueError) as error:
        record.note = str(error)
    return {}


def _take_status(record: RunRecord, status: dict[str, Any]) -> None:
    record.state, record.reason = _text(status.get("state")) or "unknown", _text(status.get("reason"))
    record.started, record.seconds = _text(status.get("started")), number(status.get("seconds"))
    record.images_per_second = number(status.get("images_per_second"))
    record.last, record.best = (_accuracies(status.get(key)) for key in ("last", "best"))
    steps = [number(status.get(key)) for key in ("step", "total_steps")]
    record.step, record.total_steps = (None if value is None else int(value) for value in steps)


def _take_log(record: RunRecord) -> None:
    """Fill the record from the log, for runs of versions that wrote no status file."""
    path = os.path.join(record.folder, LOG)
    rows = log_rows(record.folder)
    for row in rows:
        step, speed = number(row.get("step")), number(row.get("images_per_second"))
        record.step = record.step if step is None else int(step)
        record.images_per_second = record.images_per_second if speed is None else speed
        accuracies = {key[: -len(_ACCURACY)]: value for key, value in row.items() if key.endswith(_ACCURACY)}
        record.last = _accuracies(accuracies) or record.last
        for name, value in record.last.items():
            record.best[name] = max(value, record.best.get(name, 0.0))
    with contextlib.suppress(OSError):
        record.started = _iso(os.stat(os.path.join(record.folder, OPTIONS)).st_mtime)
        if rows:
            record.state = "finished" if os.path.exists(os.path.join(record.folder, "results.json")) else "running"
            record.seconds = max(0.0, os.stat(path).st_mtime - os.stat(os.path.join(record.folder, OPTIONS)).st_mtime)


def log_rows(folder: str, most: int = _MOST_LOG) -> list[dict[str, Any]]:
    """Return the rows of a run's log, at most the last `most` bytes of it; lines that cannot be read are left out.

    Examples
    --------
    >>> log_rows("runs/missing")
    []
    """
    rows = []
    with contextlib.suppress(OSError), open_regular(os.path.join(folder, LOG)) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - most))
        for line in file.read(most).splitlines()[1 if size > most else 0 :]:
            with contextlib.suppress(ValueError):
                row = parse_json(line, LOG)
                if isinstance(row, dict):
                    rows.append(row)
    return rows


def _is_locked(record: RunRecord, status: dict[str, Any]) -> bool:
    """Return whether a live process holds the lock of a run; a process of another machine is believed."""
    import fcntl

    host = _text(status.get("host"))
    if host and host != socket.gethostname():
        record.note = f"on {host}"
        return True
    try:
        with open_regular(os.path.join(record.folder, ".lock")) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def number(value: Any) -> float | None:
    """Return a finite number as float, and None for everything else.

    Examples
    --------
    >>> number(3), number("3"), number(float("nan"))
    (3.0, None, None)
    """
    valid = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value)
    return float(value) if valid else None


def _accuracies(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        return {}
    found = {str(name): number(accuracy) for name, accuracy in value.items()}
    return {name: accuracy for name, accuracy in found.items() if accuracy is not None}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")
