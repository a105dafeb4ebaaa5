from __future__ import annotations

from typing import Any

import numpy as np

from gluonfr.core import UsageError, check_number
from gluonfr.loss.base.batch_pairs import safe_sqrt
from gluonfr.loss.base.input_checks import check_column
from gluonfr.loss.base.spec import LossSpec
from gluonfr.loss.base.tuples import TupleLoss
from gluonfr.loss.registry import LOSSES


@LOSSES.register("ContrastiveLoss", "contrastive")
class ContrastiveLoss(TupleLoss):
    r"""Contrastive loss on given pairs (http://yann.lecun.com/exdb/publis/pdf/hadsell-chopra-lecun-06.pdf).

    .. math:: L = \frac12 y D^2 + \frac12 (1 - y) \max(0, m - D)^2, \quad D = \|x_0 - x_1\|

    Use it for given pairs; where labels are known, the losses on whole batches learn more from each batch.

    Parameters
    ----------
    margin : float, default 1
        m, the distance from which on a pair of two people has loss 0; between unit vectors distances are in [0, 2].
    dtype, weight
        See `FRLoss`.

    Inputs:
        - **embedding0**, **embedding1**: (N, D), usually of unit length.
        - **issame**: (N,), 1 for a pair of one person, else 0; floats, integers or booleans.
        - **sample_weight**: (N,), keyword only, optional.
    Outputs:
        - **loss**: (N,). At D = 0 the gradient is 0.

    Examples
    --------
    >>> import mxnet as mx
    >>> a, b = mx.nd.array([[0, 0], [0, 0]]), mx.nd.array([[3, 4], [0, 0.5]])
    >>> ContrastiveLoss(margin=1)(a, b, mx.nd.array([1, 0])).asnumpy().tolist()
    [12.5, 0.125]
    """

    spec = LossSpec("pairs", feature_norm=True, batch="identities")
    _label_position = 2

    def __init__(self, margin: float = 1.0, dtype: str = "float32", weight: float | None = None, **kwargs: Any) -> None:
        super().__init__(dtype, weight, **kwargs)
        self.margin = check_number("margin", margin, above=0, owner=self)

    def check_inputs(self, *inputs: Any) -> tuple[Any, ...]:
        """Return the embeddings and `issame` in their type."""
        if len(inputs) != 3:
            self.reject_inputs("(embedding0, embedding1, issame)", len(inputs))
        embedding0, embedding1, issame = inputs
        self.check_embeddings(embedding0, embedding1)
        check_column(self, "issame", issame, embedding0.shape[0])
        values = issame.asnumpy()
        wrong = values[~((values == 0) | (values == 1))]
        if wrong.size:
            raise UsageError(f"ContrastiveLoss: issame must be 1 or 0 for every pair, got {wrong[0]:g}.")
        return embedding0, embedding1, issame.astype(np.promote_types(embedding0.dtype, self.dtype).name)

    def hybrid_forward(self, F: Any, embedding0: Any, embedding1: Any, issame: Any) -> Any:
        """Return the losses (N,)."""
        same = F.reshape(issame, shape=(-1,))
        square = F.sum(F.square(embedding0 - embedding1), axis=1)
        short = F.square(F.relu(self.margin - safe_sqrt(F, square)))
        return 0.5 * (same * square + (1 - same) * short)
