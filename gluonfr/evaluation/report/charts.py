"""The figures of a report, as PNG files and as SVG for light and dark pages."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

import cv2
import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.text import Text

from gluonfr.core import GluonFRError, UsageError
from gluonfr.metrics import PairEvaluation, VerificationResult
from gluonfr.viz.curves import plot_training_curves
from gluonfr.viz.figure import DPI, legend_name
from gluonfr.viz.histogram import plot_score_histogram
from gluonfr.viz.roc import plot_roc

_INK = "#1b1f24"
# Replacements of the colors on a dark page: lines get lighter colors of the same hues.
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
# In inches; small enough for readable text on a phone.
_WIDTH, _HEIGHT = 4.7, 3.7
# Pixels of the PNG files per CSS pixel.
_SCALE = 2


@dataclass
class Chart:
    """A figure on the page.

    Attributes
    ----------
    light, dark : str
        Data URIs of the SVG for light and dark pages.
    width, height : int
        In CSS pixels.
    area : (left, right, top, bottom) of float
        Position of the axes, as fractions of width and height.
    limits : (low, high) of float
        Limits of the horizontal axis.

    Examples
    --------
    >>> chart = Chart("data:,", "data:,", 451, 355, (0.1, 0.9, 0.1, 0.9), (0.0, 4.0))
    >>> chart.limits
    (0.0, 4.0)
    """

    light: str
    dark: str
    width: int
    height: int
    area: tuple[float, float, float, float]
    limits: tuple[float, float]


def draw_roc(name: str, results: Mapping[str, VerificationResult]) -> tuple[bytes, Chart] | None:
    """Draw the ROC of several models on one set, as PNG and Chart; None if the set has only one kind of pairs.

    Examples
    --------
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.linspace(0.02, 1.98, 50)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> png, chart = draw_roc("lfw", {"mine": evaluation.verification})
    >>> png[1:4], chart.width
    (b'PNG', 451)
    """
    results = {model: result for model, result in results.items() if result.genuine and result.impostors}
    if not results:
        return None
    figure = plot_roc(results, title=f"ROC on {legend_name(name)}")
    png = to_png(figure)
    (axes,), (legend,) = figure.axes, figure.legends
    axes.set(title="", xlabel="false accept rate (FAR)", ylabel="true accept rate (TAR)")
    # Names only: the page shows the numbers in a table.
    for text, model in zip(legend.get_texts(), results):
        text.set_text(legend_name(model))
    return png, to_chart(figure, _WIDTH, _HEIGHT + 0.2 * len(results))


def draw_scores(model: str, name: str, evaluation: PairEvaluation) -> tuple[bytes, Chart]:
    """Draw the histogram of distances with the production threshold, or else the most accurate one, as PNG and Chart.

    Examples
    --------
    >>> from gluonfr.metrics import evaluate_pairs
    >>> distances = np.linspace(0.02, 1.98, 50)
    >>> evaluation = evaluate_pairs(distances, distances < 1)
    >>> png, chart = draw_scores("mine", "lfw", evaluation)
    >>> png[1:4], chart.width
    (b'PNG', 451)
    """
    threshold = evaluation.production.threshold if evaluation.production else None
    figure = plot_score_histogram(
        evaluation.verification, threshold=threshold, title=f"{legend_name(model, 34)} on {legend_name(name, 34)}"
    )
    png = to_png(figure)
    figure.axes[0].set_title("")
    return png, to_chart(figure, _WIDTH, _HEIGHT + 0.4)


def draw_training(rows: Sequence[dict[str, Any]]) -> tuple[bytes, Chart] | str:
    """Draw training curves as PNG and Chart, or return a sentence on why there are none.

    Examples
    --------
    >>> rows = [{"step": step, "loss": 9 - step / 10} for step in (10, 20, 30)]
    >>> png, chart = draw_training(rows)
    >>> png[1:4]
    b'PNG'
    """
    try:
        figure = plot_training_curves(rows)
    except GluonFRError as error:
        return str(error)
    return to_png(figure), to_chart(figure, *figure.get_size_inches())


def embed_png(caption: str, data: Any) -> dict[str, Any]:
    """Return a PNG file as a dict of `uri`, `width` and `height`.

    Examples
    --------
    >>> png = cv2.imencode(".png", np.zeros((2, 3), np.uint8))[1].tobytes()
    >>> picture = embed_png("people", png)
    >>> picture["width"], picture["height"]
    (3, 2)
    """
    image = None
    if isinstance(data, bytes) and data[:8] == b"\x89PNG\r\n\x1a\n":
        image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise UsageError(f"pictures: {caption!r} is not a PNG. Pass the bytes of a PNG file.")
    return {"uri": data_uri("png", data), "width": image.shape[1], "height": image.shape[0]}


def data_uri(kind: str, data: bytes) -> str:
    """Return the bytes of an image as a data URI.

    Examples
    --------
    >>> data_uri("png", b"abc")
    'data:image/png;base64,YWJj'
    """
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def to_png(figure: Figure) -> bytes:
    """Return a figure as PNG.

    Examples
    --------
    >>> to_png(Figure())[1:4]
    b'PNG'
    """
    return _saved(figure, "png", dpi=_SCALE * DPI)


def to_chart(figure: Figure, width: float, height: float) -> Chart:
    """Return a figure as SVG of this size in inches, for light and dark pages.

    Examples
    --------
    >>> figure = Figure()
    >>> _ = figure.subplots()
    >>> to_chart(figure, 4, 3).width
    384
    """
    figure.set_size_inches(width, height)
    for text in figure.findobj(Text):
        # Matplotlib writes no color for black text, so it could not be replaced for the dark page.
        text.set_color(_INK)
    # Text instead of outlines is smaller and uses the font of the page.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "report"}):
        svg = _saved(figure, "svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))).decode()
    svg = _FONT.sub(_SYSTEM_FONT, svg[svg.index("<svg") :])
    dark = _COLOR.sub(lambda found: _DARK.get(found[0], found[0]), svg)
    axes = figure.axes[0]
    place = axes.get_position()
    low, high = map(float, axes.get_xlim())
    return Chart(
        light=data_uri("svg+xml", svg.encode()),
        dark=data_uri("svg+xml", dark.encode()),
        width=round(96 * width),
        height=round(96 * height),
        area=(place.x0, place.x1, 1 - place.y1, 1 - place.y0),
        limits=(low, high),
    )


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format=kind, **options)
    return file.getvalue()
