"""Layers by hand, in NumPy, as networks use them when they do not train: arrays are (N, C, H, W), blocks are Gluon's."""

import numpy as np
from mxnet import nd


def value(parameter):
    return parameter.data().asnumpy().astype("float64")


def randomize(net, seed=0):
    """Numbers for every parameter and running statistic that make a mistake in any of them show."""
    rng = np.random.RandomState(seed)
    for name, parameter in net.collect_params().items():
        fan_in = np.prod(parameter.shape[1:]) if len(parameter.shape) > 1 else 1
        if name.endswith("weight"):
            numbers = rng.randn(*parameter.shape) / np.sqrt(fan_in)
        elif name.endswith(("gamma", "var")):
            numbers = rng.uniform(0.5, 1.5, parameter.shape)
        else:
            numbers = rng.uniform(-0.4, 0.4, parameter.shape)
        parameter.set_data(nd.array(numbers))


def convolve(x, block):
    """Square kernels, without groups."""
    weight, kwargs = value(block.weight), block._kwargs
    (stride, _), (pad, _), kernel = kwargs["stride"], kwargs["pad"], weight.shape[2]
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    height, width = ((size - kernel) // stride + 1 for size in x.shape[2:])
    out = np.zeros((len(x), len(weight), height, width))
    for i in range(kernel):
        for j in range(kernel):
            part = x[:, :, i : i + stride * height : stride, j : j + stride * width : stride]
            out += np.einsum("nchw,oc->nohw", part[:, :, :height, :width], weight[:, :, i, j])
    return out if block.bias is None else out + value(block.bias)[:, None, None]


def normalize(x, block):
    mean, var, gamma, beta = (
        value(parameter)[:, None, None] for parameter in (block.running_mean, block.running_var, block.gamma, block.beta)
    )
    return (x - mean) / np.sqrt(var + block._kwargs["eps"]) * (1 if block._kwargs["fix_gamma"] else gamma) + beta


def prelu(x, block):
    return np.where(x > 0, x, value(block.alpha)[:, None, None] * x)


def relu(x):
    return np.maximum(x, 0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def max_pool(x):
    """3x3, stride 2, padding 1."""
    height, width = ((size + 1) // 2 for size in x.shape[2:])
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    out = np.empty((*x.shape[:2], height, width))
    for i in range(height):
        for j in range(width):
            out[:, :, i, j] = x[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max(axis=(2, 3))
    return out


def enlarge(x, size):
    """Bilinear, corners on corners, one axis after the other."""
    for axis, wanted in ((2, size[0]), (3, size[1])):
        place = np.arange(wanted) * (x.shape[axis] - 1) / (wanted - 1)
        low = np.minimum(place.astype(int), x.shape[axis] - 1)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        share = (place - low).reshape((-1, 1) if axis == 2 else (-1,))
        x = np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share
    return x
