"""What all figures share: size, colors, line styles, safe texts, and PNG files."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from gluonfr.core import UsageError, atomic_file

# The colors of Okabe and Ito, distinct with any color vision. Their yellow is omitted: it is too pale for a line on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES = ("-", "--", "-.", ":")
GREY = "#6E6E6E"
DPI = 150


def new_figure(
    rows: int = 1, columns: int = 1, width: float = 7.0, height: float = 4.6, **options: Any
) -> tuple[Figure, np.ndarray]:
    """Create a figure and its (rows, columns) array of axes without Matplotlib's global state.

    Figures can thus be drawn without a display, and in several threads at once.

    Parameters
    ----------
    rows, columns : int, default 1
        Number of axes.
    width, height : float
        Size in inches.
    **options
        Passed to `Figure.subplots`.

    Examples
    --------
    >>> figure, axes = new_figure(rows=1, columns=2)
    >>> axes.shape
    (1, 2)
    """
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    engine: Any = figure.get_layout_engine()
    engine.set(w_pad=0.1, h_pad=0.1)
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for panel in axes.flat:
        panel.grid(True, color="#E4E4E4", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes


def panel_figure(count: int, legend: int = 0) -> tuple[Figure, list[Any]]:
    """Create a figure with panels in two columns.

    Parameters
    ----------
    count : int
        Number of panels, at least 1.
    legend : int, default 0
        Lines of a legend for the whole figure, for which there is room.

    Returns
    -------
    figure : Figure
    panels : list of Axes
        `count` of them.

    Examples
    --------
    >>> figure, panels = panel_figure(3)
    >>> len(panels), [panel.get_visible() for panel in figure.axes]
    (3, [True, True, True, False])
    """
    columns = min(count, 2)
    rows = -(-count // columns)
    figure, axes = new_figure(rows, columns, width=5.0 * columns + 0.5, height=2.9 * rows + 0.6 + 0.25 * legend)
    for unused in list(axes.flat)[count:]:
        unused.set_visible(False)
    return figure, list(axes.flat)[:count]


def line_style(index: int) -> dict[str, Any]:
    """Return color and dashes of a line; all combinations are used before one repeats.

    Examples
    --------
    >>> line_style(0)
    {'color': '#0072B2', 'linestyle': '-'}
    """
    return {"color": COLORS[index % len(COLORS)], "linestyle": LINES[index // len(COLORS) % len(LINES)]}


def legend_name(name: Any, longest: int = 44) -> str:
    """Return a name for a legend: on one line, and shortened in the middle when it is long.

    Examples
    --------
    >>> legend_name("a/very/long/path/to/a/model", longest=11)
    'a/ver…model'
    """
    name = printable(name)
    if len(name) > longest:
        half = (longest - 1) // 2
        name = f"{name[:half]}…{name[-half:]}"
    # Matplotlib omits labels that begin with an underscore from legends.
    return f" {name}" if name.startswith("_") else name


def printable(text: Any) -> str:
    r"""Replace characters that disturb the text around them: line breaks, control characters, lone surrogates.

    Examples
    --------
    >>> printable("Ann\x07")
    'Ann�'
    """
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text))


def save(figure: Figure, path: str | os.PathLike | None) -> Figure:
    """Write a figure as a PNG file, atomically; None writes nothing.

    Texts of the figure are names and numbers: a dollar sign does not start a formula.

    Parameters
    ----------
    figure : Figure
    path : str or None
        PNG file to write.

    Returns
    -------
    Figure
        The same figure.

    Raises
    ------
    UsageError
        The name does not end in `.png`.

    Examples
    --------
    >>> figure, _ = new_figure()
    >>> save(figure, None) is figure
    True
    """
    texts: Any = figure.findobj(Text)
    for text in texts:
        text.set_parse_math(False)
    if path is not None:
        if os.path.splitext(os.fspath(path))[1].lower() != ".png":
            raise UsageError(f"{path}: figures are written as PNG; give a name that ends in .png.")
        with atomic_file(path) as file:
            figure.savefig(file, format="png", dpi=DPI)
    return figure
