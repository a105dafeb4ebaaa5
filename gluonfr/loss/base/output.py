"""Bases of the losses on the output of a classifier."""

from __future__ import annotations

from typing import Any

from gluonfr.core import UsageError, check_integer
from gluonfr.loss.base.input_checks import check_label, check_rows
from gluonfr.loss.base.loss import FRLoss
from gluonfr.loss.base.spec import LossSpec


class OutputLoss(FRLoss):
    """Base of the losses on ``(output, label)`` or ``(output, label, embedding)``.

    Parameters
    ----------
    classes : int or None
        Number of classes C; labels must be in 0..C-1. Where a loss allows None, C is the number of columns of the output.
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **output**: (N, C), the output of the classifier.
        - **label**: (N,), float32 or int32.
        - **embedding**: (N, D), only for losses with ``spec.needs_embedding``.
        - **sample_weight**: (N,), keyword only, optional; factors of the losses.
    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> import mxnet as mx
    >>> class MissingProbability(OutputLoss):
    ...     def hybrid_forward(self, F, output, label):
    ...         return 1 - F.pick(output, label, axis=1)
    >>> MissingProbability(classes=2)(mx.nd.array([[0.75, 0.25]]), mx.nd.array([0])).asnumpy().tolist()
    [0.25]
    """

    # Whether `classes` may be None.
    _classes_are_optional = False

    def __init__(self, classes: int | None, dtype: str = "float32", weight: float | None = None, **kwargs: Any) -> None:
        super().__init__(dtype, weight, **kwargs)
        self.classes: Any = classes
        if classes is not None or not self._classes_are_optional:
            self.classes = check_integer("classes", classes, minimum=2, owner=self)
        self.embedding_size: int | None = None

    @property
    def outputs(self) -> int | None:
        """Number of columns of the output, that is rows of the classifier."""
        return None if self.classes is None else self.classes * self.spec.num_centers

    def check_inputs(self, *inputs: Any) -> tuple[Any, ...]:
        """Return outputs, labels and, where given, embeddings."""
        expected = 3 if self.spec.needs_embedding else 2
        if len(inputs) < expected:
            missing = "the embedding as its third argument" if len(inputs) == 2 else "output and label"
            raise UsageError(f"{type(self).__name__} needs {missing}.")
        if len(inputs) > 3:
            raise UsageError(f"{type(self).__name__} takes (output, label, embedding), got {len(inputs)} arrays.")
        output, label = inputs[:2]
        check_rows(self, "output", output, None, self.outputs, "check `classes`")
        check_label(self, label, output.shape[0], output.shape[1] if self.classes is None else self.classes)
        if self.spec.needs_embedding:
            check_rows(self, "embedding", inputs[2], output.shape[0], self.embedding_size)
        return inputs


class SoftmaxAndEmbedding(OutputLoss):
    """Base of the losses that add a term on the embedding to softmax cross-entropy.

    Parameters
    ----------
    classes : int or None
        Number of classes C.
    embedding_size : int, optional
        Size D of the embedding, where the loss has parameters of that size.
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **output**: (N, C) logits.
        - **label**: (N,), float32 or int32.
        - **embedding**: (N, D), not normalized.
        - **sample_weight**: (N,), keyword only, optional.
    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> import mxnet as mx
    >>> class SoftmaxAndNorm(SoftmaxAndEmbedding):
    ...     def hybrid_forward(self, F, output, label, embedding):
    ...         return -F.pick(F.log_softmax(output), label) + F.norm(embedding, axis=1)
    >>> loss = SoftmaxAndNorm(classes=2)
    >>> loss(mx.nd.zeros((1, 2)), mx.nd.array([0]), mx.nd.array([[3, 4]])).asnumpy().round(3)
    array([5.693], dtype=float32)
    """

    spec = LossSpec(needs_embedding=True)

    def __init__(
        self,
        classes: int | None,
        embedding_size: int | None = None,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, dtype, weight, **kwargs)
        if embedding_size is not None:
            self.embedding_size = check_integer("embedding_size", embedding_size, minimum=1, owner=self)
