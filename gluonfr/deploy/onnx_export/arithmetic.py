"""Conversion of activations, arithmetic, reductions and matrix products."""

from __future__ import annotations

import math

import numpy as np

from gluonfr.deploy.onnx_export.writer import Operator, converts

_ACTIVATIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softrelu": "Softplus", "softsign": "Softsign"}
_FUNCTIONS = {"relu": "Relu", "sigmoid": "Sigmoid", "tanh": "Tanh", "softsign": "Softsign", "abs": "Abs", "negative": "Neg"}
_FUNCTIONS.update({"exp": "Exp", "log": "Log", "sqrt": "Sqrt", "reciprocal": "Reciprocal", "floor": "Floor", "ceil": "Ceil"})
_FUNCTIONS.update({"erf": "Erf", "sin": "Sin", "cos": "Cos"})
# MXNet's names of binary operators, after the prefix `elemwise_`, `broadcast_` or `_`.
_PAIRS = {"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "power": "Pow", "maximum": "Max", "minimum": "Min"}
# With a number, the operator is called `_NAME_scalar`, or `_rNAME_scalar` where the number is the first operand.
_SCALARS = {"plus": "Add", "minus": "Sub", "mul": "Mul", "div": "Div", "power": "Pow", "maximum": "Max", "minimum": "Min"}
_REVERSED = ("minus", "div", "power")


@converts("Activation")
def _activation(op: Operator) -> str:
    kind = op.attributes.text("act_type")
    if kind not in _ACTIVATIONS:
        raise op.unsupported(f"act_type {kind}")
    return op.add(_ACTIVATIONS[kind])


@converts(*_FUNCTIONS)
def _function(op: Operator) -> str:
    return op.add(_FUNCTIONS[op.name])


@converts("square")
def _square(op: Operator) -> str:
    return op.add("Mul", [op.inputs[0], op.inputs[0]])


@converts("rsqrt")
def _reciprocal_root(op: Operator) -> str:
    return op.add("Reciprocal", [op.add("Sqrt")])


@converts("hard_sigmoid")
def _hard_sigmoid(op: Operator) -> str:
    return op.add("HardSigmoid", alpha=op.attributes.value("alpha", 0.2), beta=op.attributes.value("beta", 0.5))


@converts("clip")
def _clip(op: Operator) -> str:
    low, high = (op.constant(op.attributes.value(name)) for name in ("a_min", "a_max"))
    return op.add("Clip", [op.inputs[0], low, high])


@converts("LeakyReLU")
def _leaky_relu(op: Operator) -> str:
    kind = op.attributes.text("act_type", "leaky")
    slope = op.attributes.value("slope", 0.25)
    if kind == "prelu":
        return op.add("PRelu", [op.inputs[0], _slopes(op)])
    if kind == "leaky":
        return op.add("LeakyRelu", alpha=slope)
    if kind == "elu":
        return op.add("Elu", alpha=slope)
    if kind == "selu":
        return op.add("Selu")
    if kind == "gelu":
        inside = op.add("Erf", [op.add("Mul", [op.inputs[0], op.constant(1 / math.sqrt(2))])])
        half = op.add("Mul", [op.inputs[0], op.constant(0.5)])
        return op.add("Mul", [half, op.add("Add", [inside, op.constant(1)])])
    raise op.unsupported(f"act_type {kind}")


def _slopes(op: Operator) -> str:
    # ONNX aligns shapes at the last axis, so slopes of channels need trailing axes.
    shape = (-1, *(1,) * (op.rank - 2))
    slopes = op.values[1]
    if slopes is not None:
        return op.constant(slopes.reshape(shape))
    return op.add("Reshape", [op.inputs[1], op.integers(*shape)])


@converts(*(prefix + name for name in _PAIRS for prefix in ("elemwise_", "broadcast_", "_")))
def _between_two(op: Operator) -> str:
    return op.add(_PAIRS[op.name.rsplit("_", 1)[1]], op.inputs)


@converts("_full", "_zeros", "_ones")
def _filled(op: Operator) -> str:
    value = {"_zeros": 0.0, "_ones": 1.0}.get(op.name)
    return op.constant(np.full(op.output_shape, op.attributes.value("value") if value is None else value))


@converts("add_n")
def _add_all(op: Operator) -> str:
    return op.add("Sum", op.inputs)


@converts(*(f"_{name}_scalar" for name in _SCALARS), *(f"_r{name}_scalar" for name in _REVERSED))
def _with_scalar(op: Operator) -> str:
    name = op.name[1 : -len("_scalar")]
    number = op.constant(op.attributes.value("scalar", 1.0))
    if name in _SCALARS:
        return op.add(_SCALARS[name], [op.inputs[0], number])
    return op.add(_SCALARS[name[1:]], [number, op.inputs[0]])


@converts("softmax", "log_softmax")
def _softmax(op: Operator) -> str:
    if op.attributes.flag("use_length"):
        raise op.unsupported("use_length")
    data, temperature = op.inputs[0], op.attributes.value("temperature")
    if temperature not in (None, 1.0):
        data = op.add("Div", [data, op.constant(temperature)])
    return op.add("Softmax" if op.name == "softmax" else "LogSoftmax", [data], axis=op.axis(-1))


@converts("SoftmaxActivation")
def _softmax_activation(op: Operator) -> str:
    if op.attributes.text("mode", "instance") == "channel" or op.rank == 2:
        return op.add("Softmax", axis=1)
    raise op.unsupported("mode instance")


@converts("mean", "sum", "max", "min", "prod", "norm")
def _reduction(op: Operator) -> str:
    attributes = op.attributes
    axes = attributes.value("axis")
    axes = tuple(range(op.rank)) if axes is None or axes == () else axes if isinstance(axes, tuple) else (axes,)
    axes = tuple(sorted(axis % op.rank for axis in axes))
    if attributes.flag("exclude"):
        axes = tuple(axis for axis in range(op.rank) if axis not in axes)
    keep = int(attributes.flag("keepdims"))
    kind = op.name
    if kind == "sum":
        return op.add("ReduceSum", [op.inputs[0], op.integers(*axes)], keepdims=keep)
    if kind == "norm":
        return op.add(f"ReduceL{attributes.value('ord', 2)}", axes=axes, keepdims=keep)
    return op.add(f"Reduce{kind.capitalize()}", axes=axes, keepdims=keep)


@converts("dot", "batch_dot")
def _product(op: Operator) -> str:
    batched = op.name == "batch_dot"
    ranks = [len(shape) for shape in op.input_shapes]
    transposed = [op.attributes.flag(f"transpose_{side}") for side in "ab"]
    if not batched and (ranks[1] != 2 or (transposed[0] and ranks[0] != 2)):
        raise op.unsupported(f"arrays of {ranks[0]} and {ranks[1]} axes")
    sides = []
    for name, rank, turn in zip(op.inputs, ranks, transposed):
        order = [*range(rank - 2), rank - 1, rank - 2]
        sides.append(op.add("Transpose", [name], perm=order) if turn else name)
    return op.add("MatMul", sides)


@converts("Cast", "amp_cast")
def _cast(op: Operator) -> str:
    from onnx import helper

    kind = op.attributes.text("dtype")
    # Parameters and the values between layers are exported as float32, whatever the type in training.
    kind = "float32" if kind in ("float16", "float64") else kind
    return op.inputs[0] if kind == "float32" else op.add("Cast", to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))
