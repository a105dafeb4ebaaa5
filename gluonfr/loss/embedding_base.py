from __future__ import annotations

from gluonfr.core import GluonFRError
from gluonfr.loss.arguments import whole
from gluonfr.loss.base import FRLoss
from gluonfr.loss.checks import check_label, check_rows


class SoftmaxAndEmbedding(FRLoss):
    """Base of the losses that add a term on the embedding to softmax cross-entropy.

    Inputs:
        - **output**: (N, C) logits.
        - **label**: (N,), float32 or int32.
        - **embedding**: (N, D), not normalized.
        - **sample_weight**: (N,), keyword only.
    Outputs:
        - **loss**: (N,).
    """

    needs_embedding = True

    def __init__(self, classes, embedding_size=None, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, dtype, weight, **kwargs)
        self._embedding_size = None if embedding_size is None else whole(self, "embedding_size", embedding_size)


class EmbeddingLoss(FRLoss):
    """Base of the losses that take the embedding instead of a classifier's output.

    Class attributes beside those of `FRLoss`: `needs_groups` is True where the batch has to hold P people with K images each,
    and `takes` is 'pairs' or 'triplets' where these are given. `feature_norm` is True where the loss is made for unit vectors,
    that is for embeddings after `nd.L2Normalization`; it computes with what it gets.

    Parameters
    ----------
    classes : int, optional
        Only for losses with something of their own for each class.
    embedding_size : int, optional
        D, where the loss has parameters of that size.
    dtype, weight
        As `FRLoss`.

    Inputs:
        - **embedding**: (N, D).
        - **label**: (N,), float32 or int32.
        - **sample_weight**: (N,), keyword only.
    Outputs:
        - **loss**: (N,).
    """

    input_kind = "embedding"
    needs_groups = False
    takes = None

    def __init__(self, classes=None, embedding_size=None, dtype="float32", weight=None, **kwargs) -> None:
        # Without classes of its own a loss takes any label; the base wants a number.
        super().__init__(2 if classes is None else classes, dtype, weight, **kwargs)
        self._any_label = classes is None
        self._embedding_size = None if embedding_size is None else whole(self, "embedding_size", embedding_size)

    def __call__(self, embedding, label, *args, sample_weight=None):
        if args:
            raise GluonFRError(f"{type(self).__name__} takes (embedding, label), got {2 + len(args)} arrays.")
        return super().__call__(embedding, label, sample_weight=sample_weight)

    def _check(self, output, label) -> None:
        check_rows(self, "embedding", output, None, self._embedding_size)
        check_label(self, label, output.shape[0], None if self._any_label else self._classes)
