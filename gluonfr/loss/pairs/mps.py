from __future__ import annotations

from typing import Any

import numpy as np
from mxnet import nd, symbol

from gluonfr.core import check_number
from gluonfr.loss.base.batch_pairs import any_in_row, as_mask, only_where, row_max
from gluonfr.loss.base.functions import unit_rows
from gluonfr.loss.base.input_checks import check_label, check_rows
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.base.tuples import TupleLoss, next_of_same_label, take_rows, zero_unless
from gluonfr.loss.registry import LOSSES


@LOSSES.register("MPSLoss", "mps", "docface")
class MPSLoss(TupleLoss):
    r"""DocFace's max-margin pairwise score (https://arxiv.org/abs/1805.02283), for two kinds of images.

    .. math:: L_i = \max\left(0, \max_{j \ne i} \max(\cos(g_i, h_j), \cos(g_j, h_i)) - \cos(g_i, h_i) + m\right)

    Use it where each person has one image of each kind, such as a passport and a camera image.

    Parameters
    ----------
    m : float, default 0.5
        Margin on the cosine, 0 <= m < 2; the paper's.
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **embedding0**, **embedding1**: (N, D), g and h, one person per row; normalized inside.
        - **label**: (N,), optional, the person of each pair: pairs of one person are not negatives of each other. Without it
          all pairs are of different people.
        - or **embedding**, **label**: (N, D), (N,): every image is paired with the next one of its person in the batch,
          cyclically. An image without a partner has loss 0.
        - **sample_weight**: (N,), keyword only, optional.
    Outputs:
        - **loss**: (N,). Without negatives it is 0 with gradient 0.

    Examples
    --------
    >>> import mxnet as mx
    >>> g, h = mx.nd.array([[1, 0], [0, 1]]), mx.nd.array([[1, 0], [1, 0]])
    >>> MPSLoss(m=0.5)(g, h).asnumpy().tolist()
    [0.5, 1.5]
    """

    spec = LossSpec("embedding", batch="identities")
    _label_position = 2

    def __init__(self, m: float = 0.5, dtype: str = "float32", weight: float | None = None, **kwargs: Any) -> None:
        super().__init__(dtype, weight, **kwargs)
        self.m = check_number("m", m, minimum=0, below=2, owner=self)

    def __call__(self, *inputs: Any, sample_weight: Any = None) -> Any:
        """Return the losses (N,)."""
        if len(inputs) != 2 or isinstance(inputs[0], symbol.Symbol):
            return super().__call__(*inputs, sample_weight=sample_weight)
        embedding, other = inputs
        check_rows(self, "embedding", embedding, None)
        rows = embedding.shape[0]
        if not isinstance(other, nd.NDArray) or other.shape not in ((rows,), (rows, 1)):
            return super().__call__(embedding, other, nd.arange(rows, ctx=embedding.context), sample_weight=sample_weight)
        check_label(self, other, rows)
        partner = next_of_same_label(other.asnumpy().ravel())
        loss = super().__call__(embedding, take_rows(embedding, partner), other, sample_weight=sample_weight)
        return zero_unless(loss, partner != np.arange(rows))

    def check_inputs(self, *inputs: Any) -> tuple[Any, ...]:
        """Return both embeddings and the label."""
        if len(inputs) != 3:
            self.reject_inputs("(embedding0, embedding1), with or without label, or (embedding, label)", len(inputs))
        self.check_embeddings(*inputs[:2])
        check_label(self, inputs[2], inputs[0].shape[0])
        return inputs

    def hybrid_forward(self, F: Any, embedding0: Any, embedding1: Any, label: Any = None) -> Any:
        """Return the losses (N,)."""
        first, second = unit_rows(F, embedding0), unit_rows(F, embedding1)
        cosine = F.dot(first, second, transpose_b=True)
        own = F.sum(first * second, axis=1)
        label = F.contrib.arange_like(own, axis=0) if label is None else F.reshape(label, shape=(-1,))
        others = F.broadcast_not_equal(F.reshape(label, shape=(-1, 1)), F.reshape(label, shape=(1, -1)))
        others = as_mask(F, others, cosine)
        rows, columns = row_max(F, cosine, others), row_max(F, F.transpose(cosine), others)
        hardest = F.where(rows >= columns, rows, columns)
        return only_where(F, any_in_row(F, others), F.relu(hardest - own + self.m))
