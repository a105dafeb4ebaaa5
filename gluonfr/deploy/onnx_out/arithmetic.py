"""Activations, arithmetic, reductions and matrix products."""

from __future__ import annotations

import math

import numpy as np

from gluonfr.deploy.onnx_out.writer import converts

_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus", "softsign": "Softsign"}
_FUNCTIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softsign": "Softsign", "abs": "Abs", "negative": "Neg"}
_FUNCTIONS.update({"exp": "Exp", "log": "Log", "sqrt": "Sqrt", "reciprocal": "Reciprocal", "floor": "Floor", "ceil": "Ceil"})
_FUNCTIONS.update({"erf": "Erf", "sin": "Sin", "cos": "Cos"})
# MXNet's name of the operation, between two arrays behind `elemwise_`, `broadcast_` or `_`.
_PAIRS = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "power": "Pow", "maximum": "Max", "minimum": "Min"}
# With a number it is `_NAME_scalar`, or `_rNAME_scalar` where the number comes first.
_SCALARS = {"plus": "Add", "minus": "Sub", "mul": "Mul", "div": "Div", "power": "Pow", "maximum": "Max", "minimum": "Min"}
_REVERSED = ("minus", "div", "power")


@converts("Activation")
def activation(call):
    kind = call.attributes.text("act_type")
    if kind not in _ACTIVATIONS:
        raise call.refuse(f"act_type {kind}")
    return call.add(_ACTIVATIONS[kind])


@converts(*_FUNCTIONS)
def function(call):
    return call.add(_FUNCTIONS[call.node.operator])


@converts("square")
def square(call):
    return call.add("Mul", [call.inputs[0], call.inputs[0]])


@converts("rsqrt")
def reciprocal_root(call):
    return call.add("Reciprocal", [call.add("Sqrt")])


@converts("hard_sigmoid")
def hard_sigmoid(call):
    return call.add("HardSigmoid", alpha=call.attributes.value("alpha", 0.2), beta=call.attributes.value("beta", 0.5))


@converts("clip")
def clip(call):
    low, high = (call.constant(call.attributes.value(name)) for name in ("a_min", "a_max"))
    return call.add("Clip", [call.inputs[0], low, high])


@converts("LeakyReLU")
def leaky_relu(call):
    kind = call.attributes.text("act_type", "leaky")
    slope = call.attributes.value("slope", 0.25)
    if kind == "prelu":
        return call.add("PRelu", [call.inputs[0], _slopes(call)])
    if kind == "leaky":
        return call.add("LeakyRelu", alpha=slope)
    if kind == "elu":
        return call.add("Elu", alpha=slope)
    if kind == "selu":
        return call.add("Selu")
    if kind == "gelu":
        inside = call.add("Erf", [call.add("Mul", [call.inputs[0], call.constant(1 / math.sqrt(2))])])
        half = call.add("Mul", [call.inputs[0], call.constant(0.5)])
        return call.add("Mul", [half, call.add("Add", [inside, call.constant(1)])])
    raise call.refuse(f"act_type {kind}")


def _slopes(call):
    """ONNX aligns shapes at the last axis, so that slopes of channels need axes behind them."""
    shape = (-1, *(1,) * (call.rank - 2))
    if call.values[1] is not None:
        return call.constant(call.values[1].reshape(shape))
    return call.add("Reshape", [call.inputs[1], call.whole(*shape)])


@converts(*(prefix + name for name in _PAIRS for prefix in ("elemwise_", "broadcast_", "_")))
def between_two(call):
    return call.add(_PAIRS[call.node.operator.rsplit("_", 1)[1]], call.inputs)


@converts("_full", "_zeros", "_ones")
def filled(call):
    value = {"_zeros": 0.0, "_ones": 1.0}.get(call.node.operator)
    return call.constant(np.full(call.node.shape, call.attributes.value("value") if value is None else value))


@converts("add_n")
def add_all(call):
    return call.add("Sum", call.inputs)


@converts(*(f"_{name}_scalar" for name in _SCALARS), *(f"_r{name}_scalar" for name in _REVERSED))
def with_scalar(call):
    name = call.node.operator[1 : -len("_scalar")]
    number = call.constant(call.attributes.value("scalar", 1.0))
    if name in _SCALARS:
        return call.add(_SCALARS[name], [call.inputs[0], number])
    return call.add(_SCALARS[name[1:]], [number, call.inputs[0]])


@converts("softmax", "log_softmax")
def softmax(call):
    if call.attributes.flag("use_length"):
        raise call.refuse("lengths")
    data, temperature = call.inputs[0], call.attributes.value("temperature")
    if temperature not in (None, 1.0):
        data = call.add("Div", [data, call.constant(temperature)])
    return call.add("Softmax" if call.node.operator == "softmax" else "LogSoftmax", [data], axis=call.axis(-1))


@converts("SoftmaxActivation")
def softmax_activation(call):
    if call.attributes.text("mode", "instance") == "channel" or call.rank == 2:
        return call.add("Softmax", axis=1)
    raise call.refuse("mode instance")


@converts("mean", "sum", "max", "min", "prod", "norm")
def reduction(call):
    attributes = call.attributes
    axes = attributes.value("axis")
    axes = tuple(range(call.rank)) if axes is None or axes == () else axes if isinstance(axes, tuple) else (axes,)
    axes = tuple(sorted(axis % call.rank for axis in axes))
    if attributes.flag("exclude"):
        axes = tuple(axis for axis in range(call.rank) if axis not in axes)
    keep = int(attributes.flag("keepdims"))
    kind = call.node.operator
    if kind == "sum":
        return call.add("ReduceSum", [call.inputs[0], call.whole(*axes)], keepdims=keep)
    if kind == "norm":
        return call.add(f"ReduceL{attributes.value('ord', 2)}", axes=axes, keepdims=keep)
    return call.add(f"Reduce{kind.capitalize()}", axes=axes, keepdims=keep)


@converts("dot", "batch_dot")
def product(call):
    batched = call.node.operator == "batch_dot"
    ranks = [len(shape) for shape in call.node.input_shapes]
    transposed = [call.attributes.flag(f"transpose_{side}") for side in "ab"]
    if not batched and (ranks[1] != 2 or (transposed[0] and ranks[0] != 2)):
        raise call.refuse(f"arrays of {ranks[0]} and {ranks[1]} axes")
    sides = []
    for name, rank, turn in zip(call.inputs, ranks, transposed):
        order = [*range(rank - 2), rank - 1, rank - 2]
        sides.append(call.add("Transpose", [name], perm=order) if turn else name)
    return call.add("MatMul", sides)


@converts("Cast", "amp_cast")
def cast(call):
    from onnx import helper

    kind = call.attributes.text("dtype")
    # Parameters are exported as float32 whatever they were trained in, and so is what flows between the layers.
    kind = "float32" if kind in ("float16", "float64") else kind
    return call.inputs[0] if kind == "float32" else call.add("Cast", to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))
