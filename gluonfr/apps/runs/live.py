"""A live view of a run in the terminal."""

from __future__ import annotations

import time
from typing import Any, Callable

from tqdm import tqdm

from gluonfr.apps.runs.records import RunRecord, log_rows, number, read_run
from gluonfr.apps.runs.text import percent
from gluonfr.core import display_path

_INTERVAL = 2.0
# Bytes of the end of the log that are read each time.
_TAIL = 1 << 16
# Readings that are printed at the start.
_FIRST = 5


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
    printed = dict.fromkeys(_lines(run)[:-_FIRST])
    with tqdm(
        total=run.total_steps, initial=run.step or 0, unit="step", desc=display_path(run.name), dynamic_ncols=True, disable=None
    ) as bar:
        while True:
            for line in _lines(run):
                if line not in printed:
                    printed[line] = None
                    bar.write(display_path(line))
            bar.set_postfix(_figures(run), refresh=False)
            bar.update((run.step or 0) - bar.n)
            bar.refresh()
            if run.state != "running":
                return run
            sleep(interval)
            run = read_run(folder)


def _figures(run: RunRecord) -> dict[str, Any]:
    figures = {display_path(name): percent(accuracy) for name, accuracy in run.last.items()}
    if run.images_per_second is not None:
        figures["images/s"] = f"{run.images_per_second:.0f}"
    return figures


def _lines(run: RunRecord) -> list[str]:
    rows = [row for row in log_rows(run.folder, _TAIL) if number(row.get("step")) is not None]
    return [line for line in map(_line, rows) if line]


def _line(row: dict[str, Any]) -> str:
    """Return a row of the log as text; empty for a row without figures."""
    parts = [f"step {row['step']:,}"]
    if number(row.get("loss")) is not None:
        parts.append(f"loss {row['loss']:.4f}")
    if number(row.get("lr")) is not None:
        parts.append(f"lr {row['lr']:.4f}")
    accuracies = {key.partition("/accuracy")[0]: number(value) for key, value in row.items() if key.endswith("/accuracy")}
    parts += [f"{name} {percent(accuracy)}" for name, accuracy in accuracies.items()]
    return "  ".join(parts) if len(parts) > 1 else ""
