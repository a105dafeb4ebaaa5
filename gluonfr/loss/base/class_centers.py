from __future__ import annotations

from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd, nd

from gluonfr.core import UsageError
from gluonfr.loss.base.arguments import check_initializer
from gluonfr.loss.base.input_checks import check_label, check_rows
from gluonfr.loss.base.output import SoftmaxAndEmbedding


class ClassCentersLoss(SoftmaxAndEmbedding):
    r"""Base of the losses with a center :math:`c_j` for each class that `step` moves, not the Trainer.

    .. math:: c_j \leftarrow c_j - \alpha \frac{\sum_{i: y_i = j} (c_j - x_i)}{1 + n_j}

    over the samples of all devices. The centers are a Parameter `centers` (C, D) with ``grad_req='null'`` and without weight
    decay: saved and loaded with the others, and equal on every device.

    Parameters
    ----------
    classes, embedding_size : int
        C and D.
    weight_initializer : Initializer or str, optional
        Initializer of the centers; default Xavier(magnitude=2.24).
    dtype, weight
        See `FRLoss`.

    Examples
    --------
    >>> class DistanceToCenter(ClassCentersLoss):
    ...     alpha = 1.0
    ...     def hybrid_forward(self, F, output, label, embedding, centers):
    ...         return F.sum(F.square(embedding - F.take(centers, label)), axis=1)
    >>> loss = DistanceToCenter(classes=2, embedding_size=1, weight_initializer="zeros")
    >>> loss.initialize()
    >>> with autograd.record():
    ...     loss(nd.zeros((1, 2)), nd.array([1]), nd.array([[4.0]])).asnumpy().tolist()
    [16.0]
    >>> loss.step()
    >>> loss.centers.data().asnumpy().tolist()
    [[0.0], [2.0]]
    """

    # Rate of the centers.
    alpha: float

    def __init__(
        self,
        classes: int,
        embedding_size: int,
        weight_initializer: Any = None,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        if embedding_size is None:
            raise UsageError(f"{type(self).__name__} needs embedding_size, the size of the embedding.")
        super().__init__(classes, embedding_size, dtype, weight, **kwargs)
        with self.name_scope():
            self.centers = self.params.get(
                "centers",
                shape=(self.classes, self.embedding_size),
                dtype=self.dtype,
                init=check_initializer(self, "weight_initializer", weight_initializer, mx.init.Xavier(magnitude=2.24)),
                differentiable=False,
                wd_mult=0.0,
            )

    def batch_statistics(self, *inputs: Any, **named: Any) -> tuple[Any, ...]:
        """Return embeddings (N, D) and labels (N,)."""
        _, label, embedding = inputs
        return embedding.detach(), label.reshape((-1,))

    def step(self, embeddings: Any = None, labels: Any = None, gather: Any = None) -> None:
        """Move the centers of the classes that occurred; call it once per training step, after the Trainer's.

        Parameters
        ----------
        embeddings, labels : list of NDArray, optional
            Inputs of the loss in this step, with one entry per device: (N_k, D) and (N_k,). By default what was recorded since
            the last step.
        gather : callable, optional
            Concatenates an array (N, ...) over all processes, where several train one network.
        """
        if (embeddings is None) != (labels is None):
            raise UsageError(f"{type(self).__name__}.step takes embeddings and labels, or neither.")
        if embeddings is not None:
            embeddings, labels = ([arrays] if isinstance(arrays, nd.NDArray) else arrays for arrays in (embeddings, labels))
            for embedding, label in zip(embeddings, labels):
                check_rows(self, "embedding", embedding, None, self.embedding_size)
                check_label(self, label, embedding.shape[0], self.classes)
            self._statistics.clear()
            for embedding, label in zip(embeddings, labels):
                with autograd.pause():
                    self._statistics.append(self.batch_statistics(None, label, embedding))
        super().step(gather=gather)

    def advance(self, *statistics: Any) -> None:
        """Move the centers towards the embeddings of their classes."""
        context = self.centers.list_ctx()[0]
        embedding, label = statistics
        x = embedding.as_in_context(context).astype(self.centers.dtype)
        seen, place, counts = np.unique(label.asnumpy().astype(np.int64), return_inverse=True, return_counts=True)
        member = nd.array(place[None, :] == np.arange(len(seen))[:, None], ctx=context, dtype=self.centers.dtype)
        count = nd.array(counts[:, None], ctx=context, dtype=self.centers.dtype)
        rows = nd.array(seen, ctx=context, dtype="int64")
        old = nd.take(self.centers.data(context), rows, axis=0)
        new = old - self.alpha * (count * old - nd.dot(member, x)) / (1 + count)
        # A batch with NaN or infinity must not destroy the center of a class.
        new = nd.where(nd.contrib.isfinite(new), new, old)
        for device in self.centers.list_ctx():
            self.centers.data(device)[rows.as_in_context(device)] = new.as_in_context(device)
