from __future__ import annotations

import math

from gluonfr.loss.arguments import flag, number
from gluonfr.loss.classifier import ClassifierLoss
from gluonfr.loss.registry import LOSSES


@LOSSES.register("SoftmaxLoss", "softmax", "SoftmaxCrossEntropyLoss", "SoftmaxCELoss")
class SoftmaxLoss(ClassifierLoss):
    """Softmax cross-entropy on logits. Use it to warm a network up before a margin loss.

    Parameters, inputs and outputs as `FRLoss`.
    """


@LOSSES.register("L2Softmax", "l2")
class L2Softmax(ClassifierLoss):
    r"""L2-constrained softmax (https://arxiv.org/abs/1703.09507): the feature lies on a sphere of radius :math:`\alpha`.

    .. math:: L = -\log \frac{e^{\alpha w_y \cdot \hat x}}{\sum_j e^{\alpha w_j \cdot \hat x}}, \quad \hat x = x / \|x\|

    The weights are free, so the network has `feature_norm` on and `weight_norm` off. A gentle start for small batches and
    for the first epochs of a long run.

    Parameters
    ----------
    classes : int
    alpha : float, optional
        Radius. By default the paper's lower bound :math:`\log\frac{p (C - 2)}{1 - p}` at which a sample can reach
        probability `p`, and at least 1.
    p : float, default 0.9
        That probability, 0 < p < 1; used when `alpha` is not given.
    from_normx : bool, default True
        Whether the network normalized the feature. With False the loss divides the logits by the norm of the embedding,
        which then has to be the third argument.
    """

    feature_norm = True

    def __init__(self, classes, alpha=None, p=0.9, from_normx=True, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, dtype, weight, **kwargs)
        p = number(self, "p", p, 0, 1, open_end=True)
        least = max(1.0, math.log(p * max(self._classes - 2, 1) / (1 - p)))
        self._alpha = least if alpha is None else number(self, "alpha", alpha, open_end=True)
        self.feature_norm = flag(self, "from_normx", from_normx)
        self.needs_embedding = not self.feature_norm

    def logits(self, F, output, label, output_y, norm=None):
        if norm is not None:
            output = F.broadcast_div(output, F.reshape(norm, shape=(-1, 1)))
        return output * self._alpha, None
