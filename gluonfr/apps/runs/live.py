"""A live view of a run in the terminal."""

from __future__ import annotations

import time
from typing import Any, Callable

from tqdm import tqdm

from gluonfr.apps.runs.records import RunRecord, log_rows, number, read_run
from gluonfr.apps.runs.text import duration, percent
from gluonfr.core import display_path

_INTERVAL = 2.0
# Bytes of the end of the log that are read each time.
_TAIL = 1 << 16
# Readings that are printed at the start.
_FIRST = 5
# The remaining time is not tqdm's: that knows only the steps since the view began, which arrive in leaps.
_BAR = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt}{postfix}"


def watch_run(folder: str, interval: float = _INTERVAL, sleep: Callable[[float], None] = time.sleep) -> RunRecord:
    """Show a progress bar with the remaining time, the last losses and accuracies of a run, until the run ends.

    Only files are read, so the run does not notice, whatever happens to the view.

    Parameters
    ----------
    folder : str
        The run folder.
    interval : float, default 2
        Seconds between two looks.
    sleep : callable, default time.sleep
        Waits for a number of seconds.

    Returns
    -------
    RunRecord
        The run at its end.

    Raises
    ------
    UsageError
        The folder holds no run.

    Examples
    --------
    >>> watch_run("runs/mine").state  # doctest: +SKIP
    'finished'
    """
    run = read_run(folder)
    rows = _rows(run)
    printed = dict.fromkeys(_lines(rows)[:-_FIRST])
    print(display_path(_headline(run)))
    with tqdm(
        total=run.total_steps,
        initial=run.step or 0,
        desc=display_path(run.name),
        bar_format=_BAR,
        dynamic_ncols=True,
        disable=None,
    ) as bar:
        while True:
            for line in _lines(rows):
                if line not in printed:
                    printed[line] = None
                    bar.write(display_path(line))
            bar.set_postfix_str(display_path(", ".join(_figures(run, rows))), refresh=False)
            bar.update((run.step or 0) - bar.n)
            bar.refresh()
            if run.state != "running":
                return run
            sleep(interval)
            run = read_run(folder)
            rows = _rows(run)


def _headline(run: RunRecord) -> str:
    """Return what is trained, and how far it is."""
    position = "" if run.step is None else f", step {run.step:,}" + (f" of {run.total_steps:,}" if run.total_steps else "")
    return f"{run.name}: {run.network or 'network'} with {run.loss or 'loss'} on {run.dataset or 'data'}{position}"


def _figures(run: RunRecord, rows: list[dict[str, Any]]) -> list[str]:
    """Return the remaining time, loss, accuracies and speed; the most important first, as narrow terminals show less."""
    figures = []
    if run.state == "running" and run.seconds and run.step and run.total_steps:
        # With validations and checkpoints, which the speed between two readings leaves out.
        figures.append(f"{duration(run.seconds / run.step * (run.total_steps - run.step))} left")
    losses = [loss for loss in (number(row.get("loss")) for row in rows) if loss is not None]
    figures += [f"loss {loss:.4f}" for loss in losses[-1:]]
    figures += [f"{name} {percent(accuracy)}" for name, accuracy in run.last.items()]
    if run.images_per_second is not None:
        figures.append(f"{run.images_per_second:.0f} images/s")
    return figures


def _rows(run: RunRecord) -> list[dict[str, Any]]:
    return [row for row in log_rows(run.folder, _TAIL) if number(row.get("step")) is not None]


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    return [line for line in map(_line, rows) if line]


def _line(row: dict[str, Any]) -> str:
    """Return a row of the log as text; empty for a row without figures."""
    parts = [f"step {row['step']:,}"]
    if number(row.get("loss")) is not None:
        parts.append(f"loss {row['loss']:.4f}")
    if number(row.get("lr")) is not None:
        parts.append(f"lr {row['lr']:.4f}")
    for key, value in row.items():
        name, _, figure = key.rpartition("/")
        if figure in ("accuracy", "ap"):
            parts.append(f"{name} {percent(number(value))}" if figure == "accuracy" else f"{name} AP {percent(number(value))}")
    return "  ".join(parts) if len(parts) > 1 else ""
