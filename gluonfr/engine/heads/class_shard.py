from __future__ import annotations

from typing import Any

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.gluon import Parameter

from gluonfr.core import GluonFRError, generator
from gluonfr.core.mxnet_internals import mark_gradient_fresh, register_parameter
from gluonfr.ops import NativeBlock

_WEIGHTS, _SAMPLE = (int.from_bytes(name, "big") for name in (b"weights", b"classes"))
# Number of rows drawn together. It must not change, because the initial weights depend on it.
_ROWS = 1 << 14


class ClassShard(NativeBlock):
    r"""The part of a classifier for the classes `first` to `first + classes - 1`, with its part of the loss.

    The log-sum-exp and the target logit of all parts give the softmax loss over all classes, without any device computing all
    logits:

    .. math:: L = \log \sum_k e^{lse_k} - \sum_k z_k

    With `sampled`, each step uses that many of the classes (Partial FC, https://arxiv.org/abs/2010.05222), always including the
    positives (https://arxiv.org/abs/2203.15565). `copy_rows` copies their rows, the passes of a step use the copies, and
    `set_gradients` assigns the gradients of the copies to the classes. Other classes have no gradient.

    Parameters
    ----------
    loss : gluonfr.loss.ClassifierLoss
        Computes the contribution of the classes, with its `shard_terms`.
    first, classes : int
        Range of classes.
    in_units : int
        Size D of the embedding.
    sampled : int, optional
        Number of classes that a step uses; all by default.
    corrected : bool, default False
        Weight each sampled class by the number of classes that it represents; only with `sampled`.

    Inputs:
        - **embedding**: (N, D), not normalized.
        - **label**: int32 (N,), place of the sample's class among those used; 0 where it is not here.
        - **own**: float32 (N,), 1 where it is here, 0 where not.
        - **rows**: one array for each of `own_parameters`, as `take` gives them; only with `sampled`.
        - **offset**: (sampled,), added to the logits; only where it is `corrected`.
        - **output_y**: (N,), the target's output; only for a loss with `spec.needs_target`.
    Outputs:
        - **parts**: list of (N,), as `ClassifierLoss.shard_terms` gives them.

    Examples
    --------
    >>> from gluonfr.loss import get_loss
    >>> shard = ClassShard(get_loss("cos", classes=100), first=50, classes=50, in_units=8)
    >>> shard.start(mx.cpu())
    >>> shard.weight.shape
    (50, 8)
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
        # Not a child: its parameters are on all devices, and those with one value per class are here instead.
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
        """Initialize the weights on a device from a normal distribution, independently of how the classes are divided."""
        for parameter in self.own_parameters:
            parameter.initialize(ctx=context)
        first, weight = self.first * self._loss.spec.num_centers, self.weight.data(context)
        # In blocks, to avoid a second copy of all rows.
        for begin in range(0, weight.shape[0], _ROWS):
            count = min(_ROWS, weight.shape[0] - begin)
            weight[begin : begin + count] = nd.array(normal_rows(seed, first + begin, count, self.in_units, std), context)

    @property
    def weight(self) -> Any:
        """Parameter (classes * num_centers, D)."""
        return self.own_parameters[0]

    def copy_rows(self, ids: np.ndarray) -> Any:
        """Copy the rows of the classes `ids`, int64 (sampled,): one array for each of `own_parameters`.

        Gradients of all passes accumulate in the copies. The sparse gradient of MXNet's Embedding loops over all classes, which
        takes longer than everything else from a few million classes on.
        """
        taken = []
        for parameter, rows in zip(self.own_parameters, self._places(ids)):
            (weight,) = parameter.list_data()
            taken.append(nd.take(weight, nd.array(rows, weight.context, "int64"), axis=0))
            taken[-1].attach_grad("add")
        return taken

    def set_gradients(self, ids: np.ndarray, taken: Any) -> None:
        """Assign the gradients of the copies to the classes `ids`, which are in ascending order."""
        for parameter, rows, copy in zip(self.own_parameters, self._places(ids), taken):
            (weight,), (gradient,) = parameter.list_data(), parameter.list_grad()
            sparse = nd.sparse.row_sparse_array((copy.grad, rows), shape=parameter.shape, ctx=weight.context, dtype=copy.dtype)
            sparse.copyto(gradient)
            mark_gradient_fresh(weight)

    def _places(self, ids: np.ndarray) -> Any:
        """Return the rows of the classes in each of `own_parameters`."""
        num_centers = self._loss.spec.num_centers
        rows = ids if num_centers == 1 else (ids[:, None] * num_centers + np.arange(num_centers)).ravel()
        return [rows] + [ids] * (len(self.own_parameters) - 1)

    def hybrid_forward(self, F: Any, embedding: Any, label: Any, own: Any, *inputs: Any, **state: Any) -> Any:
        """Compute the terms of the loss of these classes."""
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
        return self._loss.shard_terms(F, output, label, own, classes, *more, offset=offset, native=self.native, **state)

    def can_be_native(self, *inputs: Any) -> bool:
        """Return whether native operators can compute the terms on these arrays."""
        return self._loss.is_native and super().can_be_native(*inputs)

    def targets(self, embedding: Any, label: Any, own: Any) -> Any:
        """Return the target outputs (N,) without gradient, 0 for classes of other shards; `label` counts from `first`."""
        weight = nd.take(self.weight.data(embedding.context), label, axis=0)
        if self._loss.spec.feature_norm:
            embedding = nd.L2Normalization(embedding, mode="instance")
        if self._loss.spec.weight_norm:
            weight = nd.L2Normalization(weight, mode="instance")
        return (embedding * weight).sum(axis=1) * own


def normal_rows(seed: int, first: int, rows: Any, width: int, std: float = 0.01) -> np.ndarray:
    """Return rows `first` to `first + rows - 1` of an unbounded random normal matrix: float32 (rows, width).

    Examples
    --------
    >>> bool((normal_rows(0, 5, 2, 4) == normal_rows(0, 0, 7, 4)[5:]).all())
    True
    """
    drawn = np.empty((rows, width), np.float32)
    for block in range(first // _ROWS, -(-(first + rows) // _ROWS)):
        whole = generator(seed, _WEIGHTS, block).standard_normal((_ROWS, width), dtype=np.float32)
        begin, end = max(first, block * _ROWS), min(first + rows, (block + 1) * _ROWS)
        np.multiply(whole[begin - block * _ROWS : end - block * _ROWS], std, out=drawn[begin - first : end - first])
    return drawn


def sample_classes(classes: int, count: int, positives: np.ndarray, seed: int, step: int, shard: Any) -> np.ndarray:
    """Draw `count` classes of 0..classes-1 that include all `positives`, a new sample in each step.

    Parameters
    ----------
    classes, count : int
    positives : int array
        Distinct classes of the batch, ascending.
    seed, step, shard : int
        The sample depends on these only.

    Returns
    -------
    int64 (count,), ascending

    Raises
    ------
    GluonFRError
        There are more positives than `count`.

    Examples
    --------
    >>> ids = sample_classes(100, 10, np.array([3, 7]), seed=0, step=1, shard=0)
    >>> len(ids), {3, 7} <= set(ids.tolist())
    (10, True)
    """
    if len(positives) > count:
        raise GluonFRError(
            f"{len(positives)} identities of the batch do not fit into a sample of {count} classes; raise sample_rate= or use "
            "a smaller batch."
        )
    rng = generator(seed, _SAMPLE, step, shard)
    # Of the classes that are not positives, draw those to include or those to exclude, whichever are fewer.
    wanted, few = count - len(positives), count <= classes // 2
    drawn = rng.choice(classes - len(positives), wanted if few else classes - count, replace=False, shuffle=False)
    # The n-th class that is not positive is n plus the number of positives before it.
    drawn += np.searchsorted(positives - np.arange(len(positives)), drawn, side="right")
    if few:
        return np.sort(np.concatenate([positives, drawn]))
    inside = np.ones(classes, bool)
    inside[drawn] = False
    return np.flatnonzero(inside)


def sample_offset(classes: int, ids: np.ndarray, positives: np.ndarray) -> np.ndarray:
    """Return the log of the number of classes that each sampled class represents: float32 (len(ids),), 0 for `positives`.

    With it the expected sum of exponentials over a sample is that over all classes.

    Examples
    --------
    >>> np.exp(sample_offset(10, np.array([1, 4, 5]), np.array([4]))).round(1).tolist()
    [4.5, 1.0, 4.5]
    """
    others = ~np.isin(ids, positives)
    return np.where(others, np.log((classes - len(positives)) / max(1, others.sum())), 0).astype(np.float32)
