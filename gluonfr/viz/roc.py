from __future__ import annotations

import math

from gluonfr.core import GluonFRError
from gluonfr.viz.figure import GREY, line_style, new_figure, save, shown


def plot_roc(results, path=None, title=None):
    """TAR against FAR of one or several verification sets; the FAR axis is logarithmic.

    The axis begins at the rarest FAR that the largest set can show, one of its impostor pairs. Dashed vertical lines stand at
    the results' FAR targets; the legend states AUC and accuracy.

    Parameters
    ----------
    results : dict of str to VerificationResult
        A curve for each; a result alone is drawn without a name.
    path : str, default None
        PNG file to write.
    title : str, default None

    Returns
    -------
    matplotlib.figure.Figure

    Raises GluonFRError when there is nothing to draw or a set has pairs of one kind only.
    """
    if hasattr(results, "roc"):
        results = {"": results}
    if not results:
        raise GluonFRError("there are no results to draw; give a dict of name to verification result.")
    for name, result in results.items():
        if not hasattr(result, "roc"):
            raise GluonFRError(
                f"{name} is a {type(result).__name__}; give a verification result, as `metric.result()` returns."
            )
        if not (result.genuine and result.impostors):
            missing = "impostor" if result.genuine else "genuine"
            raise GluonFRError(f"{name or 'the result'} has no {missing} pairs, so it has no ROC; leave it out.")

    figure, ((axes,),) = new_figure(height=4.2 + 0.2 * len(results))
    left = min(1 / max(result.impostors for result in results.values()), 0.1)
    lowest = 1.0
    for place, (name, result) in enumerate(results.items()):
        corners = result.roc.corners()
        axes.plot(corners.far, corners.tar, linewidth=1.8, label=_label(name, result), **line_style(place))
        lowest = min(lowest, corners.tar[corners.far <= left].max())
    axes.plot(*_chance(left), color=GREY, linewidth=1, linestyle=(0, (1, 2)), label="chance")
    for target in {at.target for result in results.values() for at in result.tar_at_far}:
        if left <= target < 1:
            axes.axvline(target, color=GREY, linewidth=1, linestyle="--", zorder=1)

    axes.set_xscale("log")
    axes.set_xlim(left, 1)
    axes.set_ylim(max(0.0, math.floor(10 * lowest - 0.5) / 10), 1.005)
    # Plain numbers, the same as in the metrics' names; powers would also need Matplotlib's formula parser.
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.set_xlabel("false accept rate (FAR, share of impostor pairs)")
    axes.set_ylabel("true accept rate (TAR, share of genuine pairs)")
    axes.set_title(title or "Verification: ROC")
    figure.legend(loc="outside lower center", fontsize=9, frameon=False)
    return save(figure, path)


def _label(name, result):
    numbers = f"AUC {result.auc:.4f}, accuracy {100 * result.accuracy:.2f} ± {100 * result.accuracy_std:.2f} %"
    return f"{shown(name)}: {numbers}" if name else numbers


def _chance(left):
    rates = [left ** (1 - step / 100) for step in range(101)]
    return rates, rates
