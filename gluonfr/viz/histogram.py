from __future__ import annotations

import os
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gluonfr.core import DataError, UsageError
from gluonfr.metrics import VerificationResult
from gluonfr.viz.figure import COLORS, new_figure, save


def plot_score_histogram(
    result: VerificationResult | Any,
    issame: Any = None,
    threshold: float | None = None,
    path: str | os.PathLike | None = None,
    title: str | None = None,
    bins: int = 80,
) -> Figure:
    """Plot the distances of genuine and of impostor pairs, with the threshold between them.

    The bars show shares: each kind of pair sums to 100 %.

    Parameters
    ----------
    result : VerificationResult, or array-like (N,) of distances
        A pair is accepted iff its distance is below the threshold.
    issame : array-like (N,) of bool, default None
        True where the pair shows one person; required with distances.
    threshold : float, default None
        Threshold to draw. None uses that of the result; for distances alone, none is drawn.
    path : str, default None
        PNG file to write.
    title : str, default None
        Title of the figure.
    bins : int, default 80
        Number of bins.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    UsageError, DataError
        Distances and labels do not match, or a distance is not finite.

    Examples
    --------
    >>> figure = plot_score_histogram([0.2, 0.4, 1.6, 1.8], [1, 1, 0, 0], threshold=1.0)
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['genuine pairs (2), 0.00 % rejected', 'impostor pairs (2), 0.00 % accepted', 'threshold 1']
    """
    distances, genuine, impostors, name = _count_pairs(result, issame)
    if threshold is None:
        threshold = getattr(result, "threshold", None)
    low, high = distances.min(), distances.max()
    room = 0.02 * (high - low) or 0.5
    edges = np.linspace(max(low - room, 0), high + room, bins + 1)

    figure, ((axes,),) = new_figure(height=5.0)
    kinds = (("genuine", genuine, COLORS[0], "rejected"), ("impostor", impostors, COLORS[1], "accepted"))
    for kind, counts, color, error in kinds:
        total = counts.sum()
        if not total:
            continue
        label = f"{kind} pairs ({total:,})"
        if threshold is not None:
            accepted = counts[distances < threshold].sum()
            label += f", {100 * (total - accepted if error == 'rejected' else accepted) / total:.2f} % {error}"
        shares = 100 * np.histogram(distances, edges, weights=counts)[0] / total
        axes.stairs(shares, edges, fill=True, color=color, alpha=0.35)
        axes.stairs(shares, edges, color=color, linewidth=1.6, label=label)
    if threshold is not None:
        axes.axvline(threshold, color="black", linewidth=1.4, linestyle="--", label=f"threshold {threshold:.4g}")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    axes.margins(y=0.1)
    axes.set_xlabel(f"{name} (accepted left of the threshold)")
    axes.set_ylabel(f"share of each kind in a bin of {edges[1] - edges[0]:.2g} (%)")
    axes.set_title(title or "Verification: distances")
    figure.legend(loc="outside lower center", fontsize=9, frameon=False)
    return save(figure, path)


def _count_pairs(result: Any, issame: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Return distances (M,), genuine and impostor pairs at each (M,) int, and the name of the distance."""
    if issame is None:
        if not isinstance(result, VerificationResult):
            raise UsageError("a histogram of distances needs issame too; give both, or a verification result alone.")
        roc = result.roc
        return roc.thresholds[:-1], np.diff(roc.true_accepts), np.diff(roc.false_accepts), result.distance
    distances, issame = np.asarray(result, dtype=np.float64), np.asarray(issame).astype(bool)
    if distances.ndim != 1 or distances.shape != issame.shape or not distances.size:
        raise UsageError(f"distances {distances.shape} and issame {issame.shape} do not match; give one of each per pair.")
    if not np.isfinite(distances).all():
        raise DataError("distances hold NaN or infinity and cannot be drawn; check the embeddings.")
    return distances, issame.astype(np.int64), (~issame).astype(np.int64), "distance"
