from __future__ import annotations

import math

from mxnet import init, nd

from gluonfr.loss.arguments import flag, scale
from gluonfr.loss.base import move
from gluonfr.loss.classifier import ClassifierLoss, exact_log_sum_exp
from gluonfr.loss.registry import LOSSES


class _ScaledCosines(ClassifierLoss):
    """Softmax cross-entropy of cosines times `s`, or times the parameter `scale` where a loss has one."""

    input_kind = "cosine"
    weight_norm = True
    feature_norm = True

    def logits(self, F, output, label, output_y, scale=None):
        return output * self.s if scale is None else F.broadcast_mul(output, F.reshape(scale, shape=(1, 1))), None


@LOSSES.register("NormFace", "norm-softmax")
class NormFace(_ScaledCosines):
    r"""NormFace (https://arxiv.org/abs/1704.06369): softmax on cosines, with a scale that is learned.

    .. math:: L = -\log \frac{e^{s \cos\theta_y}}{\sum_j e^{s \cos\theta_j}}

    The plain softmax of the cosine world: no margin to tune, to compare margins with or to warm up for one.

    Parameters
    ----------
    classes : int
    s : float, default 16
        Scale, or where learning it starts: there the smallest loss that the cosines allow is below 0.01 up to 80,000
        classes (the paper's bound :math:`\log(1 + (C - 1) e^{-s C / (C - 1)})`).
    learned : bool, default True
        Whether s is a parameter of the loss (its weight is not decayed) or stays fixed.
    dtype, weight
        As `FRLoss`.

    Inputs:
        - **output**: cosines (N, C).
        - **label**: (N,), float32 or int32.
    Outputs:
        - **loss**: (N,).
    """

    def __init__(self, classes, s=16.0, learned=True, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, dtype, weight, **kwargs)
        self.s = scale(self, s)
        if flag(self, "learned", learned):
            self.scale = self.params.get("scale", shape=(1,), init=init.Constant(self.s), dtype=self._dtype, wd_mult=0.0)


@LOSSES.register("AdaCos")
class AdaCos(_ScaledCosines):
    r"""AdaCos (https://arxiv.org/abs/1905.00292): softmax on cosines, with a scale that nobody has to tune.

    .. math:: s_0 = \sqrt 2 \log(C - 1), \quad s_{t+1} = \frac{\log B_t}{\cos(\min(\pi / 4, \theta_{med}))}, \quad
        B_t = \frac 1 N \sum_i \sum_{j \ne y_i} e^{s_t \cos\theta_{ij}}

    :math:`\theta_{med}` is the median angle between the features of the batch and their own class. The scale is never below
    1, which the formula gives for very few classes. It is computed by `loss.step()` from the batch just trained on, over all
    devices, and serves the next one. For new data, before any scale is known to work.

    Parameters
    ----------
    classes : int
    dynamic : bool, default True
        False keeps :math:`s_0`, the paper's fixed AdaCos.
    dtype, weight
        As `FRLoss`.

    Inputs:
        - **output**: cosines (N, C).
        - **label**: (N,), float32 or int32.
    Outputs:
        - **loss**: (N,).
    """

    watches_others = True

    def __init__(self, classes, dynamic=True, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(classes, dtype, weight, **kwargs)
        self.s = max(1.0, math.sqrt(2) * math.log(max(self._classes - 1, 1)))
        self.advances = flag(self, "dynamic", dynamic)
        if self.advances:
            self.scale = self.params.get("scale", shape=(1,), init=init.Constant(self.s), dtype=self._dtype, grad_req="null")

    def watch(self, F, cos_y, others, embedding):
        return others, cos_y

    def step(self, embeddings=None, labels=None) -> None:
        if self.advances:
            sums, cos_y = self.gather()
            angles, count = nd.sort(nd.arccos(nd.clip(cos_y, -1, 1))), len(cos_y)
            median = angles[(count - 1) // 2 : count // 2 + 1].mean()
            log_b = exact_log_sum_exp(nd, sums.reshape((1, -1))) - math.log(count)
            move(self.scale, nd.maximum(log_b / nd.cos(nd.minimum(median, math.pi / 4)), 1))
        super().step(embeddings, labels)
