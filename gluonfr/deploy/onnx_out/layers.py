"""Convolutions, dense layers, normalization, pooling."""

from __future__ import annotations

import math

import numpy as np

from gluonfr.deploy.onnx_out.writer import converts


@converts("Convolution")
def convolution(call):
    return call.add("Conv", call.inputs, **_convolution_attributes(call))


def _convolution_attributes(call):
    attributes = call.attributes
    if attributes.text("layout") not in (None, "None", "NCHW", "NCW", "NCDHW"):
        raise call.refuse(f"the layout {attributes.text('layout')}")
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
def deconvolution(call):
    wanted = _convolution_attributes(call)
    count = len(wanted["kernel_shape"])
    if any(call.attributes.lengths("target_shape", 0, count)):
        raise call.refuse("a target_shape")
    return call.add("ConvTranspose", call.inputs, output_padding=call.attributes.lengths("adj", 0, count), **wanted)


@converts("FullyConnected")
def dense(call):
    data = call.inputs[0]
    if call.attributes.flag("flatten", True):
        if call.rank != 2:
            data = call.add("Flatten", [data], axis=1)
        return call.add("Gemm", [data, *call.inputs[1:]], transB=1)
    weight = call.add("Transpose", call.inputs[1:2], perm=(1, 0))
    out = call.add("MatMul", [data, weight])
    return call.add("Add", [out, call.inputs[2]]) if len(call.inputs) > 2 else out


@converts("BatchNorm", "_contrib_SyncBatchNorm")
def batch_norm(call):
    data, gamma, *others = call.inputs
    if call.attributes.flag("fix_gamma", True):
        gamma = call.constant(np.ones_like(call.values[1]))
    # Symbols leave out eps where it is 1e-3; Gluon always writes its own.
    epsilon = call.attributes.value("eps", 1e-3)
    axis = call.axis(1)
    order = [axis if place == 1 else 1 if place == axis else place for place in range(call.rank)]
    if axis != 1:
        data = call.add("Transpose", [data], perm=order)
    out = call.add("BatchNormalization", [data, gamma, *others], epsilon=epsilon)
    return out if axis == 1 else call.add("Transpose", [out], perm=order)


@converts("InstanceNorm")
def instance_norm(call):
    return call.add("InstanceNormalization", call.inputs, epsilon=call.attributes.value("eps", 1e-3))


@converts("L2Normalization")
def l2_normalization(call):
    mode = call.attributes.text("mode", "instance")
    axes = {"instance": range(1, call.rank), "channel": [1], "spatial": range(2, call.rank)}[mode]
    # LpNormalization knows one axis and no epsilon.
    squares = call.add("Mul", [call.inputs[0], call.inputs[0]])
    total = call.add("ReduceSum", [squares, call.whole(*axes)], keepdims=1)
    total = call.add("Add", [total, call.constant(call.attributes.value("eps", 1e-10))])
    return call.add("Div", [call.inputs[0], call.add("Sqrt", [total])])


@converts("Pooling")
def pooling(call):
    attributes = call.attributes
    kind = attributes.text("pool_type", "max")
    if kind not in ("max", "avg"):
        raise call.refuse(f"pool_type {kind}")
    if attributes.text("layout") not in (None, "None", "NCHW", "NCW", "NCDHW"):
        raise call.refuse(f"the layout {attributes.text('layout')}")
    if attributes.flag("global_pool"):
        return call.add("GlobalMaxPool" if kind == "max" else "GlobalAveragePool")
    kernel = attributes.value("kernel")
    count = len(kernel)
    stride, pad = attributes.lengths("stride", 1, count), attributes.lengths("pad", 0, count)
    convention = attributes.text("pooling_convention", "valid")
    if convention not in ("valid", "full"):
        raise call.refuse(f"the convention {convention}")
    # "full" rounds up. What the last window lacks is written as padding, as runtimes differ in their own rounding up.
    more = (0,) * count
    if convention == "full":
        more = tuple(
            math.ceil((length + 2 * p - k) / s) * s - (length + 2 * p - k)
            for length, k, s, p in zip(call.shape[2:], kernel, stride, pad)
        )
    if any(p + each >= k for p, each, k in zip(pad, more, kernel)):
        raise call.refuse("windows that lie outside the image")
    shared = {"kernel_shape": kernel, "strides": stride}
    ends = tuple(p + each for p, each in zip(pad, more))
    if kind == "max":
        return call.add("MaxPool", pads=pad + ends, **shared)
    padded = attributes.flag("count_include_pad", True)
    if not padded or not any(more):
        return call.add("AveragePool", pads=pad + ends, count_include_pad=int(padded), **shared)
    # The padding counts, what rounding up adds does not.
    zeros = (0, 0, *pad)
    data = call.add("Pad", [call.inputs[0], call.whole(*zeros, *zeros), call.constant(0)]) if any(pad) else call.inputs[0]
    return call.add("AveragePool", [data], pads=(0,) * count + more, count_include_pad=0, **shared)


@converts("_contrib_AdaptiveAvgPooling2D")
def adaptive_pooling(call):
    sizes = call.node.shape[2:]
    if sizes == (1, 1):
        return call.add("GlobalAveragePool")
    lengths = call.shape[2:]
    if all(length % size == 0 for length, size in zip(lengths, sizes)):
        kernel = [length // size for length, size in zip(lengths, sizes)]
        return call.add("AveragePool", kernel_shape=kernel, strides=kernel)
    # Windows of different lengths: a mean is a product with a matrix from each side.
    rows, columns = (_windows(length, size) for length, size in zip(lengths, sizes))
    out = call.add("MatMul", [call.constant(rows), call.inputs[0]])
    return call.add("MatMul", [out, call.constant(columns.T)])


def _windows(length, size):
    weights = np.zeros((size, length), dtype=np.float32)
    for place in range(size):
        begin, end = place * length // size, -(-(place + 1) * length // size)
        weights[place, begin:end] = 1 / (end - begin)
    return weights


@converts("Dropout", "BlockGrad", "_copy")
def nothing(call):
    return call.inputs[0]
