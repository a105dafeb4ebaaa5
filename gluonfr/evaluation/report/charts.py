from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass

import cv2
import matplotlib
import numpy as np
from matplotlib.text import Text

from gluonfr.core import GluonFRError
from gluonfr.viz.curves import plot_training_curves
from gluonfr.viz.figure import DPI, shown
from gluonfr.viz.histogram import plot_score_histogram
from gluonfr.viz.roc import plot_roc

_INK = "#1b1f24"
# Colors of the pictures on a dark page; those of lines are lighter, in the same order of hues.
_DARK = {
    "#ffffff": "#181b1f",
    _INK: "#d9dde2",
    "#000000": "#f2f4f6",
    "#e4e4e4": "#30353b",
    "#6e6e6e": "#9aa1a9",
    "#cccccc": "#3a4047",
    "#0072b2": "#4a9fe0",
    "#d55e00": "#f0894c",
    "#009e73": "#33c497",
    "#cc79a7": "#e39ac4",
    "#56b4e9": "#9ad9f8",
    "#e69f00": "#f0bd4c",
}
_COLOR = re.compile("(?<=fill: |roke: )#[0-9a-f]{6}")
_FONT = re.compile(r"'DejaVu Sans', [^;\"]*sans-serif")
_SYSTEM_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# Small enough that the letters can still be read on a telephone.
_WIDTH, _HEIGHT = 4.7, 3.7
_SHARP = 2


@dataclass
class Chart:
    """A picture on the page: SVG as data URIs, on white and on a dark ground.

    Attributes
    ----------
    light, dark : str
    width, height : int
        In CSS pixels.
    area : (left, right, top, bottom) of float
        Where the axes lie, as shares of width and height.
    limits : (low, high) of float
        Of the horizontal axis.
    """

    light: str
    dark: str
    width: int
    height: int
    area: tuple[float, float, float, float]
    limits: tuple[float, float]


def roc_picture(name, results):
    """(PNG bytes, Chart) of the ROC of several models on one set; None where no model saw both kinds of pairs."""
    results = {model: each for model, each in results.items() if each.genuine and each.impostors}
    if not results:
        return None
    figure = plot_roc(results, title=f"ROC on {shown(name)}")
    png = _png(figure)
    (axes,), (legend,) = figure.axes, figure.legends
    axes.set(title="", xlabel="false accept rate (FAR)", ylabel="true accept rate (TAR)")
    # The page has the numbers in a table.
    for text, model in zip(legend.get_texts(), results):
        text.set_text(shown(model))
    return png, _chart(figure, _WIDTH, _HEIGHT + 0.2 * len(results))


def score_picture(model, name, evaluation):
    """(PNG bytes, Chart) of genuine and impostor distances, with the production threshold, else the most accurate one."""
    threshold = evaluation.production.threshold if evaluation.production else None
    figure = plot_score_histogram(
        evaluation.verification, threshold=threshold, title=f"{shown(model, 34)} on {shown(name, 34)}"
    )
    png = _png(figure)
    figure.axes[0].set_title("")
    return png, _chart(figure, _WIDTH, _HEIGHT + 0.4)


def training_picture(rows):
    """(PNG bytes, Chart) of training curves, or the sentence that says why there are none."""
    try:
        figure = plot_training_curves(rows)
    except GluonFRError as error:
        return str(error)
    return _png(figure), _chart(figure, *figure.get_size_inches())


def given_picture(caption, data):
    """A PNG as {'uri', 'width', 'height'}."""
    image = None
    if isinstance(data, bytes) and data[:8] == b"\x89PNG\r\n\x1a\n":
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise GluonFRError(f"pictures: {caption!r} is no PNG; give the bytes of a PNG file.")
    return {"uri": data_uri("png", data), "width": image.shape[1], "height": image.shape[0]}


def data_uri(kind, data) -> str:
    """Bytes of an image as an address that needs no file."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _png(figure):
    return _saved(figure, "png", dpi=_SHARP * DPI)


def _chart(figure, width, height):
    figure.set_size_inches(width, height)
    for text in figure.findobj(Text):
        # Of black text Matplotlib writes no color, which could then not be exchanged.
        text.set_color(_INK)
    # As text, not as outlines: smaller, and in the page's font.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "report"}):
        svg = _saved(figure, "svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))).decode()
    svg = _FONT.sub(_SYSTEM_FONT, svg[svg.index("<svg") :])
    dark = _COLOR.sub(lambda found: _DARK.get(found[0], found[0]), svg)
    axes = figure.axes[0]
    place = axes.get_position()
    return Chart(
        light=data_uri("svg+xml", svg.encode()),
        dark=data_uri("svg+xml", dark.encode()),
        width=round(96 * width),
        height=round(96 * height),
        area=(place.x0, place.x1, 1 - place.y1, 1 - place.y0),
        limits=tuple(float(each) for each in axes.get_xlim()),
    )


def _saved(figure, kind, **options):
    file = io.BytesIO()
    figure.savefig(file, format=kind, **options)
    return file.getvalue()
