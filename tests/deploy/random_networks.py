"""Networks with random scales, shifts and slopes; the constant initial values of new networks would hide mistakes."""

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import nn


def randomized(net, image_size=(112, 112), seed=0):
    """Initialize a network with random scales, shifts and slopes, and the running statistics that belong to them."""
    rng = np.random.RandomState(seed)
    mx.random.seed(seed)
    net.initialize(mx.init.Xavier())
    images = nd.array(rng.uniform(0, 1, (4, 3, *image_size)))
    net(images[:1])
    ranges = {"gamma": (0.6, 1.4), "beta": (-0.3, 0.3), "bias": (-0.3, 0.3), "alpha": (-0.2, 0.7)}
    for name, parameter in net.collect_params().items():
        low_high = ranges.get(name.rsplit("_", 1)[-1])
        if low_high:
            parameter.set_data(nd.array(rng.uniform(*low_high, parameter.shape)))
    # Arbitrary statistics would make numbers explode layer by layer; near the true ones, a tolerance of 1e-4 is meaningful.
    hooks = []

    def measure(norm, inputs):
        values = inputs[0].asnumpy().astype(np.float64)
        axes = tuple(axis for axis in range(values.ndim) if axis != norm._kwargs["axis"] % values.ndim)
        mean, var = values.mean(axes), values.var(axes) + 1e-3
        norm.running_mean.set_data(nd.array(mean + rng.uniform(-0.3, 0.3, mean.shape) * np.sqrt(var)))
        norm.running_var.set_data(nd.array(var * rng.uniform(0.7, 1.5, var.shape)))

    net.apply(lambda block: hooks.append(block.register_forward_pre_hook(measure)) if isinstance(block, nn.BatchNorm) else None)
    net(images)
    for hook in hooks:
        hook.detach()
    return net


def images(count, image_size=(112, 112), seed=1):
    return np.random.RandomState(seed).uniform(0, 1, (count, 3, *image_size)).astype(np.float32)


def embedding(net, x):
    out = net(nd.array(x))
    return (out[0] if isinstance(out, (list, tuple)) else out).asnumpy()
