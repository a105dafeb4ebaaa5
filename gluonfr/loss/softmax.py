"""Softmax cross-entropy, on logits and on scaled features."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from gluonfr.core import check_flag, check_number
from gluonfr.loss.base.classifier import ClassifierLoss
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.registry import LOSSES


@LOSSES.register("SoftmaxLoss", "softmax", "SoftmaxCrossEntropyLoss", "SoftmaxCELoss")
class SoftmaxLoss(ClassifierLoss):
    """Softmax cross-entropy on logits. Use it to warm a network up before a margin loss.

    Parameters
    ----------
    classes : int
        Number of classes C.
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **output**: logits (N, C).
        - **label**: (N,), float32 or int32.
        - **sample_weight**: (N,), keyword only, optional.
    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> import mxnet as mx
    >>> SoftmaxLoss(classes=4)(mx.nd.zeros((1, 4)), mx.nd.array([2])).asnumpy().round(4)
    array([1.3863], dtype=float32)
    """


@LOSSES.register("L2Softmax", "l2", "L2SoftmaxLoss")
class L2Softmax(ClassifierLoss):
    r"""L2-constrained softmax (https://arxiv.org/abs/1703.09507): the feature is on a sphere of radius :math:`\alpha`.

    .. math:: L = -\log \frac{e^{\alpha w_y \cdot \hat x}}{\sum_j e^{\alpha w_j \cdot \hat x}}, \quad \hat x = x / \|x\|

    The weights are free, so the network has `feature_norm` on and `weight_norm` off. A gentle start for small batches and
    for the first epochs of a long run.

    Parameters
    ----------
    classes : int
        Number of classes C.
    alpha : float, optional
        Radius. By default the paper's lower bound :math:`\log\frac{p (C - 2)}{1 - p}` for which a sample can reach
        probability `p`, and at least 1.
    p : float, default 0.9
        That probability, 0 < p < 1; used when `alpha` is not given.
    from_normx : bool, default True
        Whether the network has normalized the feature. With False the loss divides the logits by the norm of the embedding,
        which is then the third input.
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **output**: logits (N, C).
        - **label**: (N,), float32 or int32.
        - **embedding**: (N, D), not normalized; only with ``from_normx=False``.
    Outputs:
        - **loss**: (N,).

    Examples
    --------
    >>> round(L2Softmax(classes=1000).alpha, 2)
    9.1
    """

    spec = LossSpec("logits", feature_norm=True)

    def __init__(
        self,
        classes: int,
        alpha: float | None = None,
        p: float = 0.9,
        from_normx: bool = True,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, dtype, weight, **kwargs)
        self.p = check_number("p", p, above=0, below=1, owner=self)
        bound = max(1.0, math.log(self.p * max(self.classes - 2, 1) / (1 - self.p)))
        self.alpha = bound if alpha is None else check_number("alpha", alpha, above=0, owner=self)
        self.from_normx = check_flag("from_normx", from_normx, self)
        self.spec = dataclasses.replace(self.spec, feature_norm=self.from_normx, needs_embedding=not self.from_normx)

    def logit_scale(self, F: Any, norm: Any = None, *args: Any, **state: Any) -> Any:
        """Return alpha, divided by the norm of the embedding where it is given."""
        return self.alpha if norm is None else self.alpha / norm


L2SoftmaxLoss = L2Softmax
