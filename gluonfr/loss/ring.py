from __future__ import annotations

import mxnet as mx
from mxnet import autograd, nd

from gluonfr.loss.arguments import initializer, number
from gluonfr.loss.base import cross_entropy, move, row_norm
from gluonfr.loss.checks import check_rows
from gluonfr.loss.embedding_base import SoftmaxAndEmbedding
from gluonfr.loss.registry import LOSSES


@LOSSES.register("RingLoss", "ring")
class RingLoss(SoftmaxAndEmbedding):
    r"""Softmax and ring loss (https://arxiv.org/abs/1803.00130): embeddings of one length R, which is learned.

    .. math:: L = L_{softmax} + \frac{\lambda}{2} (\|x\| - R)^2

    R is a Parameter for the Trainer, without weight decay. It starts at the mean norm of the first batch: until the first
    `step` it is 0, which means unset, and the ring term is left out. Use it where a hard normalization hinders training.

    Parameters
    ----------
    classes : int, optional
        C; by default as many as the output has columns.
    lamda : float, default 0.01
        Weight of the ring term; the paper finds little difference between 0.001 and 0.1 and takes the middle.
    weight_initializer : Initializer, optional
        For an R that is known from the start, such as Constant(20).

    Inputs and outputs as `SoftmaxAndEmbedding`; call `step` after each `trainer.step`, of which the first one counts.
    """

    def __init__(self, classes=None, lamda=0.01, weight_initializer=None, dtype="float32", weight=None, **kwargs) -> None:
        super().__init__(2 if classes is None else classes, None, dtype, weight, **kwargs)
        self._any_classes = classes is None
        self.lamda = number(self, "lamda", lamda)
        start = initializer(self, weight_initializer, mx.init.Zero())
        with self.name_scope():
            self.R = self.params.get("R", shape=(1,), init=start, dtype=self._dtype, wd_mult=0.0)

    def _check(self, output, label) -> None:
        if self._any_classes:
            check_rows(self, "output", output, None)
            self._classes = max(2, output.shape[1])
        super()._check(output, label)

    def hybrid_forward(self, F, output, label, embedding, R):
        off = F.square(F.broadcast_sub(row_norm(F, embedding), R))
        return cross_entropy(F, output, F.reshape(label, shape=(-1,))) + 0.5 * self.lamda * F.broadcast_mul(off, R > 0)

    def observe(self, F, output, label, embedding=None):
        return (row_norm(F, embedding.detach()),)

    def step(self, embeddings=None, labels=None) -> None:
        """Give R its start after the first batch; later it does nothing.

        Parameters
        ----------
        embeddings, labels : list of NDArray, optional
            What the loss was given in this step, one entry a device; by default what it saw since the last step.
        """
        with autograd.pause():
            context = self.R.list_ctx()[0]
            if embeddings is None:
                norms = self.gather()[0]
            else:
                parts = [embeddings] if isinstance(embeddings, nd.NDArray) else embeddings
                norms = nd.concat(*[row_norm(nd, each.detach()).as_in_context(context) for each in parts], dim=0)
            old = self.R.data(context)
            mean = norms.as_in_context(context).astype(self.R.dtype).mean().reshape((1,))
            move(self.R, nd.where(old > 0, old, mean))
        super().step(embeddings, labels)
