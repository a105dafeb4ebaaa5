from __future__ import annotations

import numpy as np

from gluonfr.core import GluonFRError
from gluonfr.viz.figure import COLORS, new_figure, save


def plot_score_histogram(result, issame=None, threshold=None, path=None, title=None, bins=80):
    """Distances of genuine and of impostor pairs, each as shares of its own pairs, with the threshold between them.

    Parameters
    ----------
    result : VerificationResult, or array-like (N,) of distances
        A pair is accepted iff its distance is below the threshold.
    issame : array-like (N,) of bool, default None
        With distances: True where the pair shows one person.
    threshold : float, default None
        None takes the result's; for distances alone, none is drawn.
    path : str, default None
        PNG file to write.
    title : str, default None
    bins : int, default 80

    Returns
    -------
    matplotlib.figure.Figure
    """
    distances, genuine, impostors, name = _counts(result, issame)
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


def _counts(result, issame):
    """-> distances (M,), genuine and impostor pairs at each (M,) int, name of the distance."""
    if issame is None:
        if not hasattr(result, "roc"):
            raise GluonFRError("a histogram of distances needs issame too; give both, or a verification result alone.")
        roc = result.roc
        return roc.thresholds[:-1], np.diff(roc.true_accepts), np.diff(roc.false_accepts), result.distance
    distances, issame = np.asarray(result, dtype=np.float64), np.asarray(issame).astype(bool)
    if distances.ndim != 1 or distances.shape != issame.shape or not distances.size:
        raise GluonFRError(
            f"distances {distances.shape} and issame {issame.shape} do not fit; give one of each for every pair."
        )
    if not np.isfinite(distances).all():
        raise GluonFRError("distances hold NaN or infinity and cannot be drawn; check the embeddings.")
    return distances, issame.astype(np.int64), (~issame).astype(np.int64), "distance"
