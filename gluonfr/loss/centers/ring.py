from __future__ import annotations

from typing import Any

import mxnet as mx
from mxnet import autograd, nd

from gluonfr.core import check_number, is_number
from gluonfr.loss.base.arguments import check_initializer
from gluonfr.loss.base.functions import cross_entropy, row_norm
from gluonfr.loss.base.loss import set_state
from gluonfr.loss.base.output import SoftmaxAndEmbedding
from gluonfr.loss.registry import LOSSES


@LOSSES.register("RingLoss", "ring")
class RingLoss(SoftmaxAndEmbedding):
    r"""Softmax and ring loss (https://arxiv.org/abs/1803.00130): embeddings of one length R, which is learned.

    .. math:: L = L_{softmax} + \frac{\lambda}{2} (\|x\| - R)^2

    R is a Parameter for the Trainer, without weight decay. By default it is set to the mean norm of the first batch after that
    batch; until then it is 0, which means unset, and the ring term is left out. Use it where a hard normalization hinders
    training.

    Parameters
    ----------
    lamda : float, default 0.01
        Weight of the ring term; the paper finds little difference between 0.001 and 0.1.
    r_init : float, Initializer or str, optional
        Initial R, where it is known, such as 20 or ``mx.init.Constant(20)``.
    classes : int, optional
        C; by default the number of columns of the output.
    dtype, weight
        See `FRLoss`.

    Inputs and outputs as `SoftmaxAndEmbedding`; call `step` after each `trainer.step`, of which only the first has an effect.

    Examples
    --------
    >>> import mxnet as mx
    >>> loss = RingLoss(2, 3)
    >>> loss.initialize()
    >>> loss(mx.nd.zeros((1, 4)), mx.nd.array([1]), mx.nd.array([[3, 4]])).asnumpy().round(3)
    array([5.386], dtype=float32)
    """

    _classes_are_optional = True

    def __init__(
        self,
        lamda: float = 0.01,
        r_init: Any = None,
        classes: int | None = None,
        dtype: str = "float32",
        weight: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, None, dtype, weight, **kwargs)
        self.lamda = check_number("lamda", lamda, minimum=0, owner=self)
        if is_number(r_init):
            r_init = mx.init.Constant(check_number("r_init", r_init, minimum=0, owner=self))
        start = check_initializer(self, "r_init", r_init, mx.init.Zero())
        with self.name_scope():
            self.R = self.params.get("R", shape=(1,), init=start, dtype=self.dtype, wd_mult=0.0)

    def hybrid_forward(self, F: Any, output: Any, label: Any, embedding: Any, R: Any) -> Any:
        """Return the losses (N,)."""
        off = F.square(F.broadcast_sub(row_norm(F, embedding), R))
        return cross_entropy(F, output, F.reshape(label, shape=(-1,))) + 0.5 * self.lamda * F.broadcast_mul(off, R > 0)

    def batch_statistics(self, *inputs: Any, **named: Any) -> tuple[Any, ...]:
        """Return the norms of the embeddings (N,)."""
        return (row_norm(nd, inputs[2].detach()),)

    def step(self, embeddings: Any = None, labels: Any = None, gather: Any = None) -> None:
        """Set R after the first batch; later calls have no effect.

        Parameters
        ----------
        embeddings, labels : list of NDArray, optional
            Inputs of the loss in this step, with one entry per device; by default what was recorded since the last step.
        gather : callable, optional
            Concatenates an array (N, ...) over all processes, where several train one network.
        """
        if embeddings is not None:
            self._statistics.clear()
            with autograd.pause():
                for embedding in [embeddings] if isinstance(embeddings, nd.NDArray) else embeddings:
                    self._statistics.append(self.batch_statistics(None, None, embedding))
        super().step(gather=gather)

    def advance(self, *statistics: Any) -> None:
        """Set R to the mean norm unless it is set."""
        context = self.R.list_ctx()[0]
        old = self.R.data(context)
        mean = statistics[0].as_in_context(context).astype(self.R.dtype).mean().reshape((1,))
        set_state(self.R, nd.where(old > 0, old, mean))
