from __future__ import annotations

from gluonfr.loss.arguments import number
from gluonfr.loss.embedding_base import EmbeddingLoss
from gluonfr.loss.pairwise import any_in_row, masks, only_where, row_log_sum_exp, unit_rows
from gluonfr.loss.registry import LOSSES


@LOSSES.register("PairwiseCircle", "pairwise circle", "circle pairs", "PairwiseCircleLoss")
class PairwiseCircle(EmbeddingLoss):
    r"""Circle loss between the pairs of a batch (https://arxiv.org/abs/2002.10857).

    Of each sample, with cosines :math:`s_p` to its positives and :math:`s_n` to its negatives:

    .. math:: L = \log\left(1 + \sum_n e^{\gamma \alpha_n (s_n - m)} \sum_p e^{-\gamma \alpha_p (s_p - 1 + m)}\right),
        \quad \alpha_p = [1 + m - s_p]_+, \quad \alpha_n = [s_n + m]_+

    The weights :math:`\alpha` are constants in the gradient, as the paper has it. Use it on batches of P people x K images
    where the triplet losses are slow: all pairs take part, the far-off ones most.

    Parameters
    ----------
    m : float, default 0.4
        Relaxation, 0 <= m < 1; the paper's for labels of pairs.
    gamma : float, default 80
        Scale; the paper's for labels of pairs. Gradients grow with it: at 80 the learning rate wants to be a hundredth of
        what suits softmax, or gamma around 16.

    Inputs and outputs as `EmbeddingLoss`; embeddings are normalized here. A sample without a positive or without a negative
    has loss 0 and gradient 0.
    """

    needs_groups = True

    def __init__(self, m=0.4, gamma=80.0, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(None, None, dtype, weight, **kwargs)
        self.m = number(self, "m", m, 0, 1)
        self.gamma = number(self, "gamma", gamma, open_end=True)

    def hybrid_forward(self, F, embedding, label):
        unit = unit_rows(F, embedding)
        cosine = F.dot(unit, unit, transpose_b=True)
        positives, negatives = masks(F, label, cosine)
        fixed = F.BlockGrad(cosine)
        towards = -self.gamma * F.relu(1 + self.m - fixed) * (cosine - (1 - self.m))
        apart = self.gamma * F.relu(fixed + self.m) * (cosine - self.m)
        both = row_log_sum_exp(F, apart, negatives) + row_log_sum_exp(F, towards, positives)
        complete = any_in_row(F, positives) * any_in_row(F, negatives)
        return only_where(F, complete, F.Activation(only_where(F, complete, both), act_type="softrelu"))
