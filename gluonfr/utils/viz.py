"""gluon-face's figures of a verification; `gluonfr.viz` draws more from the results themselves."""

from __future__ import annotations

import warnings
from typing import Any, Sequence

from gluonfr.core import UsageError


def plot_roc(tpr: Sequence[float], fpr: Sequence[float], x_name: str = "FPR", y_name: str = "TPR") -> Any:
    """Show true-positive rates against false-positive rates.

    Parameters
    ----------
    tpr, fpr : sequence of float
        Rates at the same thresholds, as `FaceVerification.get` returns them.
    x_name, y_name : str, default 'FPR' and 'TPR'
        Names of the axes.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, which is also shown where Matplotlib has a window or a notebook.

    Raises
    ------
    UsageError
        The sequences have different lengths.

    Examples
    --------
    >>> plot_roc([0, 0.9, 1], [0, 0.1, 1]).axes[0].get_title()
    'ROC'
    """
    return _show(fpr, tpr, x_name, y_name, "ROC")


def plot_accuracy(accs: Sequence[float], threholds: Sequence[float]) -> Any:
    """Show accuracies against thresholds.

    Parameters
    ----------
    accs, threholds : sequence of float
        Accuracies and their thresholds; the second name is spelled as in gluon-face.

    Returns
    -------
    matplotlib.figure.Figure
        The figure, which is also shown where Matplotlib has a window or a notebook.

    Raises
    ------
    UsageError
        The sequences have different lengths.

    Examples
    --------
    >>> plot_accuracy([0.5, 0.9, 0.6], [0.5, 1, 1.5]).axes[0].get_xlabel()
    'threshold'
    """
    return _show(threholds, accs, "threshold", "accuracy", "Accuracy")


def _show(x: Sequence[float], y: Sequence[float], x_name: str, y_name: str, title: str) -> Any:
    from matplotlib import pyplot

    if len(x) != len(y):
        raise UsageError(f"{title}: {len(x)} values of {x_name} and {len(y)} of {y_name} are not pairs.")
    figure, axes = pyplot.subplots(figsize=(8, 8))
    axes.plot(x, y)
    axes.set_xlabel(x_name)
    axes.set_ylabel(y_name)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    with warnings.catch_warnings():
        # Without a display there is nothing to show, which is no mistake.
        warnings.filterwarnings("ignore", message=".*non-interactive.*")
        pyplot.show()
    return figure
