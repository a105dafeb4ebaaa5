from __future__ import annotations

import numpy as np
from mxnet import symbol

from gluonfr.core import GluonFRError
from gluonfr.loss.arguments import number
from gluonfr.loss.checks import check_column, check_rows
from gluonfr.loss.embedding_base import EmbeddingLoss
from gluonfr.loss.pairwise import safe_sqrt
from gluonfr.loss.registry import LOSSES


@LOSSES.register("ContrastiveLoss", "contrastive")
class ContrastiveLoss(EmbeddingLoss):
    r"""Contrastive loss on given pairs (http://yann.lecun.com/exdb/publis/pdf/hadsell-chopra-lecun-06.pdf).

    .. math:: L = \frac12 y D^2 + \frac12 (1 - y) \max(0, m - D)^2, \quad D = \|x_0 - x_1\|

    Use it for pairs that are given as such; where labels are known the losses on whole batches learn more from each.

    Parameters
    ----------
    margin : float, default 1
        m, the distance at which a pair of two people is far enough; between unit vectors distances lie in [0, 2].

    Inputs:
        - **embedding0**, **embedding1**: (N, D), usually of unit length.
        - **issame**: (N,), 1 for a pair of one person, else 0; floats, integers or bools.
        - **sample_weight**: (N,), keyword only.
    Outputs:
        - **loss**: (N,). At D = 0 the gradient is 0.
    """

    takes = "pairs"
    feature_norm = True

    def __init__(self, margin=1.0, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(None, None, dtype, weight, **kwargs)
        self.margin = number(self, "margin", margin, open_end=True)

    def __call__(self, embedding0, embedding1, *args, sample_weight=None):
        if len(args) != 1:
            raise GluonFRError(f"ContrastiveLoss takes (embedding0, embedding1, issame), got {2 + len(args)} arrays.")
        if not isinstance(embedding0, symbol.Symbol):
            issame = args[0]
            check_rows(self, "embedding", embedding0, None)
            check_rows(self, "embedding", embedding1, *embedding0.shape)
            check_column(self, "issame", issame, embedding0.shape[0])
            values = issame.asnumpy()
            wrong = values[~((values == 0) | (values == 1))]
            if wrong.size:
                raise GluonFRError(f"ContrastiveLoss: issame is 1 or 0 for every pair, got {wrong[0]:g}.")
            embedding1 = self._precise(embedding1)
            args = (issame.astype(np.promote_types(embedding0.dtype, self._dtype).name),)
        # Straight to the grandparent: its order of arguments fits, the checks of (embedding, label) do not.
        return super(EmbeddingLoss, self).__call__(embedding0, embedding1, *args, sample_weight=sample_weight)

    def _check(self, output, label) -> None:
        """Done in `__call__`, for all three."""

    def hybrid_forward(self, F, embedding0, embedding1, issame):
        same = F.reshape(issame, shape=(-1,))
        square = F.sum(F.square(embedding0 - embedding1), axis=1)
        short = F.square(F.relu(self.margin - safe_sqrt(F, square)))
        return 0.5 * (same * square + (1 - same) * short)
