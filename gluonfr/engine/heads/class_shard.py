from __future__ import annotations

from typing import Any

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock, Parameter

from gluonfr.core import GluonFRError, generator
from gluonfr.core.mxnet_internals import mark_gradient_fresh, register_parameter

_WEIGHTS, _SAMPLE = (int.from_bytes(each, "big") for each in (b"weights", b"classes"))
# So many rows are drawn together; a constant, since the weights follow from it.
_ROWS = 1 << 14


class ClassShard(HybridBlock):
    r"""The part of a classifier that holds the classes `first` to `first + classes - 1`, with its part of the loss.

    With the log-sum-exp and the target's logit of all parts, a softmax over all classes is known without any device having
    had all logits:

    .. math:: L = \log \sum_k e^{lse_k} - \sum_k z_k

    With `sampled`, each step uses so many of the classes (Partial FC, https://arxiv.org/abs/2010.05222, and with the positives
    always among them https://arxiv.org/abs/2203.15565): `take` copies their rows, passes are given the copies, and `give_back`
    makes what came to their gradients those of the classes. Other classes have none.

    Parameters
    ----------
    loss : gluonfr.loss.ClassifierLoss
        Computes what the classes add, by its `part`.
    first, classes : int
        Range of classes.
    in_units : int
        Size D of the embedding.
    sampled : int, optional
        Classes that a step uses; all by default.
    corrected : bool, default False
        Whether a pass is told how many classes each of those stands for; only with `sampled`.

    Inputs:
        - **embedding**: (N, D), not normalized.
        - **label**: int32 (N,), place of the sample's class among those used; 0 where it is not here.
        - **own**: float32 (N,), 1 where it is here, 0 where not.
        - **rows**: one array for each of `own_parameters`, as `take` gives them; only with `sampled`.
        - **offset**: (sampled,), added to the logits; only where it is `corrected`.
        - **output_y**: (N,), the target's output; only for a loss with `spec.needs_target`.
    Outputs:
        - **parts**: list of (N,), as `ClassifierLoss.shard_terms` gives them.
    """

    def __init__(
        self,
        loss: Any,
        first: int,
        classes: int,
        in_units: int,
        sampled: int | None = None,
        corrected: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.first, self.classes, self.in_units = first, classes, in_units
        self.sampled = None if sampled is None or sampled >= classes else sampled
        self.corrected = corrected and self.sampled is not None
        # Not a child: its parameters are on all devices, and those with one number a class are here instead.
        self.__dict__["_loss"] = loss
        kind = {"grad_stype": "row_sparse"} if self.sampled else {}
        shapes = {
            "weight": (classes * loss.spec.num_centers, in_units),
            **dict.fromkeys(loss.spec.class_parameters, (classes, 1)),
        }
        own = {
            name: Parameter(self.prefix + name, shape=shape, init=mx.init.Zero() if name == "weight" else mx.init.One(), **kind)
            for name, shape in shapes.items()
        }
        self._names, self.own_parameters = list(own), list(own.values())
        if not self.sampled:
            for name, parameter in own.items():
                register_parameter(self, name, parameter)
        for name, parameter in loss.shared_parameters.items():
            register_parameter(self, name, parameter)

    def start(self, context: mx.Context, seed: int = 0, std: float = 0.01) -> None:
        """Give the weights a normal distribution on a device, row by row the same however the classes are divided."""
        for parameter in self.own_parameters:
            parameter.initialize(ctx=context)
        first, weight = self.first * self._loss.spec.num_centers, self.weight.data(context)
        # Block by block, so that there is no second copy of all rows.
        for begin in range(0, weight.shape[0], _ROWS):
            count = min(_ROWS, weight.shape[0] - begin)
            weight[begin : begin + count] = nd.array(normal_rows(seed, first + begin, count, self.in_units, std), context)

    @property
    def weight(self) -> Any:
        """Parameter (classes * num_centers, D)."""
        return self.own_parameters[0]

    def take(self, ids: np.ndarray) -> Any:
        """Copies of what the classes `ids`, int64 (sampled,), have: an array for each of `own_parameters`.

        Gradients of all passes add up in them. Embedding's own sparse gradient counts through all classes, which takes longer
        than all else from a few million on.
        """
        taken = []
        for parameter, rows in zip(self.own_parameters, self._places(ids)):
            (weight,) = parameter.list_data()
            taken.append(nd.take(weight, nd.array(rows, weight.context, "int64"), axis=0))
            taken[-1].attach_grad("add")
        return taken

    def give_back(self, ids: np.ndarray, taken: Any) -> None:
        """Make the gradients of `taken` those of the classes `ids`, ascending."""
        for parameter, rows, each in zip(self.own_parameters, self._places(ids), taken):
            (weight,), (gradient,) = parameter.list_data(), parameter.list_grad()
            sparse = nd.sparse.row_sparse_array((each.grad, rows), shape=parameter.shape, ctx=weight.context, dtype=each.dtype)
            sparse.copyto(gradient)
            mark_gradient_fresh(weight)

    def _places(self, ids: np.ndarray) -> Any:
        """Which rows of each of `own_parameters` the classes have."""
        num_centers = self._loss.spec.num_centers
        rows = ids if num_centers == 1 else (ids[:, None] * num_centers + np.arange(num_centers)).ravel()
        return [rows] + [ids] * (len(self.own_parameters) - 1)

    def hybrid_forward(self, F: Any, embedding: Any, label: Any, own: Any, *inputs: Any, **state: Any) -> Any:
        more, classes, num_centers = list(inputs), self.sampled or self.classes, self._loss.spec.num_centers
        if self.sampled:
            state.update((name, more.pop(0)) for name in self._names)
        offset = more.pop(0) if self.corrected else None
        weight = state.pop("weight")
        for name in self._loss.spec.class_parameters:
            state[name] = F.reshape(state[name], shape=(-1,))
        state["embedding"] = embedding
        if self._loss.spec.feature_norm:
            embedding = F.L2Normalization(embedding, mode="instance")
        if self._loss.spec.weight_norm:
            weight = F.L2Normalization(weight, mode="instance")
        output = F.FullyConnected(embedding, weight, no_bias=True, num_hidden=classes * num_centers)
        return self._loss.shard_terms(F, output, label, own, classes, *more, offset=offset, **state)

    def targets(self, embedding: Any, label: Any, own: Any) -> Any:
        """The targets' outputs (N,), 0 where the class is not here, without a gradient; `label` counts from `first`."""
        weight = nd.take(self.weight.data(embedding.context), label, axis=0)
        if self._loss.spec.feature_norm:
            embedding = nd.L2Normalization(embedding, mode="instance")
        if self._loss.spec.weight_norm:
            weight = nd.L2Normalization(weight, mode="instance")
        return (embedding * weight).sum(axis=1) * own


def normal_rows(seed: int, first: int, rows: Any, width: int, std: float = 0.01) -> np.ndarray:
    """Rows `first` to `first + rows - 1` of an endless normal matrix: float32 (rows, width) that depends on nothing else."""
    drawn = np.empty((rows, width), np.float32)
    for block in range(first // _ROWS, -(-(first + rows) // _ROWS)):
        whole = generator(seed, _WEIGHTS, block).standard_normal((_ROWS, width), dtype=np.float32)
        begin, end = max(first, block * _ROWS), min(first + rows, (block + 1) * _ROWS)
        np.multiply(whole[begin - block * _ROWS : end - block * _ROWS], std, out=drawn[begin - first : end - first])
    return drawn


def sample_classes(classes: int, count: int, positives: np.ndarray, seed: int, step: int, shard: Any) -> np.ndarray:
    """`count` of 0..classes-1 with all `positives` among them, drawn anew in each step.

    Parameters
    ----------
    classes, count : int
    positives : int array
        Distinct classes of the batch, ascending.
    seed, step, shard : int
        What the draw depends on, and nothing else.

    Returns
    -------
    int64 (count,), ascending

    Raises
    ------
    GluonFRError
        There are more positives than `count`.
    """
    if len(positives) > count:
        raise GluonFRError(
            f"{len(positives)} identities of the batch do not fit into a sample of {count} classes; raise --sample-rate, or "
            "take a smaller batch."
        )
    rng = generator(seed, _SAMPLE, step, shard)
    # The smaller side is drawn from those that are not positives: who comes in, or who stays out.
    wanted, few = count - len(positives), count <= classes // 2
    drawn = rng.choice(classes - len(positives), wanted if few else classes - count, replace=False, shuffle=False)
    # The n-th that is no positive is n plus the positives before it.
    drawn += np.searchsorted(positives - np.arange(len(positives)), drawn, side="right")
    if few:
        return np.sort(np.concatenate([positives, drawn]))
    inside = np.ones(classes, bool)
    inside[drawn] = False
    return np.flatnonzero(inside)


def sample_offset(classes: int, ids: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """Log of how many classes each of a sample stands for: float32 (len(ids),), 0 for `positives`, which are always in it.

    With it the expected sum of exponentials over a sample is that over all classes.
    """
    others = ~np.isin(ids, positives)
    return np.where(others, np.log((classes - len(positives)) / max(1, others.sum())), 0).astype(np.float32)
