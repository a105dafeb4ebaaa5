from __future__ import annotations

import os
from collections.abc import Mapping

from matplotlib.figure import Figure

from gluonfr.core import UsageError
from gluonfr.metrics import VerificationResult
from gluonfr.viz.figure import GREY, legend_name, line_style, new_figure, save


def plot_roc(
    results: VerificationResult | Mapping[str, VerificationResult],
    path: str | os.PathLike | None = None,
    title: str | None = None,
) -> Figure:
    """Plot TAR against FAR of one or several verification sets; the FAR axis is logarithmic.

    It begins at the lowest FAR that the largest set can show: one of its impostor pairs. TAR is drawn from 0 to 1, with the
    curve of a random guess. Dashed vertical lines mark
    the FAR targets of the results. The legend states AUC and accuracy.

    Parameters
    ----------
    results : dict of str to VerificationResult, or VerificationResult
        One curve per entry; a single result is drawn without a name.
    path : str, default None
        PNG file to write.
    title : str, default None
        Title of the figure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    UsageError
        There are no results, or a set has pairs of one kind only.

    Examples
    --------
    >>> from gluonfr.metrics import evaluate_verification
    >>> figure = plot_roc({"lfw": evaluate_verification([0.2, 1.8] * 10, [1, 0] * 10)})
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['lfw: AUC 1.0000, accuracy 100.00 ± 0.00 %', 'chance']
    """
    if isinstance(results, VerificationResult):
        results = {"": results}
    if not results:
        raise UsageError("there are no results to draw; give a dict of name to verification result.")
    for name, result in results.items():
        _check_result(name, result)

    figure, ((axes,),) = new_figure(height=4.2 + 0.2 * len(results))
    left = min(1 / max(result.impostors for result in results.values()), 0.1)
    for index, (name, result) in enumerate(results.items()):
        corners = result.roc.corners()
        axes.plot(corners.far, corners.tar, linewidth=1.8, label=_label(name, result), **line_style(index))
    axes.plot(*_chance(left), color=GREY, linewidth=1, linestyle=(0, (1, 2)), label="chance")
    for target in {at.target for result in results.values() for at in result.tar_at_far}:
        if left <= target < 1:
            axes.axvline(target, color=GREY, linewidth=1, linestyle="--", zorder=1)

    axes.set_xscale("log")
    axes.set_xlim(left, 1)
    axes.set_ylim(0, 1.01)
    # Plain numbers, the same as in the metrics' names; powers would also need Matplotlib's formula parser.
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: "")
    axes.set_xlabel("false accept rate (FAR, share of impostor pairs)")
    axes.set_ylabel("true accept rate (TAR, share of genuine pairs)")
    axes.set_title(title or "Verification: ROC")
    figure.legend(loc="outside lower center", fontsize=9, frameon=False)
    return save(figure, path)


def _check_result(name: str, result: VerificationResult) -> None:
    if not isinstance(result, VerificationResult):
        raise UsageError(f"{name} is a {type(result).__name__}; give a verification result, as `metric.result()` returns.")
    if not (result.genuine and result.impostors):
        missing = "impostor" if result.genuine else "genuine"
        raise UsageError(f"{name or 'the result'} has no {missing} pairs, so it has no ROC; leave it out.")


def _label(name: str, result: VerificationResult) -> str:
    numbers = f"AUC {result.auc:.4f}, accuracy {100 * result.accuracy:.2f} ± {100 * result.accuracy_std:.2f} %"
    return f"{legend_name(name)}: {numbers}" if name else numbers


def _chance(left: float) -> tuple[list[float], list[float]]:
    rates = [left ** (1 - step / 100) for step in range(101)]
    return rates, rates
