"""Training curves, and the log of a run from which they are drawn."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gluonfr.core import DataError
from gluonfr.core.reading import parse_json, read_table_bytes
from gluonfr.viz.figure import COLORS, legend_name, line_style, panel_figure, save

LOG = "log.jsonl"
_PANELS = {"loss": "loss", "lr": "learning rate", "images_per_second": "throughput (images / s)"}
# Figures of validations, by the end of their names, and the labels of their panels.
_FIGURES = {"/accuracy": "validation accuracy (%)", "/ap": "average precision (%)"}


def plot_training_curves(
    history: Sequence[dict[str, Any]] | str | os.PathLike,
    path: str | os.PathLike | None = None,
    title: str | None = None,
) -> Figure:
    """Plot loss, learning rate, throughput and results of validations against the steps of a run, one panel for each.

    Parameters
    ----------
    history : list of dict, or str
        Rows, or a JSON-lines file of them. Every row has `step`. A training row has any of `epoch`, `loss`, `lr` and
        `images_per_second`, a validation row `SET/accuracy` (a fraction, drawn in %) and optionally `SET/accuracy_std`, or
        of a detector `SET/ap`.
        Other keys are ignored. Where a resumed run repeats steps, its rows replace the earlier ones from there on. A last
        line that a crash has cut off is ignored.
    path : str, default None
        PNG file to write.
    title : str, default None
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DataError
        The file or a row cannot be read, or contains nothing to draw.

    Examples
    --------
    >>> figure = plot_training_curves([{"step": 1, "loss": 2.5}, {"step": 2, "loss": 1.5, "lfw/accuracy": 0.8}])
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'validation accuracy (%)']
    """
    source = "the history"
    if isinstance(history, (str, os.PathLike)):
        source = os.fspath(history)
        history = read_log(source)
    series = _collect_series(history, source)
    panels = [key for key in _PANELS if key in series]
    figures = {end: [key[: -len(end)] for key in series if key.endswith(end)] for end in _FIGURES}
    figures = {end: sets for end, sets in figures.items() if sets}
    if not panels and not figures:
        raise DataError(
            f"{source} has nothing to draw; rows need step and loss, lr, images_per_second, SET/accuracy or SET/ap."
        )

    figure, axes = panel_figure(len(panels) + len(figures))
    places = iter(axes)
    for key in panels:
        _draw_series(next(places), key, *series[key])
    for end, sets in figures.items():
        _draw_figures(next(places), end, sets, series)
    first, last = min(steps[0] for steps, _ in series.values()), max(steps[-1] for steps, _ in series.values())
    room = 0.03 * (last - first) or 1
    for panel in axes:
        panel.set_xlim(first - room, last + room)
    epochs = series["epoch"][1][-1] if "epoch" in series else 0
    figure.supxlabel(f"step ({epochs:g} epochs)" if epochs > 1 else "step", fontsize=10)
    figure.suptitle(title or "Training")
    return save(figure, path)


def read_log(path: str | os.PathLike) -> list[Any]:
    r"""Read the rows of a JSON-lines file; a last line that a crash has cut off is ignored.

    Parameters
    ----------
    path : str
        Log of a training run.

    Returns
    -------
    list

    Raises
    ------
    DataError
        The file cannot be read, or another line is not JSON.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
    ...     _ = file.write('{"step": 1, "loss": 2.5}\n{"step": 2, "lo')
    ...     file.flush()
    ...     rows = read_log(file.name)
    >>> rows
    [{'step': 1, 'loss': 2.5}]
    """
    try:
        lines = read_table_bytes(path).decode("utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as JSON lines ({error}); give the log of a training run.") from error
    rows = []
    # The text after the last line break is empty, or a row that was being written.
    for number, line in enumerate(lines[:-1], 1):
        if line.strip():
            try:
                rows.append(parse_json(line, f"line {number}"))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number} is not JSON ({error}); remove the line.") from error
    with contextlib.suppress(ValueError, RecursionError):
        rows.append(parse_json(lines[-1], "the last line"))
    return rows


def _collect_series(rows: Sequence[Any], source: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return (steps, values) of each key, float64, steps increasing."""
    points: dict[str, list[tuple[float, float]]] = {}
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict) or not _is_number(row.get("step")):
            raise DataError(f"{source}: row {number} has no step; every row is a dict with a number under 'step'.")
        for key, value in row.items():
            if key != "step" and _is_number(value):
                known = points.setdefault(key, [])
                while known and known[-1][0] >= row["step"]:
                    known.pop()
                known.append((row["step"], value))
    series = {}
    for key, known in points.items():
        steps, values = np.array(known, dtype=np.float64).T
        series[key] = (steps, values)
    return series


def _is_number(value: Any) -> bool:
    # Integers beyond the range of a float cannot be drawn.
    return isinstance(value, (float, np.number)) or (type(value) is int and abs(value) < 1 << 1000)


def _draw_series(axes: Any, key: str, steps: np.ndarray, values: np.ndarray) -> None:
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


def _draw_figures(axes: Any, end: str, sets: list[str], series: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
    for index, name in enumerate(sets):
        steps, values = series[name + end]
        style = line_style(index)
        label = f"{legend_name(name)}: {100 * values[-1]:.2f} %"
        axes.plot(steps, 100 * values, label=label, marker="o", markersize=3.5, **style)
        spread_steps, spread = series.get(name + end + "_std", (np.empty(0), np.empty(0)))
        if np.array_equal(spread_steps, steps):
            axes.fill_between(steps, 100 * (values - spread), 100 * (values + spread), color=style["color"], alpha=0.12)
    axes.set_ylabel(_FIGURES[end])
    axes.legend(loc="lower right", fontsize=8)
