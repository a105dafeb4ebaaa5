"""Conversion of a foreign network's parameters to ours: all are checked and converted before any is set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import mxnet as mx
import numpy as np

from gluonfr.core import Card, WeightsError
from gluonfr.core.mxnet_internals import is_initialized
from gluonfr.weights.layer_graph import LayerGraph
from gluonfr.weights.symbol_layers import Layer


def convert_parameters(
    pairs: Iterable[tuple[Layer, Layer]], arrays: dict[str, np.ndarray], where: str
) -> dict[str, np.ndarray]:
    """Return the values of our parameters, converted from those of a file so that the embedding stays the same.

    A different epsilon of BatchNorm is moved into the running variance, a scale that ours fixes at 1 into the dense layer
    before it. A bias that the file lacks is 0, and a shared slope of PReLU is copied to every channel.

    Parameters
    ----------
    pairs : list of (Layer, Layer)
        Layers of the file and of our network, with known `shapes` of ours; see `match_layers`.
    arrays : dict of str to array
        The arrays of the file by name.
    where : str
        The file, for messages.

    Returns
    -------
    dict of str to float32 array
        By the names of our parameters. The WeightsError names an array that is missing, not finite or of another shape.

    Examples
    --------
    >>> their, our = (Layer("Dense", name, parameters={"weight": name + "_weight"}) for name in ("fc1", "dense0"))
    >>> our.shapes = {"weight": (1, 2)}
    >>> convert_parameters([(their, our)], {"fc1_weight": np.ones((1, 2), np.float32)}, "example")
    {'dense0_weight': array([[1., 1.]], dtype=float32)}
    """
    values: dict[str, np.ndarray] = {}
    scales: dict[Layer, np.ndarray] = {}
    for their, our in pairs:
        if not our.parameters and not their.parameters:
            continue
        found = _arrays_of_layer(their, our, arrays, where)
        if our.op == "BatchNorm":
            scale = _convert_norm(found, their, our, where)
            if scale is not None:
                scales[our] = scale
        elif our.op in ("Convolution", "Dense"):
            _convert_bias(found, their, our, where)
        elif our.op == "PReLU" and found["slope"].size == 1:
            found["slope"] = np.full(our.shapes["slope"], found["slope"].reshape(()), np.float32)
        for role, name in our.parameters.items():
            _check_shape(found[role], their, our, role, where)
            values[name] = found[role]
    for norm, scale in scales.items():
        _scale_dense(values, norm, scale, where)
    return values


def _arrays_of_layer(their: Layer, our: Layer, arrays: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for role, name in their.parameters.items():
        if role == "gamma" and their.fixed:
            continue
        if name not in arrays:
            raise WeightsError(
                f"{where}: {name!r}, the {role} of layer {their.name}, is missing; give the parameters of this network."
            )
        array = arrays[name]
        if array.dtype.kind != "f":
            raise WeightsError(f"{where}: {name!r} has the type {array.dtype} instead of a float; fetch the file again.")
        found[role] = np.ascontiguousarray(array, dtype=np.float32)
        if not np.isfinite(found[role]).all():
            raise WeightsError(f"{where}: {name!r} has NaN or infinity; the training diverged, or the file is damaged.")
    missing = set(our.parameters) - set(found) - {"bias", "gamma"}
    if missing:
        raise WeightsError(
            f"{where}: layer {their.name} has no {', '.join(sorted(missing))}; give the parameters of this network."
        )
    return found


def _convert_norm(found: dict[str, np.ndarray], their: Layer, our: Layer, where: str) -> np.ndarray | None:
    """Convert a BatchNorm; return the scale that must be moved into the layer before, if any."""
    spread = np.float64(their.epsilon) + found["var"]
    if (spread <= 0).any():
        raise WeightsError(f"{where}: the running variance of layer {their.name} is negative; fetch the file again.")
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


def _convert_bias(found: dict[str, np.ndarray], their: Layer, our: Layer, where: str) -> None:
    bias = found.get("bias")
    if "bias" in our.parameters:
        if bias is None:
            found["bias"] = np.zeros(our.shapes["bias"], np.float32)
    elif bias is not None and bias.any():
        raise WeightsError(
            f"{where}: layer {their.name} has a bias, but {our.name} of our network has none; name the network that fits."
        )


def _scale_dense(values: dict[str, np.ndarray], norm: Layer, scale: np.ndarray, where: str) -> None:
    dense = norm.inputs[0]
    if dense.op != "Dense":
        raise WeightsError(
            f"{where}: the BatchNorm for {norm.name} has a learned scale, which is fixed at 1 in our network; "
            "name the network that fits."
        )
    for role, name in dense.parameters.items():
        values[name] = values[name] * (scale[:, None] if role == "weight" else scale)


def _check_shape(array: np.ndarray, their: Layer, our: Layer, role: str, where: str) -> None:
    if array.shape != our.shapes[role]:
        raise WeightsError(
            f"{where}: the {role} of layer {their.name} has the shape {_text(array.shape)}, where {our.name} of our network "
            f"has {_text(our.shapes[role])}; give the parameters of this network."
        )


def _text(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "one number"


def fold_input_scaling(
    values: dict[str, np.ndarray],
    ours: LayerGraph,
    theirs: LayerGraph,
    arrays: dict[str, np.ndarray],
    where: str,
    card: Card | None = None,
) -> None:
    """Change the first convolution in `values` so that our network computes from [0, 1] what the file's does from 0..255.

    Both networks shift and scale the input first; the quotient of the scales is multiplied into the first convolution.

    Parameters
    ----------
    values : dict of str to array
        Of our parameters; changed in place.
    ours, theirs : LayerGraph
        Graphs of our network and of the file.
    arrays : dict of str to array
        The arrays of the file by name.
    where : str
        The file, for messages.
    card : Card, optional
        If given, the file's network expects (pixel - mean) / std in the card's order of colors instead of pixels.

    Raises
    ------
    WeightsError
        The shifts differ: the zeros that a convolution pads with would then mean another gray.

    Examples
    --------
    >>> from gluonfr.model_zoo import get_model
    >>> from gluonfr.weights.layer_graph import graph_of_network
    >>> graph = graph_of_network(get_model("lresnet10e_ir", units=(1,), channels=(4, 8), embedding_size=4))
    >>> weight = next(layer for layer in graph.layers if layer.op == "Convolution").parameters["weight"]
    >>> values = {weight: np.full((4, 3, 3, 3), 255.0)}
    >>> fold_input_scaling(values, graph, graph, {}, "example", Card())
    >>> float(values[weight].max())
    255.0
    """
    ratio = _ratio_of_scales(ours, theirs, arrays, where, card)
    is_bgr = card is not None and card.color == "BGR"
    if np.all(ratio == 1) and not is_bgr:
        return
    start = next(layer for layer in ours.layers if layer.op == "Input")
    for layer in ours.consumers(start):
        if layer.op != "Convolution" or dict(layer.settings)["groups"] != 1:
            raise WeightsError(
                f"{where}: the scale of its input cannot be moved into {layer.name}, which is not a convolution; "
                "name the network that fits."
            )
        name = layer.parameters["weight"]
        weight = values[name] * np.reshape(ratio, (1, -1, 1, 1))
        values[name] = (weight[:, ::-1] if is_bgr else weight).astype(np.float32)


def _ratio_of_scales(
    ours: LayerGraph, theirs: LayerGraph, arrays: dict[str, np.ndarray], where: str, card: Card | None
) -> np.ndarray:
    """Return by how much the file's network scales its input more than ours, with pixels 0..255 instead of [0, 1]."""
    scale, offset = _scale_and_offset(theirs.input_scaling, arrays, where)
    if card is not None:
        # The card's numbers are in the order of the graph's channels.
        mean, std = (np.broadcast_to(np.float64(level), 3) for level in (card.mean, card.std))
        scale, offset = scale / std, offset - scale * mean / std
    our_scale, our_offset = _scale_and_offset(ours.input_scaling, {}, where)
    ratio = scale * 255 / our_scale
    if not np.allclose(offset, ratio * our_offset, rtol=1e-5, atol=1e-6):
        raise WeightsError(
            f"{where} multiplies pixels by {_levels(scale)} and adds {_levels(offset)}, which is not symmetric about 127.5; "
            "its first convolution pads with zeros, so the shift cannot be moved into the weights. Use the file with a "
            "card beside it, which runs its graph unchanged."
        )
    return ratio


