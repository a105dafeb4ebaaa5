"""An HTML report of one or several face detectors."""

from __future__ import annotations

import base64
import datetime
import json
import os
from typing import Any, Sequence

import cv2
import numpy as np

from gluonfr.core import PathLike, UsageError, absolute_path, atomic_files
from gluonfr.data import images
from gluonfr.data.detection import DetectionFolder
from gluonfr.evaluation.detectors.evaluate import DetectorEvaluation, Mistake
from gluonfr.evaluation.report.charts import to_png
from gluonfr.evaluation.report.templates import page_template
from gluonfr.version import __version__
from gluonfr.viz.detection import plot_precision_recall, plot_recall_by_size
from gluonfr.viz.figure import printable

PAGE, NUMBERS = "detectors.html", "detectors.json"
_TEMPLATES = os.path.join(os.path.dirname(__file__), "html")
# Mistakes of each kind shown for a detector, the side of their pictures, and how much around a face is shown.
_SHOWN, _SIDE, _AROUND = 24, 112, 2.2


def write_detector_report(folder: PathLike, evaluations: Sequence[DetectorEvaluation], data: DetectionFolder) -> str:
    """Write the results of detectors on one set as an HTML page with curves, tables and the worst mistakes.

    The page loads nothing from elsewhere. Next to it are `detectors.json`, `precision_recall.png` and `recall_by_size.png`.

    Parameters
    ----------
    folder : path
        Created when missing.
    evaluations : sequence of DetectorEvaluation
        Of different names.
    data : DetectionFolder
        The set on which all were evaluated.

    Returns
    -------
    str
        Path of the page.

    Examples
    --------
    >>> write_detector_report("report/", [evaluation], data)  # doctest: +SKIP
    '/home/ann/report/detectors.html'
    """
    names = [evaluation.name for evaluation in evaluations]
    if not names or len(set(names)) < len(names):
        raise UsageError("evaluations: give at least one, and a different name for each.")
    figures = {
        "precision_recall.png": plot_precision_recall({evaluation.name: evaluation.results for evaluation in evaluations}),
        "recall_by_size.png": plot_recall_by_size({evaluation.name: evaluation.recall_by_size for evaluation in evaluations}),
    }
    pictures = {name: to_png(figure) for name, figure in figures.items()}
    numbers = {"gluonfr": __version__, "photos": data.photos, "detectors": [evaluation.to_dict() for evaluation in evaluations]}
    contents = {
        **pictures,
        NUMBERS: json.dumps(numbers, indent=1, allow_nan=False).encode(),
        PAGE: _render(evaluations, data, pictures).encode(),
    }
    folder = absolute_path(folder)
    with atomic_files(*(os.path.join(folder, name) for name in contents)) as opened:
        for file, content in zip(opened, contents.values()):
            file.write(content)
    return os.path.join(folder, PAGE)


def _render(evaluations: Sequence[DetectorEvaluation], data: DetectionFolder, pictures: dict[str, bytes]) -> str:
    return page_template("detectors.html", _TEMPLATES).render(
        title="Face detectors",
        date=datetime.datetime.now().astimezone().replace(microsecond=0),
        version=__version__,
        photos=len(data.faces),
        subsets=list(evaluations[0].results),
        sizes=[(low, high, count) for low, high, count, _ in evaluations[0].recall_by_size],
        detectors=[_detector(evaluation, data) for evaluation in evaluations],
        figures={name: base64.b64encode(content).decode() for name, content in pictures.items()},
    )


def _detector(evaluation: DetectorEvaluation, data: DetectionFolder) -> dict[str, Any]:
    error = evaluation.landmark_error
    return {
        "name": printable(evaluation.name),
        "aps": [f"{result.ap:.3f}" for result in evaluation.results.values()],
        "recalls": [f"{recall:.2f}" for *_, recall in evaluation.recall_by_size],
        "landmarks": "" if np.isnan(error) else f"{error:.3f}",
        "threshold": f"{evaluation.threshold:.2f}",
        "milliseconds": f"{evaluation.milliseconds:.0f}",
        "misses": _pictures(evaluation.misses, data),
        "false_alarms": _pictures(evaluation.false_alarms, data),
        "missed": f"{len(evaluation.misses):,}",
        "false": f"{len(evaluation.false_alarms):,}",
    }


def _pictures(mistakes: Sequence[Mistake], data: DetectionFolder) -> list[dict[str, str]]:
    shown = []
    for mistake in mistakes[:_SHOWN]:
        content = images.encode(_around(data.read(mistake.photo), mistake.box), 85)
        width, height = (mistake.box[2:] - mistake.box[:2]).round().astype(int).tolist()
        caption = f"{width}x{height}, score {mistake.score:.2f}" if mistake.score else f"{width}x{height}"
        name = printable(os.path.basename(data.faces[mistake.photo].photo))
        shown.append({"uri": base64.b64encode(content).decode(), "caption": caption, "photo": name})
    return shown


def _around(photo: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the surroundings of a box as a square picture with the box drawn."""
    center, side = (box[:2] + box[2:]) / 2, float(max(box[2:] - box[:2])) * _AROUND
    factor = _SIDE / max(side, 1)
    matrix = np.array([[factor, 0, _SIDE / 2 - factor * center[0]], [0, factor, _SIDE / 2 - factor * center[1]]])
    flags = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    picture = cv2.warpAffine(photo, matrix, (_SIDE, _SIDE), flags=flags, borderValue=(90, 90, 90))
    corners = (matrix[:, :2] @ box.reshape(2, 2).T + matrix[:, 2:]).round().astype(int)
    return cv2.rectangle(picture, tuple(corners[:, 0].tolist()), tuple(corners[:, 1].tolist()), (255, 200, 0), 1)
