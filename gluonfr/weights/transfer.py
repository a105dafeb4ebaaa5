"""Values of a foreign network's parameters brought to ours: all are checked and converted before any is set."""

from __future__ import annotations

import mxnet as mx
import numpy as np
from mxnet import nd

from gluonfr.core import GluonFRError
from gluonfr.core.mxnet_internals import is_initialized


def converted(pairs, arrays, where):
    """Our parameters' values from those of a file.

    What two frameworks do differently is converted so that the embedding stays the same: another epsilon of BatchNorm goes
    into the running variance, a scale that ours holds at 1 into the dense layer before it, a bias that the file lacks is 0,
    one shared slope of PReLU is given to every channel.

    Parameters
    ----------
    pairs : list of (Layer, Layer)
        Of the file and of our network, whose `shapes` are known.
    arrays : dict of str -> array
        The file's, by the names on its layers.
    where : str
        The file, for messages.

    Returns
    -------
    dict of str -> float32 array
        By our parameters' names.

    Raises
    ------
    GluonFRError
        An array is missing, of another shape, not finite, or has no counterpart.
    """
    values, scales = {}, {}
    for their, our in pairs:
        if not our.parameters and not their.parameters:
            continue
        found = _arrays(their, our, arrays, where)
        if our.op == "BatchNorm":
            scale = _convert_norm(found, their, our, where)
            if scale is not None:
                scales[our] = scale
        elif our.op in ("Convolution", "Dense"):
            _convert_bias(found, their, our, where)
        elif our.op == "PReLU" and found["slope"].size == 1:
            found["slope"] = np.full(our.shapes["slope"], found["slope"].reshape(()), np.float32)
        for role, name in our.parameters.items():
            _check(found[role], our.shapes[role], their, our, role, where)
            values[name] = found[role]
    for norm, scale in scales.items():
        _scale_dense(values, norm, scale, where)
    return values


def _arrays(their, our, arrays, where):
    found = {}
    for role, name in their.parameters.items():
        if role == "gamma" and their.fixed:
            continue
        if name not in arrays:
            raise GluonFRError(f"{where} lacks {name!r}, the {role} of layer {their.name}; it belongs to another network.")
        array = arrays[name]
        if array.dtype.kind != "f":
            raise GluonFRError(f"{where}: {name!r} holds {array.dtype}, no weights; fetch the file again.")
        found[role] = np.ascontiguousarray(array, dtype=np.float32)
        if not np.isfinite(found[role]).all():
            raise GluonFRError(f"{where}: {name!r} holds NaN or infinity; the training diverged, or the file is damaged.")
    unknown = set(our.parameters) - set(found) - {"bias", "gamma"}
    if unknown:
        raise GluonFRError(f"{where}: layer {their.name} has no {', '.join(sorted(unknown))}; it belongs to another network.")
    return found


def _convert_norm(found, their, our, where):
    """Returns the scale that must go into the layer before, if any."""
    spread = np.float64(their.epsilon) + found["var"]
    if (spread <= 0).any():
        raise GluonFRError(f"{where}: the running variance of layer {their.name} is negative; the file is damaged.")
    if their.epsilon != our.epsilon:
        found["var"] = (spread - our.epsilon).astype(np.float32)
    gamma = found.setdefault("gamma", np.ones_like(found["mean"]))
    if not our.fixed or (gamma == 1).all():
        return None
    found["gamma"] = np.ones_like(gamma)
    # The mean is subtracted before the scale: gamma * (x - mean) = gamma * x - gamma * mean.
    if gamma.shape == found["mean"].shape:
        found["mean"] = found["mean"] * gamma
    return gamma


def _convert_bias(found, their, our, where) -> None:
    bias = found.get("bias")
    if "bias" in our.parameters:
        if bias is None:
            found["bias"] = np.zeros(our.shapes["bias"], np.float32)
    elif bias is not None and bias.any():
        raise GluonFRError(f"{where}: layer {their.name} has a bias, which {our.name} has not; it belongs to another network.")


def _scale_dense(values, norm, scale, where) -> None:
    dense = norm.inputs[0]
    if dense.op != "Dense":
        raise GluonFRError(f"{where}: the BatchNorm that is {norm.name} here has a learned scale, which ours holds at 1.")
    for role, name in dense.parameters.items():
        values[name] = values[name] * (scale[:, None] if role == "weight" else scale)


def _check(array, shape, their, our, role, where) -> None:
    if array.shape != shape:
        raise GluonFRError(
            f"{where}: the {role} of layer {their.name} is {_shape(array.shape)} where {our.name} takes {_shape(shape)}."
        )


def _shape(shape):
    return "x".join(map(str, shape)) or "one number"


def scale_input(values, ours, theirs, arrays, where, card=None) -> None:
    """Change `values` so that our network, which takes [0, 1], does what the file's does with pixels 0..255.

    Both shift and scale the input first; the quotient of the scales goes into the first convolution. With a card, the file's
    network takes (pixel - mean) / std in the card's order of colors instead of pixels.

    Raises
    ------
    GluonFRError
        The shifts do not agree: zeros that a convolution pads with would then stand for another grey.
    """
    scale, offset = _affine(theirs.preamble, arrays, where)
    bgr = card is not None and card.color == "BGR"
    if card is not None:
        # The card's numbers stand in the order in which the graph takes the channels.
        mean, std = (np.broadcast_to(np.float64(each), 3) for each in (card.mean, card.std))
        scale, offset = scale / std, offset - scale * mean / std
    our_scale, our_offset = _affine(ours.preamble, {}, where)
    ratio = scale * 255 / our_scale
    if not np.allclose(offset, ratio * our_offset, rtol=1e-5, atol=1e-6):
        raise GluonFRError(
            f"{where} takes pixels times {_brief(scale)} plus {_brief(offset)}, which is not symmetric about 127.5: "
            "its first convolution pads with zeros, so the shift cannot go into the weights; use the file as it is."
        )
    if np.all(ratio == 1) and not bgr:
        return
    start = next(each for each in ours.layers if each.op == "Input")
    for layer in ours.takers(start):
        if layer.op != "Convolution" or dict(layer.settings)["groups"] != 1:
            raise GluonFRError(f"{where}: its input's scale cannot go into {layer.name}, which is no convolution.")
        name = layer.parameters["weight"]
        weight = values[name] * np.reshape(ratio, (1, -1, 1, 1))
        values[name] = (weight[:, ::-1] if bgr else weight).astype(np.float32)


def _brief(value):
    return ", ".join(f"{each:.5g}" for each in np.ravel(value))


def _affine(preamble, arrays, where):
    scale, offset = 1.0, 0.0
    for layer in preamble:
        if layer.op == "Affine":
            factor, shift = (dict(layer.settings)[each] for each in ("scale", "offset"))
        else:
            norm = _arrays(layer, layer, arrays, where)
            factor = 1 / np.sqrt(np.float64(layer.epsilon) + norm["var"])
            if "gamma" in norm:
                factor = factor * norm["gamma"]
            shift = norm["beta"] - factor * norm["mean"]
        scale, offset = scale * factor, offset * factor + shift
    return scale, offset


def set_values(net, values, ctx=None) -> None:
    """Set parameters by their names; all are there and of the right shape. What stands nowhere is left as it is."""
    parameters = net.collect_params()
    for name, value in values.items():
        parameter = parameters[name]
        parameter.shape = value.shape
        if not is_initialized(parameter):
            parameter.initialize(mx.init.Zero(), ctx=ctx or mx.cpu())
        elif ctx is not None:
            parameter.reset_ctx(ctx)
        parameter.set_data(nd.array(value, dtype=parameter.dtype))
