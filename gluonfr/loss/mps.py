from __future__ import annotations

import numpy as np
from mxnet import nd, symbol

from gluonfr.core import GluonFRError
from gluonfr.loss.arguments import number
from gluonfr.loss.checks import check_label, check_rows
from gluonfr.loss.embedding_base import EmbeddingLoss
from gluonfr.loss.pairwise import any_in_row, as_mask, only_where, row_max, unit_rows
from gluonfr.loss.partners import is_label, same_person, take_rows, zero_unless
from gluonfr.loss.registry import LOSSES


@LOSSES.register("MPSLoss", "mps", "docface")
class MPSLoss(EmbeddingLoss):
    r"""DocFace's max-margin pairwise score (https://arxiv.org/abs/1805.02283), for images of two kinds, as on a passport and
    at the gate.

    .. math:: L_i = \max\left(0, \max_{j \ne i} \max(\cos(g_i, h_j), \cos(g_j, h_i)) - \cos(g_i, h_i) + m\right)

    Use it where each person has one image of each kind.

    Parameters
    ----------
    m : float, default 0.5
        Margin on the cosine, 0 <= m < 2; the paper's.

    Inputs:
        - **embedding0**, **embedding1**: (N, D), g and h, row for row of one person; normalized here.
        - **label**: (N,), optional, whose pair it is: pairs of one person are not each other's negatives. Without it every pair
          is a person of its own.
        - or **embedding**, **label**: (N, D), (N,): every image is paired with the next one of its person in the batch, the
          last with the first. An image that is alone has loss 0.
        - **sample_weight**: (N,), keyword only.
    Outputs:
        - **loss**: (N,). Without negatives it is 0 with gradient 0.
    """

    needs_groups = True

    def __init__(self, m=0.5, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(None, None, dtype, weight, **kwargs)
        self.m = number(self, "m", m, 0, 2)

    def __call__(self, embedding, other, *args, sample_weight=None):
        if len(args) > 1:
            raise GluonFRError(
                f"MPSLoss takes (embedding0, embedding1), with or without label, or (embedding, label), got {2 + len(args)}."
            )
        if isinstance(embedding, symbol.Symbol):
            return self._compute(embedding, other, *args, sample_weight=sample_weight)
        check_rows(self, "embedding", embedding, None)
        rows = embedding.shape[0]
        if not args and is_label(other, rows):
            check_label(self, other, rows)
            partner = same_person(other.asnumpy().ravel())
            loss = self._compute(embedding, take_rows(embedding, partner), other, sample_weight=sample_weight)
            return zero_unless(loss, partner != np.arange(rows))
        check_rows(self, "embedding", other, *embedding.shape)
        label = args[0] if args else nd.arange(rows, ctx=embedding.context)
        check_label(self, label, rows)
        return self._compute(embedding, self._precise(other), label, sample_weight=sample_weight)

    def _compute(self, *given, sample_weight):
        # Straight to the grandparent: its order of arguments fits, the checks of (embedding, label) do not.
        return super(EmbeddingLoss, self).__call__(*given, sample_weight=sample_weight)

    def _check(self, output, label) -> None:
        """Done in `__call__`, for all three."""

    def _precise(self, array):
        # The label comes here too, as the third argument; it stays as it is.
        return array if array.ndim == 1 or array.shape[1] == 1 else super()._precise(array)

    def hybrid_forward(self, F, embedding0, embedding1, label=None):
        first, second = unit_rows(F, embedding0), unit_rows(F, embedding1)
        cosine = F.dot(first, second, transpose_b=True)
        own = F.sum(first * second, axis=1)
        label = F.contrib.arange_like(own, axis=0) if label is None else F.reshape(label, shape=(-1,))
        others = F.broadcast_not_equal(F.reshape(label, shape=(-1, 1)), F.reshape(label, shape=(1, -1)))
        others = as_mask(F, others, cosine)
        rows, columns = row_max(F, cosine, others), row_max(F, F.transpose(cosine), others)
        hardest = F.where(rows >= columns, rows, columns)
        return only_where(F, any_in_row(F, others), F.relu(hardest - own + self.m))
