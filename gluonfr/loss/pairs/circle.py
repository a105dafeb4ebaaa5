from __future__ import annotations

from typing import Any

from gluonfr.core import check_number
from gluonfr.loss.base.batch_pairs import any_in_row, masks, only_where, row_log_sum_exp
from gluonfr.loss.base.embedding import EmbeddingLoss
from gluonfr.loss.base.functions import unit_rows
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.registry import LOSSES


@LOSSES.register("PairwiseCircle", "pairwise circle", "circle pairs", "PairwiseCircleLoss")
class PairwiseCircle(EmbeddingLoss):
    r"""Circle loss between the pairs of a batch (https://arxiv.org/abs/2002.10857).

    For each sample, with cosines :math:`s_p` to its positives and :math:`s_n` to its negatives:

    .. math:: L = \log\left(1 + \sum_n e^{\gamma \alpha_n (s_n - m)} \sum_p e^{-\gamma \alpha_p (s_p - 1 + m)}\right),
        \quad \alpha_p = [1 + m - s_p]_+, \quad \alpha_n = [s_n + m]_+

    The weights :math:`\alpha` are constants in the gradient, as in the paper. Use it on batches of P people x K images
    where the triplet losses are slow: all pairs contribute, those far from their optimum most.

    Parameters
    ----------
    m : float, default 0.4
        Relaxation, 0 <= m < 1; the paper's for labels of pairs.
    gamma : float, default 80
        Scale; the paper's for labels of pairs. Gradients grow with it: for 80 use a hundredth of the learning rate that suits
        softmax, or use a gamma around 16.
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `EmbeddingLoss`; embeddings are normalized inside. A sample without a positive or without a negative
    has loss 0 and gradient 0.

    Examples
    --------
    >>> PairwiseCircle()
    PairwiseCircle(m=0.4, gamma=80, dtype='float32')
    """

    spec = LossSpec("embedding", batch="identities")

    def __init__(
        self, m: float = 0.4, gamma: float = 80.0, dtype: str = "float32", weight: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(None, None, dtype, weight, **kwargs)
        self.m = check_number("m", m, minimum=0, below=1, owner=self)
        self.gamma = check_number("gamma", gamma, above=0, owner=self)

    def hybrid_forward(self, F: Any, embedding: Any, label: Any) -> Any:
        """Return the losses (N,)."""
        unit = unit_rows(F, embedding)
        cosine = F.dot(unit, unit, transpose_b=True)
        positives, negatives = masks(F, label, cosine)
        fixed = F.BlockGrad(cosine)
        towards = -self.gamma * F.relu(1 + self.m - fixed) * (cosine - (1 - self.m))
        apart = self.gamma * F.relu(fixed + self.m) * (cosine - self.m)
        both = row_log_sum_exp(F, apart, negatives) + row_log_sum_exp(F, towards, positives)
        complete = any_in_row(F, positives) * any_in_row(F, negatives)
        return only_where(F, complete, F.Activation(only_where(F, complete, both), act_type="softrelu"))


PairwiseCircleLoss = PairwiseCircle
