from __future__ import annotations

import inspect
import math

import numpy as np
from mxnet import nd

from gluonfr.core import GluonFRError
from gluonfr.core.mxnet_internals import own_parameters
from gluonfr.loss import MarginLoss, get_loss
from gluonfr.viz.figure import GREY, line_style, new_figure, save, shown

_TITLES = ("margin on the angle or the cosine", "margin set by the embedding's norm", "margin and one other class at {:g}°")
# After so many steps the lambda of SphereFace and L-Softmax is the smallest it gets.
_ANNEALED = 1e6


def plot_margins(losses=None, path=None, title=None, norms=(10, 60, 110), other=45.0):
    """Target logit against the angle to the own class, 0 to 180 degrees, as the ArcFace paper draws its margins.

    The curves are what the losses themselves compute, before the scale. A loss whose margin depends on the norm of the
    embedding has a curve for each of `norms`. A loss that changes the other classes' logits too is drawn with one other
    class at a stated angle, and what that one gains is taken from the target: softmax sees the difference alone.

    Parameters
    ----------
    losses : dict of str to MarginLoss, or list of MarginLoss or names, default None
        A curve for each, in the state it is in; by default every margin loss there is with its usual margin.
    path : str, default None
        PNG file to write.
    title : str, default None
    norms : sequence of float, default (10, 60, 110)
    other : float, default 45
        Angle of the other class, in degrees.

    Returns
    -------
    matplotlib.figure.Figure

    Raises GluonFRError for a loss without a margin on the target, parameters that are not initialized, and angles and norms
    that are none.
    """
    losses = usual_margins() if losses is None else _named(losses)
    if not losses:
        raise GluonFRError("there are no losses to draw; give a dict of name to margin loss.")
    panels = [[], [], []]
    degrees = np.linspace(0, 180, 721)
    for name, loss in losses.items():
        if not isinstance(loss, MarginLoss):
            raise GluonFRError(f"{name} is a {type(loss).__name__}, which has no margin on the target; give margin losses.")
        if _needs_norm(loss):
            panels[1] += [(f"{shown(name)}, ‖x‖ = {norm:g}", target_logit(loss, degrees, norm)) for norm in norms]
        else:
            reshapes = type(loss).others is not MarginLoss.others
            panels[2 if reshapes else 0].append((shown(name), target_logit(loss, degrees, other=other)))

    filled = [(text.format(other), curves) for text, curves in zip(_TITLES, panels) if curves]
    longest = max(len(curves) for _, curves in filled)
    figure, axes = new_figure(1, len(filled), width=max(7.0, 4.2 * len(filled)), height=4.2 + 0.2 * longest, sharey=True)
    for each, (text, curves) in zip(axes.flat, filled):
        each.plot(
            degrees, np.cos(np.radians(degrees)), color=GREY, linewidth=1, linestyle=(0, (1, 2)), label="cos θ, no margin"
        )
        for place, (name, values) in enumerate(curves):
            each.plot(degrees, values, linewidth=1.8, label=name, **line_style(place))
        each.set_title(text, fontsize=11)
        each.set_xlim(0, 180)
        each.set_xticks(range(0, 181, 30))
        each.set_xlabel("θ, angle to the own class (degrees)")
        each.legend(loc="upper center", bbox_to_anchor=(0.5, -0.17), fontsize=9, frameon=False)
    axes[0, 0].set_ylabel("target logit / s")
    if title is not None:
        figure.suptitle(title)
    return save(figure, path)


def target_logit(loss, degrees, norm=None, other=None):
    """What a margin loss makes of the target's cosine, in float64 and before the scale.

    Parameters
    ----------
    loss : MarginLoss
    degrees : array (N,)
        Angles between the embedding and its own class.
    norm : float, default None
        Of the embedding, for the losses that ask for it.
    other : float, default None
        Angle of one other class; what its logit gains by the loss is taken from the target's.

    Returns
    -------
    numpy.ndarray, (N,)
    """
    degrees = np.asarray(degrees, dtype="float64")
    if degrees.ndim != 1 or not ((degrees >= 0) & (degrees <= 180)).all():
        raise GluonFRError("angles are an array (N,) of degrees from 0 to 180.")
    if not (other is None or 0 <= other <= 180):
        raise GluonFRError(f"the other class's angle lies between 0 and 180 degrees, got {other!r}.")
    state = {name: _value(loss, parameter) for name, parameter in own_parameters(loss).items()}
    if _needs_norm(loss):
        if norm is None or not 0 < norm < math.inf:
            raise GluonFRError(f"{type(loss).__name__} needs a positive norm of the embedding, got {norm!r}.")
        state["norm"] = nd.full(degrees.shape, norm, dtype="float64")
    cos = nd.array(np.cos(np.radians(degrees)), dtype="float64")
    logit = loss.target(nd, cos, **state)
    if other is not None:
        rest = nd.full((len(degrees), 1), math.cos(math.radians(other)), dtype="float64")
        logit = logit - (loss.others(nd, rest, cos, **state) - rest).reshape((-1,))
    return logit.asnumpy()


def usual_margins():
    """Name and loss of every margin, as the papers set it; SphereFace and L-Softmax at the end of their annealing."""
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
    moved = {"steps": _ANNEALED, "t": 0.6, "mean": 60, "std": 50 / 3}
    for loss in losses.values():
        loss.initialize()
        for name, parameter in own_parameters(loss).items():
            parameter.set_data(nd.full(parameter.shape, moved[name]))
    return losses


def _named(losses):
    if isinstance(losses, dict):
        return losses
    if isinstance(losses, (str, MarginLoss)):
        losses = [losses]
    named = {}
    for each in losses:
        if isinstance(each, str):
            each = get_loss(each, classes=2)
            each.initialize()
        name = type(each).__name__
        if name in named:
            raise GluonFRError(f"{name} comes twice; give a dict of name to loss to tell the two apart.")
        named[name] = each
    return named


def _needs_norm(loss):
    norm = inspect.signature(loss.target).parameters.get("norm")
    return norm is not None and norm.default is norm.empty


def _value(loss, parameter):
    try:
        return parameter.data(parameter.list_ctx()[0]).astype("float64")
    except RuntimeError:
        raise GluonFRError(f"{type(loss).__name__}: {parameter.name} has no value; call loss.initialize() first.") from None
