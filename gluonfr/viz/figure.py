from __future__ import annotations

import os

from matplotlib.figure import Figure
from matplotlib.text import Text

from gluonfr.core import GluonFRError, atomic_file

# Okabe and Ito's colors, told apart with any color vision; their yellow is left out, too pale for a line on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES = ("-", "--", "-.", ":")
GREY = "#6E6E6E"
DPI = 100


def new_figure(rows=1, columns=1, width=7.0, height=4.6, **options):
    """A figure and its (rows, columns) array of axes, sizes in inches, made without Matplotlib's global state.

    So pictures can be drawn without a display, and in several threads at once.
    """
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for each in axes.flat:
        each.grid(True, color="#E4E4E4", linewidth=0.8)
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def line_style(place):
    """Color and dashes of the line number `place`; both differ before any repeats."""
    return {"color": COLORS[place % len(COLORS)], "linestyle": LINES[place // len(COLORS) % len(LINES)]}


def shown(name, longest=44):
    """A name as a picture shows it: on one line, cut in the middle when it is long, as paths are."""
    name = printable(name)
    if len(name) > longest:
        half = (longest - 1) // 2
        name = f"{name[:half]}…{name[-half:]}"
    # Matplotlib leaves out of legends what begins with an underscore.
    return f" {name}" if name.startswith("_") else name


def printable(text):
    """Text without what moves or breaks the text around it: line breaks, control characters, halves of surrogate pairs."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in str(text))


def save(figure, path):
    """Write the figure as a PNG file, whole or not at all; None writes nothing. Returns the figure.

    Its texts are names and numbers: a dollar sign in one begins no formula.
    """
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    if path is not None:
        if os.path.splitext(os.fspath(path))[1].lower() != ".png":
            raise GluonFRError(f"{path}: pictures are written as PNG; give a name that ends in .png.")
        with atomic_file(path) as file:
            figure.savefig(file, format="png", dpi=DPI)
    return figure