def _levels(value: Any) -> str:
    return ", ".join(f"{level:.5g}" for level in np.ravel(value))


def _scale_and_offset(layers: Iterable[Layer], arrays: dict[str, np.ndarray], where: str) -> tuple[Any, Any]:
    """Return the scale and offset that the layers before all others apply to the input."""
    scale: Any = 1.0
    offset: Any = 0.0
    for layer in layers:
        if layer.op == "Affine":
            factor, shift = (dict(layer.settings)[name] for name in ("scale", "offset"))
        else:
            norm = _arrays_of_layer(layer, layer, arrays, where)
            factor = 1 / np.sqrt(np.float64(layer.epsilon) + norm["var"])
            if "gamma" in norm:
                factor = factor * norm["gamma"]
            shift = norm["beta"] - factor * norm["mean"]
        scale, offset = scale * factor, offset * factor + shift
    return scale, offset


def set_parameters(net: Any, values: dict[str, np.ndarray], ctx: mx.Context | Sequence[mx.Context] | None = None) -> None:
    """Set parameters of a network by their names; parameters without a value are not changed.

    Parameters
    ----------
    net : HybridBlock
        The network.
    values : dict of str to array
        By parameter name, of the right shapes.
    ctx : Context or list of Context, optional
        Devices of the parameters; default their present devices, or the CPU.

    Examples
    --------
    >>> from mxnet.gluon import nn
    >>> dense = nn.Dense(2, use_bias=False)
    >>> set_parameters(dense, {dense.weight.name: np.ones((2, 3), np.float32)})
    >>> dense.weight.shape
    (2, 3)
    """
    parameters = net.collect_params()
    for name, value in values.items():
        parameter = parameters[name]
        parameter.shape = value.shape
        if not is_initialized(parameter):
            parameter.initialize(mx.init.Zero(), ctx=ctx or mx.cpu())
        elif ctx is not None:
            parameter.reset_ctx(ctx)
        parameter.set_data(mx.nd.array(value, dtype=parameter.dtype))
