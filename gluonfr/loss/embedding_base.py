import numpy as np
from mxnet import nd

from gluonfr.core import GluonFRError
from gluonfr.loss.base import FRLoss, check_label, within


class SoftmaxAndEmbedding(FRLoss):
    """Base of the losses that add a term on the embedding to softmax cross-entropy.

    Inputs:
        - **output**: (N, C) logits.
        - **label**: (N,), float32 or int32.
        - **embedding**: (N, D), not normalised.
        - **sample_weight**: (N,), keyword only.
    Outputs:
        - **loss**: (N,).
    """

    needs_embedding = True

    def __init__(self, classes, embedding_size=None, dtype="float32", weight=None, **kwargs):
        super().__init__(classes, dtype, weight, **kwargs)
        self._embedding_size = None if embedding_size is None else positive_size(self, embedding_size)

    def __call__(self, output, label, *args, sample_weight=None):
        if args and isinstance(output, nd.NDArray):
            check_embedding(self, args[0], output.shape[0], self._embedding_size)
        return super().__call__(output, label, *args, sample_weight=sample_weight)


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

    eats = "embedding"
    needs_groups = False
    takes = None

    def __init__(self, classes=None, embedding_size=None, dtype="float32", weight=None, **kwargs):
        # Without classes of its own a loss takes any label; the base wants a number.
        super().__init__(2 if classes is None else classes, dtype, weight, **kwargs)
        self._any_label = classes is None
        self._embedding_size = None if embedding_size is None else positive_size(self, embedding_size)

    def __call__(self, embedding, label, *args, sample_weight=None):
        if args:
            raise GluonFRError(f"{type(self).__name__} takes (embedding, label), got {2 + len(args)} arrays.")
        return super().__call__(embedding, label, sample_weight=sample_weight)

    def _check(self, output, label):
        check_embedding(self, output, None, self._embedding_size)
        check_label(self, label, output.shape[0], None if self._any_label else self._classes)


def check_embedding(loss, embedding, rows, size=None):
    """Refuse what is no embedding (rows, size); None stands for any number of them."""
    name = type(loss).__name__
    if not isinstance(embedding, nd.NDArray) or embedding.ndim != 2 or (rows is not None and embedding.shape[0] != rows):
        raise GluonFRError(
            f"{name}: an embedding has shape {getattr(embedding, 'shape', None)}, "
            f"expected ({rows or 'batch'}, {size or 'size'}), one row a sample."
        )
    if size is not None and embedding.shape[1] != size:
        raise GluonFRError(f"{name}: embeddings have {embedding.shape[1]} numbers, expected embedding_size = {size}.")
    if np.dtype(embedding.dtype).kind != "f":
        raise GluonFRError(f"{name}: the embedding is {np.dtype(embedding.dtype).name}, expected floating point.")


def positive_size(loss, size):
    if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
        raise GluonFRError(f"{type(loss).__name__}: embedding_size is a whole number of at least 1, got {size!r}.")
    return int(size)


def number(loss, name, value, least=0.0, below=float("inf"), open_end=False):
    """A float argument in [least, below), or (least, below) with `open_end`."""
    if not within(value, least, below, open_end):
        raise GluonFRError(
            f"{type(loss).__name__}: {name} lies in {'(' if open_end else '['}{least:g}, {below:g}), got {value!r}."
        )
    return float(value)
