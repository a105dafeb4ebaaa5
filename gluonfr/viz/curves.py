from __future__ import annotations

import contextlib
import json
import os

import numpy as np

from gluonfr.core import GluonFRError
from gluonfr.viz.figure import COLORS, line_style, new_figure, save, shown

LOG = "log.jsonl"
_PANELS = {"loss": "loss", "lr": "learning rate", "images_per_second": "throughput (images / s)"}
_ACCURACY = "/accuracy"


def plot_training_curves(history, path=None, title=None):
    """Loss, learning rate, throughput and validation accuracy over the steps of a run; a panel for each that was recorded.

    Parameters
    ----------
    history : list of dict, or str
        Rows, or a JSON-lines file of them. Every row has `step`; a training row has any of `epoch`, `loss`, `lr` and
        `images_per_second`, a validation row `SET/accuracy` (a share, drawn in %) and perhaps `SET/accuracy_std`. Other
        keys are ignored. Where a resumed run repeats steps, its rows replace the earlier ones from there on. A last line
        cut off by a crash is left out.
    path : str, default None
        PNG file to write.
    title : str, default None

    Returns
    -------
    matplotlib.figure.Figure

    Raises GluonFRError for a file or row that cannot be read, or when nothing can be drawn.
    """
    source = "the history"
    if isinstance(history, (str, os.PathLike)):
        source = os.fspath(history)
        history = read_log(source)
    series = _series(history, source)
    panels = [key for key in _PANELS if key in series]
    sets = [key[: -len(_ACCURACY)] for key in series if key.endswith(_ACCURACY)]
    if not panels and not sets:
        raise GluonFRError(f"{source} has nothing to draw; rows need step and loss, lr, images_per_second or SET/accuracy.")

    count = len(panels) + bool(sets)
    columns = min(count, 2)
    rows = -(-count // columns)
    figure, axes = new_figure(rows, columns, width=5.0 * columns + 0.5, height=2.9 * rows + 0.6)
    places = iter(axes.flat)
    for key in panels:
        _draw_series(next(places), key, *series[key])
    if sets:
        _draw_accuracy(next(places), sets, series)
    for unused in places:
        unused.set_visible(False)
    first, last = min(steps[0] for steps, _ in series.values()), max(steps[-1] for steps, _ in series.values())
    room = 0.03 * (last - first) or 1
    for each in axes.flat:
        each.set_xlim(first - room, last + room)
    epochs = series["epoch"][1][-1] if "epoch" in series else 0
    figure.supxlabel(f"step ({epochs:g} epochs)" if epochs > 1 else "step", fontsize=10)
    figure.suptitle(title or "Training")
    return save(figure, path)


def read_log(path):
    """Rows of a JSON-lines file; a last line that was cut off by a crash is left out, any other damage raises GluonFRError."""
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise GluonFRError(f"{path}: cannot be read as JSON lines ({error}); give the log of a training run.") from error
    rows = []
    # What follows the last line break is empty, or a row that was still being written.
    for number, line in enumerate(lines[:-1], 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise GluonFRError(f"{path}: line {number} is not JSON ({error}); remove the line.") from error
    with contextlib.suppress(json.JSONDecodeError):
        rows.append(json.loads(lines[-1]))
    return rows


def _series(rows, source):
    """-> dict of key to (steps, values), float64 arrays, steps increasing."""
    points = {}
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not _is_number(row.get("step")):
            raise GluonFRError(f"{source}: row {number} has no step; every row is a dict with a number under 'step'.")
        for key, value in row.items():
            if key != "step" and _is_number(value):
                known = points.setdefault(key, [])
                while known and known[-1][0] >= row["step"]:
                    known.pop()
                known.append((row["step"], value))
    return {key: tuple(np.array(known, dtype=np.float64).T) for key, known in points.items()}


def _is_number(value):
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _draw_series(axes, key, steps, values) -> None:
    window = len(values) // 25
    if key != "lr" and window > 1:
        axes.plot(steps, values, color=COLORS[0], alpha=0.3, linewidth=1, label="recorded")
        smooth = np.convolve(values, np.full(window, 1 / window), mode="valid")
        axes.plot(steps[window - 1 :], smooth, color=COLORS[0], linewidth=1.8, label=f"mean of the last {window} rows")
        axes.legend(fontsize=8, frameon=False)
    else:
        axes.plot(steps, values, color=COLORS[0], linewidth=1.8, label="recorded", marker="o" if len(steps) == 1 else None)
    if key == "images_per_second":
        axes.set_ylim(bottom=0)
    axes.set_ylabel(_PANELS[key])
    if key == "lr":
        axes.ticklabel_format(axis="y", style="plain", useOffset=False)


def _draw_accuracy(axes, sets, series) -> None:
    for place, name in enumerate(sets):
        steps, values = series[name + _ACCURACY]
        style = line_style(place)
        axes.plot(steps, 100 * values, label=f"{shown(name)}: {100 * values[-1]:.2f} %", marker="o", markersize=3.5, **style)
        spread_steps, spread = series.get(name + _ACCURACY + "_std", ((), ()))
        if np.array_equal(spread_steps, steps):
            axes.fill_between(steps, 100 * (values - spread), 100 * (values + spread), color=style["color"], alpha=0.12)
    axes.set_ylabel("validation accuracy (%)")
    axes.legend(loc="lower right", fontsize=8)
