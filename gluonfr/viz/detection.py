from __future__ import annotations

import os
from typing import Mapping, Sequence

from matplotlib.figure import Figure

from gluonfr.core import UsageError
from gluonfr.metrics.detection import DetectionResult
from gluonfr.viz.figure import legend_name, line_style, new_figure, save


def plot_precision_recall(
    results: Mapping[str, Mapping[str, DetectionResult]], path: str | os.PathLike | None = None
) -> Figure:
    """Plot precision against recall of face detectors, one panel per subset; the legend states the average precision.

    Parameters
    ----------
    results : dict of str to dict of str to DetectionResult
        By detector, then by subset; all detectors have the same subsets.
    path : str, default None
        PNG file to write.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    UsageError
        There are no results, or detectors with different subsets.

    Examples
    --------
    >>> from gluonfr.metrics.detection import average_precision, match_detections
    >>> result = average_precision([match_detections([[0, 0, 9, 9]], [0.9], [[0, 0, 9, 9]])], [[True]])
    >>> figure = plot_precision_recall({"mtcnn": {"all": result}})
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['mtcnn: AP 1.000']
    """
    subsets = list(next(iter(results.values()))) if results else []
    if not subsets or any(list(of_detector) != subsets for of_detector in results.values()):
        raise UsageError("results: give at least one detector, and the same subsets for all of them.")
    height = 3.6 + 0.25 * len(results)
    figure, (panels,) = new_figure(columns=len(subsets), width=1.2 + 3.6 * len(subsets), height=height, sharey=True)
    for axes, subset in zip(panels, subsets):
        for number, (name, of_detector) in enumerate(results.items()):
            result = of_detector[subset]
            label = f"{legend_name(name)}: AP {result.ap:.3f}"
            axes.plot(result.recall, result.precision, label=label, **line_style(number))
        axes.set(title=f"{subset}, {result.faces:,} faces", xlabel="recall", xlim=(0, 1), ylim=(0, 1.02))
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), frameon=False)
    panels[0].set_ylabel("precision")
    return save(figure, path)


def plot_recall_by_size(
    rows: Mapping[str, Sequence[tuple[int, int, int, float]]], path: str | os.PathLike | None = None
) -> Figure:
    r"""Plot the part of the faces that detectors find, by the size of the faces.

    Parameters
    ----------
    rows : dict of str to list of (int, int, int, float)
        By detector: from and to in pixels, number of faces, and recall; all detectors have the same sizes.
    path : str, default None
        PNG file to write.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = plot_recall_by_size({"mtcnn": [(16, 32, 10, 0.5), (32, 64, 20, 0.9)]})
    >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
    ['16–32\n10 faces', '32–64\n20 faces']
    """
    first = next(iter(rows.values()))
    figure, ((axes,),) = new_figure(height=3.8 + 0.2 * len(rows))
    places = range(len(first))
    for number, (name, of_detector) in enumerate(rows.items()):
        recalls = [recall for _, _, _, recall in of_detector]
        axes.plot(places, recalls, marker="o", label=legend_name(name), **line_style(number))
    texts = [f"{low}–{high}" if high < 10_000 else f"{low} and more" for low, high, _, _ in first]
    axes.set_xticks(places, [f"{text}\n{count:,} faces" for text, (_, _, count, _) in zip(texts, first)])
    axes.set(xlabel="longer side of the face in pixels", ylabel="recall at the best threshold", ylim=(0, 1.02))
    axes.legend(loc="lower right", frameon=False)
    return save(figure, path)
