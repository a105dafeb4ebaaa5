"""The papers' formulas of the losses on embeddings, in float64 NumPy with plain loops, and a batch for each."""

import numpy as np
from mxnet import autograd, nd

from gluonfr.core.mxnet_internals import own_parameters
from gluonfr.loss import get_loss

C, D = 5, 4


def cross_entropy(logits, label):
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(label)), label]


def square(a, b):
    return ((a - b) ** 2).sum()


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def same(label, i):
    return [j for j in range(len(label)) if label[j] == label[i] and j != i]


def other(label, i):
    return [j for j in range(len(label)) if label[j] != label[i]]


def center(p, output, label, x):
    return cross_entropy(output, label) + 0.5 * 0.3 * ((x - p["centers"][label]) ** 2).sum(axis=1)


def ring(p, output, label, x):
    return cross_entropy(output, label) + 0.5 * 0.3 * (np.linalg.norm(x, axis=1) - p["R"]) ** 2


def git(p, output, label, x):
    own, n = p["centers"][label], len(label)
    apart = [sum(1 / (1 + square(x[i], own[j])) for j in range(n) if j != i) / max(n - 1, 1) for i in range(n)]
    return cross_entropy(output, label) + 0.5 * 0.3 * ((x - own) ** 2).sum(axis=1) + 0.7 * np.array(apart)


def coco(p, x, label):
    return cross_entropy(6 * unit(x) @ unit(p["centers"]).T, label)


def lgm(p, x, label):
    variance, result = np.exp(p["log_var"]), []
    for i, y in enumerate(label):
        d = [0.5 * ((x[i] - p["mean"][k]) ** 2 / variance[k]).sum() for k in range(C)]
        likelihood = [np.exp(-d[k] * (1.4 if k == y else 1)) / np.sqrt(np.prod(variance[k])) for k in range(C)]
        result.append(-np.log(likelihood[y] / sum(likelihood)) + 0.2 * (d[y] + 0.5 * np.log(np.prod(variance[y]))))
    return np.array(result)


def range_loss(p, x, label):
    n, people = len(label), np.unique(label)
    centers = [x[label == c].mean(axis=0) for c in people]
    gaps = [square(a, b) for i, a in enumerate(centers) for b in centers[:i]]
    result = np.full(n, 0.5 * max(0, 30 - min(gaps)))
    for c in people:
        members = np.flatnonzero(label == c)
        widest = sorted((square(x[i], x[j]) for i in members for j in members if i < j), reverse=True)[:2]
        if widest:
            result[members] += 0.4 * n / len(members) * len(widest) / sum(1 / d for d in widest)
    return result


def mps(p, g, h, label):
    cos = unit(g) @ unit(h).T
    hardest = [max(max(cos[i, j], cos[j, i]) for j in other(label, i)) for i in range(len(label))]
    return np.maximum(0, np.array(hardest) - np.diag(cos) + 0.9)


def contrastive(p, a, b, issame):
    d = np.linalg.norm(a - b, axis=1)
    return 0.5 * issame * d**2 + 0.5 * (1 - issame) * np.maximum(0, 3 - d) ** 2


def triplet(p, a, q, n):
    return np.maximum(0, ((a - q) ** 2).sum(axis=1) - ((a - n) ** 2).sum(axis=1) + 4)


def hard(p, x, label, root=False):
    result = []
    for i in range(len(label)):
        d = [square(x[i], row) ** (0.5 if root else 1) for row in x]
        near, far = [d[j] for j in other(label, i)], [d[j] for j in same(label, i)]
        result.append(max(0, max(far) - min(near) + 2) if near and far else 0)
    return np.array(result)


def circle(p, x, label, weights_of=None):
    cos, fixed = unit(x) @ unit(x).T, unit(x if weights_of is None else weights_of)
    fixed, result = fixed @ fixed.T, []
    for i in range(len(label)):
        n = sum(np.exp(8 * max(0, fixed[i, j] + 0.25) * (cos[i, j] - 0.25)) for j in other(label, i))
        q = sum(np.exp(-8 * max(0, 1.25 - fixed[i, j]) * (cos[i, j] - 0.75)) for j in same(label, i))
        result.append(np.log(1 + n * q))
    return np.array(result)


def multibatch(p, x, label):
    n = len(label)
    result = np.zeros(n)
    for i in range(n):
        for j in range(n):
            if i != j:
                y = 1 if label[i] == label[j] else -1
                result[i] += max(0, 1 - y * (p["theta"][0] - square(x[i], x[j]))) / (n - 1)
    return result


def labels(n):
    # Two or more of each person for n >= 5, in no order; a person of one in the larger ones.
    return np.array([1, 0, 1, 0, 1, 3, 4, 4, 3, 2])[:n]


def with_softmax(rng, n):
    return rng.randn(n, C), labels(n), rng.randn(n, D) * 2


def alone(rng, n):
    return rng.randn(n, D) * 1.5, labels(n)


def twice(rng, n):
    return rng.randn(n, D), rng.randn(n, D), labels(n)


def pairs(rng, n):
    return rng.randn(n, D), rng.randn(n, D), np.arange(n) % 2


def triplets(rng, n):
    return tuple(rng.randn(n, D) for _ in range(3))


SIZES = {"classes": C, "embedding_size": D}
# name -> arguments, batch, formula
FORMULAS = {
    "CenterLoss": ({**SIZES, "lamda": 0.3}, with_softmax, center),
    "RingLoss": ({"classes": C, "lamda": 0.3}, with_softmax, ring),
    "GitLoss": ({**SIZES, "lamda_c": 0.3, "lamda_g": 0.7}, with_softmax, git),
    "COCOLoss": ({**SIZES, "alpha": 6}, alone, coco),
    "LGMLoss": ({**SIZES, "alpha": 0.4, "lamda": 0.2}, alone, lgm),
    "RangeLoss": ({"alpha": 0.4, "beta": 0.5, "margin": 30}, alone, range_loss),
    "MPSLoss": ({"m": 0.9}, twice, mps),
    "ContrastiveLoss": ({"margin": 3}, pairs, contrastive),
    "TripletLoss": ({"margin": 4}, triplets, triplet),
    "BatchHardTriplet": ({"margin": 2}, alone, hard),
    "PairwiseCircle": ({"m": 0.25, "gamma": 8}, alone, circle),
    "MultiBatchLoss": ({"theta": 5}, alone, multibatch),
}
GROUPED = ["RangeLoss", "BatchHardTriplet", "SemiHardTriplet", "PairwiseCircle", "MultiBatchLoss"]


def build(name, dtype="float32", seed=0, **changes):
    """A loss of FORMULAS with parameters away from where they start."""
    loss = get_loss(name, dtype=dtype, **{**FORMULAS[name][0], **changes})
    loss.initialize()
    rng = np.random.RandomState(seed)
    for parameter in own_parameters(loss).values():
        start = 1.5 if parameter.name.endswith(("R", "theta")) else 0
        parameter.set_data(nd.array(start + rng.randn(*parameter.shape) * 0.5, dtype=dtype))
    return loss


def to_nd(arrays, dtype="float32", label="float32"):
    """Embeddings in `dtype`, labels (N,) in `label`."""
    return [nd.array(array, dtype=dtype if array.ndim == 2 else label) for array in arrays]


def run(function, arrays):
    """Value (N,) and gradients with respect to the (N, D) arrays."""
    inputs = [array for array in arrays if array.ndim == 2]
    for array in inputs:
        array.attach_grad()
    with autograd.record():
        value = function(*arrays)
    value.backward()
    return [value.asnumpy()] + [array.grad.asnumpy() for array in inputs]
