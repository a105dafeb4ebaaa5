"""NormFace and AdaCos: softmax on cosines, with a scale that is learned or computed."""

from __future__ import annotations

import math
from typing import Any

from mxnet import init, nd

from gluonfr.core import check_flag, check_number
from gluonfr.loss.base.classifier import ClassifierLoss
from gluonfr.loss.base.functions import exact_log_sum_exp
from gluonfr.loss.base.loss import set_state
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.registry import LOSSES


class _ScaledCosines(ClassifierLoss):
    """Base of softmax cross-entropy of cosines times `s`, or times the parameter `scale` where a loss has one.

    Parameters
    ----------
    classes : int
        Number of classes C.
    dtype, weight
        See `FRLoss`.
    """

    spec = LossSpec("cosine", weight_norm=True, feature_norm=True)
    s: float

    def logit_scale(self, F: Any, scale: Any = None, *args: Any, **state: Any) -> Any:
        """Return s, or the parameter."""
        return self.s if scale is None else scale


@LOSSES.register("NormFace", "norm-softmax", "NormFaceLoss")
class NormFace(_ScaledCosines):
    r"""NormFace (https://arxiv.org/abs/1704.06369): softmax on cosines, with a learned scale.

    .. math:: L = -\log \frac{e^{s \cos\theta_y}}{\sum_j e^{s \cos\theta_j}}

    The plain softmax on cosines, without a margin to tune: a baseline for margins, and a warm-up.

    Parameters
    ----------
    classes : int
        Number of classes C.
    s : float, default 16
        Scale, or its initial value where it is learned: there the smallest loss that the cosines allow is below 0.01 for up to
        80,000 classes (the paper's bound :math:`\log(1 + (C - 1) e^{-s C / (C - 1)})`).
    learned : bool, default True
        Whether s is a parameter of the loss, without weight decay, or fixed.
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **output**: cosines (N, C).
        - **label**: (N,), float32 or int32.
    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> NormFace(classes=10, s=30, learned=False)
    NormFace(classes=10, s=30, learned=False, dtype='float32')
    """

    def __init__(
        self,
        classes: int,
        s: float = 16.0,
        learned: bool = True,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, dtype, weight, **kwargs)
        self.s = check_number("s", s, above=0, owner=self)
        self.learned = check_flag("learned", learned, self)
        if self.learned:
            self.scale = self.params.get("scale", shape=(1,), init=init.Constant(self.s), dtype=self.dtype, wd_mult=0.0)


@LOSSES.register("AdaCos", "AdaCosLoss")
class AdaCos(_ScaledCosines):
    r"""AdaCos (https://arxiv.org/abs/1905.00292): softmax on cosines, with a scale that adapts to the training.

    .. math:: s_0 = \sqrt 2 \log(C - 1), \quad s_{t+1} = \frac{\log B_t}{\cos(\min(\pi / 4, \theta_{med}))}, \quad
        B_t = \frac 1 N \sum_i \sum_{j \ne y_i} e^{s_t \cos\theta_{ij}}

    :math:`\theta_{med}` is the median angle between the features of the batch and their own class. The scale is never below
    1, which the formula gives for very few classes. `loss.step()` computes it from the last batch, over all devices, for the
    next one. Use it for new data, before a good scale is known.

    Parameters
    ----------
    classes : int
        Number of classes C.
    dynamic : bool, default True
        False uses :math:`s_0` throughout, the paper's fixed AdaCos.
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **output**: cosines (N, C).
        - **label**: (N,), float32 or int32.
    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> round(AdaCos(classes=1000).s, 2)
    9.77
    """

    spec = LossSpec("cosine", weight_norm=True, feature_norm=True, needs_others=True)

    def __init__(
        self, classes: int, dynamic: bool = True, dtype: str = "float32", weight: float | None = None, **kwargs: Any
    ) -> None:
        super().__init__(classes, dtype, weight, **kwargs)
        self.s = max(1.0, math.sqrt(2) * math.log(max(self.classes - 1, 1)))
        self.advances = self.dynamic = check_flag("dynamic", dynamic, self)
        if self.dynamic:
            self.scale = self.params.get("scale", shape=(1,), init=init.Constant(self.s), dtype=self.dtype, grad_req="null")

    def target_statistics(self, output_y: Any, others: Any, embedding: Any) -> tuple[Any, ...]:
        """Return the log-sum-exp of the other classes and the target's cosine, (N,) each."""
        return others, output_y

    def advance(self, *statistics: Any) -> None:
        """Compute the scale of the next step."""
        sums, cos_y = statistics
        angles, count = nd.sort(nd.arccos(nd.clip(cos_y, -1, 1))), len(cos_y)
        median = angles[(count - 1) // 2 : count // 2 + 1].mean()
        log_b = exact_log_sum_exp(nd, sums.reshape((1, -1))) - math.log(count)
        set_state(self.scale, nd.maximum(log_b / nd.cos(nd.minimum(median, math.pi / 4)), 1))


NormFaceLoss = NormFace
AdaCosLoss = AdaCos
