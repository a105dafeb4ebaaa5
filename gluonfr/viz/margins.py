"""Margins of the losses: the target logit as a function of the angle."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mxnet import nd
from mxnet.gluon import Parameter

from gluonfr.core import UsageError
from gluonfr.core.mxnet_internals import own_parameters
from gluonfr.loss import MarginLoss, get_loss
from gluonfr.viz.figure import GREY, legend_name, line_style, new_figure, save

_TITLES = ("margin on the angle or the cosine", "margin set by the embedding's norm", "margin and one other class at {:g}°")
# After this number of steps the lambda of SphereFace and L-Softmax has its final value.
_ANNEALED = 1e6


def plot_margins(
    losses: dict[str, MarginLoss] | Sequence[MarginLoss | str] | None = None,
    path: str | os.PathLike | None = None,
    title: str | None = None,
    norms: Sequence[float] = (10, 60, 110),
    other: float = 45.0,
) -> Figure:
    """Plot the target logit against the angle to the own class, 0 to 180 degrees, as the ArcFace paper draws its margins.

    The curves are what the losses themselves compute, before the scale. A loss with a margin that depends on the norm of
    the embedding has one curve for each of `norms`. A loss that also changes the logits of other classes is drawn with one
    other class at a fixed angle; the increase of that logit is subtracted from the target's, because softmax depends on the
    difference only.

    Parameters
    ----------
    losses : dict of str to MarginLoss, or list of MarginLoss or names, default None
        One or more curves per loss, in its current state. None draws every margin loss with its usual margin.
    path : str, default None
        PNG file to write.
    title : str, default None
        Title of the figure.
    norms : sequence of float, default (10, 60, 110)
        Norms of the embedding.
    other : float, default 45
        Angle of the other class, in degrees.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    UsageError
        A loss has no margin on the target or its parameters are not initialized, or an angle or norm is out of range.

    Examples
    --------
    >>> figure = plot_margins(["arcface", "cosface"])
    >>> len(figure.axes[0].lines)
    3
    """
    losses = usual_margins() if losses is None else _by_name(losses)
    if not losses:
        raise UsageError("there are no losses to draw; give a dict of name to margin loss.")
    panels: list[list[tuple[str, np.ndarray]]] = [[], [], []]
    degrees = np.linspace(0, 180, 721)
    for name, loss in losses.items():
        if not isinstance(loss, MarginLoss):
            raise UsageError(f"{name} is a {type(loss).__name__}, which has no margin on the target; give margin losses.")
        if _depends_on_norm(loss):
            panels[1] += [(f"{legend_name(name)}, ‖x‖ = {norm:g}", target_logit(loss, degrees, norm)) for norm in norms]
        else:
            changes_others = type(loss).others is not MarginLoss.others
            panels[2 if changes_others else 0].append((legend_name(name), target_logit(loss, degrees, other=other)))

    filled = [(text.format(other), curves) for text, curves in zip(_TITLES, panels) if curves]
    longest = max(len(curves) for _, curves in filled)
    figure, axes = new_figure(1, len(filled), width=max(7.0, 4.2 * len(filled)), height=4.2 + 0.2 * longest)
    for panel, (text, curves) in zip(axes.flat, filled):
        _draw_panel(panel, text, degrees, curves)
    axes[0, 0].set_ylabel("target logit / s")
    if title is not None:
        figure.suptitle(title)
    return save(figure, path)


def _draw_panel(axes: Any, text: str, degrees: np.ndarray, curves: list[tuple[str, np.ndarray]]) -> None:
    axes.plot(degrees, np.cos(np.radians(degrees)), color=GREY, linewidth=1, linestyle=(0, (1, 2)), label="cos θ, no margin")
    for index, (name, values) in enumerate(curves):
        axes.plot(degrees, values, linewidth=1.8, label=name, **line_style(index))
    axes.set_title(text, fontsize=11)
    axes.set_xlim(0, 180)
    axes.set_xticks(range(0, 181, 30))
    axes.set_xlabel("θ, angle to the own class (degrees)")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), fontsize=9, frameon=False)


def target_logit(loss: MarginLoss, degrees: Any, norm: float | None = None, other: float | None = None) -> np.ndarray:
    """Compute the target logit of a margin loss from the angle, in float64 and before the scale.

    Parameters
    ----------
    loss : MarginLoss
    degrees : array-like, (N,)
        Angles between the embedding and its own class.
    norm : float, default None
        Norm of the embedding, for losses that depend on it.
    other : float, default None
        Angle of one other class. The increase of its logit by the loss is subtracted from the target's.

    Returns
    -------
    (N,) float64

    Raises
    ------
    UsageError
        An angle or norm is out of range, or a parameter of the loss is not initialized.

    Examples
    --------
    >>> loss = get_loss("cosface", classes=2, m=0.25)
    >>> target_logit(loss, [0, 90, 180]).round(2)
    array([ 0.75, -0.25, -1.25])
    """
    degrees = np.asarray(degrees, dtype="float64")
    if degrees.ndim != 1 or not ((degrees >= 0) & (degrees <= 180)).all():
        raise UsageError("degrees must be an array (N,) of angles from 0 to 180.")
    if not (other is None or 0 <= other <= 180):
        raise UsageError(f"the angle of the other class must be between 0 and 180 degrees, got {other!r}.")
    state = {name: _value(loss, parameter) for name, parameter in own_parameters(loss).items()}
    if _depends_on_norm(loss):
        if norm is None or not 0 < norm < math.inf:
            raise UsageError(f"{type(loss).__name__} needs a positive norm of the embedding, got {norm!r}.")
        state["norm"] = nd.full(degrees.shape, norm, dtype="float64")
    cos = nd.array(np.cos(np.radians(degrees)), dtype="float64")
    logit = loss.target(nd, cos, **state)
    if other is not None:
        rest = nd.full((len(degrees), 1), math.cos(math.radians(other)), dtype="float64")
        logit = logit - (loss.others(nd, rest, cos, **state) - rest).reshape((-1,))
    return logit.asnumpy()


def usual_margins() -> dict[str, MarginLoss]:
    """Return every margin loss as its paper sets it, by name; SphereFace and L-Softmax at the end of their annealing.

    Examples
    --------
    >>> len(usual_margins())
    9
    """
    losses = {
        "ArcFace, sub-center ArcFace, m = 0.5": get_loss("arcface", classes=2),
        "CosFace, m = 0.35": get_loss("cosface", classes=2),
        "SphereFace, L-Softmax, m = 4, λ = 5": get_loss("sphereface", classes=2),
        "combined, m = (1, 0.3, 0.2)": get_loss("combined", classes=2),
        "AdaFace, m = 0.4, norms 60 ± 16.7": get_loss("adaface", classes=2),
        "MagFace, m = 0.45 to 0.8": get_loss("magface", classes=2),
        "SV-Arc, m = 0.5, t = 1.2": get_loss("svx", classes=2),
        "CurricularFace, m = 0.5, t = 0.6": get_loss("curricular", classes=2),
        "Circle, m = 0.25": get_loss("circle", classes=2),
    }
    values = {"steps": _ANNEALED, "t": 0.6, "mean": 60, "std": 50 / 3}
    for loss in losses.values():
        loss.initialize()
        for name, parameter in own_parameters(loss).items():
            parameter.set_data(nd.full(parameter.shape, values[name]))
    return losses


def _by_name(losses: Any) -> dict[str, MarginLoss]:
    if isinstance(losses, dict):
        return losses
    if isinstance(losses, (str, MarginLoss)):
        losses = [losses]
    named = {}
    for loss in losses:
        if isinstance(loss, str):
            loss = get_loss(loss, classes=2)
            loss.initialize()
        name = type(loss).__name__
        if name in named:
            raise UsageError(f"{name} is listed twice; give a dict of name to loss to distinguish the two.")
        named[name] = loss
    return named


def _depends_on_norm(loss: MarginLoss) -> bool:
    norm = inspect.signature(loss.target).parameters.get("norm")
    return norm is not None and norm.default is norm.empty


def _value(loss: MarginLoss, parameter: Parameter) -> Any:
    try:
        return parameter.data(parameter.list_ctx()[0]).astype("float64")
    except RuntimeError:
        raise UsageError(f"{type(loss).__name__}: {parameter.name} has no value; call loss.initialize() first.") from None
