"""What the tests of the losses share: float64 NumPy, and inputs."""

import numpy as np
from mxnet import autograd, nd

from gluonfr.loss import get_loss


def cross_entropy(z, y):
    rows = np.arange(len(y))
    shifted = z - z.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[rows, y]


def numeric_gradient(value, x, step=1e-6):
    gradient = np.zeros_like(x)
    for place in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[place] += step
        down[place] -= step
        gradient[place] = (value(up) - value(down)) / (2 * step)
    return gradient


def cosines(batch, columns, seed=0, classes=None):
    """Cosines (batch, columns), labels below `classes`: targets on both sides of every margin's turning point, and near 0."""
    rng = np.random.RandomState(seed)
    cos = rng.uniform(-0.97, 0.97, (batch, columns))
    y = rng.randint(0, classes or columns, batch)
    cos[np.arange(batch), y * (columns // (classes or columns))] = np.linspace(-0.98, 0.97, batch)
    return cos, y


def features(batch, seed=0, size=4):
    """Embeddings (batch, size) whose norms run from 1 to 140."""
    x = np.random.RandomState(seed + 100).randn(batch, size)
    return x / np.linalg.norm(x, axis=1, keepdims=True) * np.linspace(1, 140, batch)[:, None]


def ready(name, ctx=None, **arguments):
    loss = get_loss(name, **arguments)
    loss.initialize(ctx=ctx)
    return loss


def given(loss, batch, classes, seed=0):
    """Arrays that the loss takes: cosines, labels and, where it needs them, embeddings; as NumPy."""
    cos, y = cosines(batch, loss.outputs, seed, classes)
    return (cos, y, features(batch, seed)) if loss.spec.needs_embedding else (cos, y)


def run(loss, arrays, dtype="float32", ctx=None, label_dtype="float32"):
    """Value and the gradients of all floating inputs, as NumPy."""
    inputs = [nd.array(a, dtype=label_dtype if i == 1 else dtype, ctx=ctx) for i, a in enumerate(arrays)]
    real = [x for i, x in enumerate(inputs) if i != 1]
    for x in real:
        x.attach_grad()
    with autograd.record():
        value = loss(*inputs)
    value.backward()
    return value.asnumpy(), [x.grad.asnumpy() for x in real]
