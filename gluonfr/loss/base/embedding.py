from __future__ import annotations

from typing import Any

from gluonfr.core import UsageError, check_integer
from gluonfr.loss.base.input_checks import check_label, check_rows
from gluonfr.loss.base.loss import FRLoss
from gluonfr.loss.base.spec import LossSpec


class EmbeddingLoss(FRLoss):
    """Base of the losses on ``(embedding, label)``.

    Parameters
    ----------
    classes : int, optional
        Number of classes C, for losses with parameters for each class; without it any integer label is valid.
    embedding_size : int, optional
        Size D of the embedding, where the loss has parameters of that size.
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **embedding**: (N, D).
        - **label**: (N,), float32 or int32.
        - **sample_weight**: (N,), keyword only, optional; factors of the losses.
    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> import mxnet as mx
    >>> class NormPenalty(EmbeddingLoss):
    ...     def hybrid_forward(self, F, embedding, label):
    ...         return F.norm(embedding, axis=1)
    >>> NormPenalty()(mx.nd.array([[3, 4]]), mx.nd.array([0])).asnumpy().tolist()
    [5.0]
    """

    spec = LossSpec("embedding")

    def __init__(
        self,
        classes: int | None = None,
        embedding_size: int | None = None,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(dtype, weight, **kwargs)
        self.classes: Any = None if classes is None else check_integer("classes", classes, minimum=2, owner=self)
        self.embedding_size: Any = (
            None if embedding_size is None else check_integer("embedding_size", embedding_size, minimum=1, owner=self)
        )

    def check_inputs(self, *inputs: Any) -> tuple[Any, ...]:
        """Return embeddings and labels."""
        if len(inputs) != 2:
            raise UsageError(f"{type(self).__name__} takes (embedding, label), got {len(inputs)} arrays.")
        embedding, label = inputs
        check_rows(self, "embedding", embedding, None, self.embedding_size)
        check_label(self, label, embedding.shape[0], self.classes)
        return inputs
