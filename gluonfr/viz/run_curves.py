from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from gluonfr.core import DataError
from gluonfr.viz.figure import legend_name, line_style, panel_figure, save

_PANELS = {"loss": "loss", "lr": "learning rate"}
# Figures of validations, by the end of their names, and their names in labels.
_FIGURES = {"/accuracy": "accuracy", "/ap": "average precision"}
_ENDS = tuple(_FIGURES)
# Most points of a line; more are averaged.
_POINTS = 200


def plot_run_curves(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], path: str | os.PathLike | None = None, title: str | None = None
) -> Figure:
    """Plot loss, learning rate and results of validations of several runs over each other, one panel per quantity.

    Parameters
    ----------
    runs : dict of str to list of dict
        Rows of the log by name of the run, as `read_log` returns them.
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
        No run has a row with a loss, a rate or an accuracy.

    Examples
    --------
    >>> rows = [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 1.5, "lfw/accuracy": 0.8}]
    >>> figure = plot_run_curves({"arc": rows, "cos": rows[:1]})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'accuracy on lfw (%)']
    """
    lines = {(name, key): points for name, rows in runs.items() for key, points in _lines(rows).items()}
    keys = [key for key in _PANELS if any(key == of for _, of in lines)]
    keys += sorted({of for _, of in lines if of.endswith(_ENDS)})
    if not keys:
        raise DataError("the runs have nothing to draw: their logs have no loss, learning rate or accuracy.")
    figure, axes = panel_figure(len(keys), legend=len(runs))
    for place, key in zip(axes, keys):
        is_figure = key.endswith(_ENDS)
        for number, name in enumerate(runs):
            points = lines.get((name, key), [])
            if points:
                steps, values = zip(*points)
                scaled = [100 * value for value in values] if is_figure else values
                marker = "o" if is_figure or len(points) == 1 else None
                place.plot(
                    steps, scaled, label=legend_name(name), marker=marker, markersize=3, linewidth=1.6, **line_style(number)
                )
        place.set_xlabel("step")
        place.set_ylabel(_label(key))
    handles = {label: handle for place in axes for handle, label in zip(*place.get_legend_handles_labels())}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", fontsize=9, frameon=False)
    if title:
        figure.suptitle(title)
    return save(figure, path)


def _label(key: str) -> str:
    name, slash, figure = key.rpartition("/")
    return _PANELS.get(key) or f"{_FIGURES[slash + figure]} on {legend_name(name)} (%)"


def _lines(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Return the points of each key, by step; repeated steps of a resumed run replace the earlier ones."""
    found: dict[str, dict[float, float]] = {}
    for row in rows:
        step = row.get("step")
        if step is None or not _is_number(step):
            continue
        for key, value in row.items():
            if (key in _PANELS or key.endswith(_ENDS)) and _is_number(value):
                found.setdefault(key, {})[float(step)] = float(value)
    return {key: _thin(sorted(points.items())) for key, points in found.items()}


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Average neighboring points where there are more than the figure can show."""
    size = -(-len(points) // _POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
