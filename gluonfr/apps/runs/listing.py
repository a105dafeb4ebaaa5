"""Filter, sort and arrange runs, and their table."""

from __future__ import annotations

import os
from typing import Any, Iterable, Sequence

from gluonfr.apps.runs.records import RunRecord, number
from gluonfr.core import UsageError

_FIELDS = ("name", "state", "network", "loss", "dataset", "started", "seconds", "images_per_second", "epochs", "step")


def filter_runs(runs: Iterable[RunRecord], conditions: Sequence[str]) -> list[RunRecord]:
    """Return the runs that satisfy all conditions.

    Parameters
    ----------
    runs : iterable of RunRecord
    conditions : sequence of str
        ``NAME=VALUE``, where NAME is a column, an option of the run, or one of its `loss_args` and `network_args`. Numbers are
        compared as numbers, text without case.

    Raises
    ------
    UsageError
        A condition has no '='.

    Examples
    --------
    >>> runs = [RunRecord("a", "a", loss="arc"), RunRecord("b", "b", loss="cos")]
    >>> [run.name for run in filter_runs(runs, ["loss=cos"])]
    ['b']
    """
    wanted = []
    for condition in conditions:
        name, equals, value = condition.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"where={condition!r} is no condition; write NAME=VALUE, such as loss=arc.")
        wanted.append((name.strip(), value.strip()))
    return [run for run in runs if all(_equals(value_of(run, name), value) for name, value in wanted)]


def sort_runs(runs: Iterable[RunRecord], key: str) -> list[RunRecord]:
    """Return the runs by a column or option, or by the best accuracy on a verification set, highest first; '-' reverses.

    Runs without the value come last. Text is sorted from A to Z.

    Examples
    --------
    >>> runs = [RunRecord("a", "a", best={"lfw": 0.8}), RunRecord("b", "b", best={"lfw": 0.9}), RunRecord("c", "c")]
    >>> [run.name for run in sort_runs(runs, "lfw")]
    ['b', 'a', 'c']
    """
    backwards, name = key.startswith("-"), key.lstrip("-")
    values = [(run.best[name] if name in run.best else value_of(run, name), run) for run in runs]
    known = [pair for pair in values if pair[0] not in (None, "")]
    if values and not known:
        raise UsageError(f"sort={name!r} is no column, option or verification set of these runs; choose one of them.")
    numeric = all(number(value) is not None for value, _ in known)
    ordered: list[Any] = sorted(
        known,
        key=lambda pair: (number(pair[0]) or 0.0, "") if numeric else (0.0, str(pair[0]).lower()),
        reverse=numeric != backwards,
    )
    return [run for _, run in ordered] + [run for value, run in values if value in (None, "")]


def value_of(run: RunRecord, name: str) -> Any:
    """Return a column, an option, or an argument of the loss or network of a run; None where there is none.

    Examples
    --------
    >>> value_of(RunRecord("a", "a", options={"lr": 0.1, "loss_args": {"s": 30}}), "s")
    30
    """
    if name in _FIELDS:
        return getattr(run, name)
    for values in (run.options, run.options.get("loss_args"), run.options.get("network_args")):
        if isinstance(values, dict) and name in values:
            return values[name]
    return None


def arrange_tree(runs: Sequence[RunRecord]) -> list[tuple[int, RunRecord]]:
    """Return the runs with children after their parents, each with its depth; the order is kept otherwise.

    Examples
    --------
    >>> runs = [RunRecord("/b", "b", parent="/a"), RunRecord("/a", "a"), RunRecord("/c", "c", parent="/gone")]
    >>> [(depth, run.name) for depth, run in arrange_tree(runs)]
    [(0, 'a'), (1, 'b'), (0, 'c')]
    """
    folders = {run.folder: run for run in runs}
    children: dict[str, list[RunRecord]] = {}
    for run in runs:
        parent = run.parent if run.parent in folders and run.parent != run.folder else ""
        children.setdefault(parent, []).append(run)
    found: list[tuple[int, RunRecord]] = []
    seen: set[str] = set()
    waiting = [(0, run) for run in reversed(children.get("", []))]
    while waiting:
        depth, run = waiting.pop()
        if run.folder in seen:
            continue
        seen.add(run.folder)
        found.append((depth, run))
        waiting += [(depth + 1, child) for child in reversed(children.get(run.folder, []))]
    # Runs that name each other as parents have no root.
    return found + [(0, run) for run in runs if run.folder not in seen]


def columns(runs: Sequence[RunRecord]) -> list[str]:
    """Return the columns of the table of these runs: the fixed ones, and two for each verification set.

    Examples
    --------
    >>> columns([RunRecord("a", "a", best={"lfw": 0.9})])[-4:]
    ['images/s', 'time', 'lfw best', 'lfw last']
    """
    sets = dict.fromkeys(name for run in runs for name in (*run.best, *run.last))
    fixed = ["run", "started", "state", "network", "loss", "data", "epochs", "step", "images/s", "time"]
    return fixed + [f"{name} {which}" for name in sets for which in ("best", "last")]


def row(run: RunRecord, names: Sequence[str]) -> dict[str, Any]:
    """Return the values of a run for the columns; None where a value is missing.

    Examples
    --------
    >>> row(RunRecord("a", "a", loss="arc", best={"lfw": 0.9}), ["run", "loss", "lfw best", "lfw last"])
    {'run': 'a', 'loss': 'arc', 'lfw best': 0.9, 'lfw last': None}
    """
    values: dict[str, Any] = {
        "run": run.name,
        "started": run.started or None,
        "state": run.state,
        "network": run.network or None,
        "loss": run.loss or None,
        "data": run.dataset or None,
        "epochs": run.epochs,
        "step": run.step,
        "images/s": run.images_per_second,
        "time": run.seconds,
    }
    for name, accuracy in run.best.items():
        values[f"{name} best"] = accuracy
    for name, accuracy in run.last.items():
        values[f"{name} last"] = accuracy
    return {name: values.get(name) for name in names}


def to_dict(run: RunRecord) -> dict[str, Any]:
    """Return everything about a run for JSON.

    Examples
    --------
    >>> to_dict(RunRecord("runs/a", "a"))["name"]
    'a'
    """
    return dict(vars(run))


def _equals(value: Any, text: str) -> bool:
    if isinstance(value, (list, tuple)):
        value = ",".join(map(str, value))
    if number(value) is not None:
        try:
            return float(text) == float(value)
        except ValueError:
            return False
    return value is not None and str(value).lower() == text.lower()


def short_folder(path: str) -> str:
    """Return a path relative to the working directory where that is shorter.

    Examples
    --------
    >>> short_folder(os.path.join(os.getcwd(), "runs"))
    'runs'
    """
    relative = os.path.relpath(path)
    return relative if len(relative) < len(path) else path
