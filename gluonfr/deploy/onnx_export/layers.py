"""Conversion of convolutions, dense layers, normalization and pooling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from gluonfr.deploy.onnx_export.writer import Operator, converts


@converts("Convolution")
def _convolution(op: Operator) -> str:
    return op.add("Conv", op.inputs, **_convolution_attributes(op))


def _convolution_attributes(op: Operator) -> dict[str, Any]:
    attributes = op.attributes
    if attributes.text("layout") not in (None, "None", "NCHW", "NCW", "NCDHW"):
        raise op.unsupported(f"the layout {attributes.text('layout')}")
    kernel = attributes.value("kernel")
    count = len(kernel)
    return {
        "kernel_shape": kernel,
        "strides": attributes.lengths("stride", 1, count),
        "pads": attributes.lengths("pad", 0, count) * 2,
        "dilations": attributes.lengths("dilate", 1, count),
        "group": attributes.value("num_group", 1),
    }


@converts("Deconvolution")
def _deconvolution(op: Operator) -> str:
    wanted = _convolution_attributes(op)
    count = len(wanted["kernel_shape"])
    if any(op.attributes.lengths("target_shape", 0, count)):
        raise op.unsupported("a target_shape")
    return op.add("ConvTranspose", op.inputs, output_padding=op.attributes.lengths("adj", 0, count), **wanted)


@converts("FullyConnected")
def _dense(op: Operator) -> str:
    data = op.inputs[0]
    if op.attributes.flag("flatten", True):
        if op.rank != 2:
            data = op.add("Flatten", [data], axis=1)
        return op.add("Gemm", [data, *op.inputs[1:]], transB=1)
    weight = op.add("Transpose", op.inputs[1:2], perm=(1, 0))
    out = op.add("MatMul", [data, weight])
    return op.add("Add", [out, op.inputs[2]]) if len(op.inputs) > 2 else out


@converts("BatchNorm", "_contrib_SyncBatchNorm")
def _batch_norm(op: Operator) -> str:
    data, gamma, *others = op.inputs
    if op.attributes.flag("fix_gamma", True):
        gamma = op.constant(np.ones_like(op.values[1]))
    # Symbols omit eps where it is 1e-3; Gluon always writes it.
    epsilon = op.attributes.value("eps", 1e-3)
    axis = op.axis(1)
    order = [axis if place == 1 else 1 if place == axis else place for place in range(op.rank)]
    if axis != 1:
        data = op.add("Transpose", [data], perm=order)
    out = op.add("BatchNormalization", [data, gamma, *others], epsilon=epsilon)
    return out if axis == 1 else op.add("Transpose", [out], perm=order)


@converts("InstanceNorm")
def _instance_norm(op: Operator) -> str:
    return op.add("InstanceNormalization", op.inputs, epsilon=op.attributes.value("eps", 1e-3))


@converts("L2Normalization")
def _l2_normalization(op: Operator) -> str:
    mode = op.attributes.text("mode", "instance")
    axes = {"instance": range(1, op.rank), "channel": [1], "spatial": range(2, op.rank)}[mode or "instance"]
    # LpNormalization has one axis and no epsilon.
    squares = op.add("Mul", [op.inputs[0], op.inputs[0]])
    total = op.add("ReduceSum", [squares, op.integers(*axes)], keepdims=1)
    total = op.add("Add", [total, op.constant(op.attributes.value("eps", 1e-10))])
    return op.add("Div", [op.inputs[0], op.add("Sqrt", [total])])


@converts("Pooling")
def _pooling(op: Operator) -> str:
    attributes = op.attributes
    kind = attributes.text("pool_type", "max")
    if kind not in ("max", "avg"):
        raise op.unsupported(f"pool_type {kind}")
    if attributes.text("layout") not in (None, "None", "NCHW", "NCW", "NCDHW"):
        raise op.unsupported(f"the layout {attributes.text('layout')}")
    if attributes.flag("global_pool"):
        return op.add("GlobalMaxPool" if kind == "max" else "GlobalAveragePool")
    kernel = attributes.value("kernel")
    count = len(kernel)
    stride, pad = attributes.lengths("stride", 1, count), attributes.lengths("pad", 0, count)
    convention = attributes.text("pooling_convention", "valid")
    if convention not in ("valid", "full"):
        raise op.unsupported(f"the convention {convention}")
    # "full" rounds up. The missing part of the last window is written as padding, because runtimes round up differently.
    more = (0,) * count
    if convention == "full":
        more = tuple(
            math.ceil((length + 2 * p - k) / s) * s - (length + 2 * p - k)
            for length, k, s, p in zip(op.shape[2:], kernel, stride, pad)
        )
    if any(p + extra >= k for p, extra, k in zip(pad, more, kernel)):
        raise op.unsupported("windows outside the image")
    shared = {"kernel_shape": kernel, "strides": stride}
    ends = tuple(p + extra for p, extra in zip(pad, more))
    if kind == "max":
        return op.add("MaxPool", pads=pad + ends, **shared)
    padded = attributes.flag("count_include_pad", True)
    if not padded or not any(more):
        return op.add("AveragePool", pads=pad + ends, count_include_pad=int(padded), **shared)
    # The padding counts in the mean; what rounding up adds does not.
    zeros = (0, 0, *pad)
    data = op.add("Pad", [op.inputs[0], op.integers(*zeros, *zeros), op.constant(0)]) if any(pad) else op.inputs[0]
    return op.add("AveragePool", [data], pads=(0,) * count + more, count_include_pad=0, **shared)


@converts("_contrib_AdaptiveAvgPooling2D")
def _adaptive_pooling(op: Operator) -> str:
    sizes = op.output_shape[2:]
    if sizes == (1, 1):
        return op.add("GlobalAveragePool")
    lengths = op.shape[2:]
    if all(length % size == 0 for length, size in zip(lengths, sizes)):
        kernel = [length // size for length, size in zip(lengths, sizes)]
        return op.add("AveragePool", kernel_shape=kernel, strides=kernel)
    # Windows differ in length, so the mean is computed as a product with a matrix on both sides.
    rows, columns = (_windows(length, size) for length, size in zip(lengths, sizes))
    out = op.add("MatMul", [op.constant(rows), op.inputs[0]])
    return op.add("MatMul", [out, op.constant(columns.T)])


def _windows(length: int, size: int) -> np.ndarray:
    weights = np.zeros((size, length), dtype=np.float32)
    for row in range(size):
        begin, end = row * length // size, -(-(row + 1) * length // size)
        weights[row, begin:end] = 1 / (end - begin)
    return weights


@converts("Dropout", "BlockGrad", "_copy")
def _identity(op: Operator) -> str:
    return op.inputs[0]
