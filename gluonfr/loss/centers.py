from __future__ import annotations

import mxnet as mx
import numpy as np
from mxnet import autograd, nd

from gluonfr.core import GluonFRError
from gluonfr.loss.arguments import initializer, whole
from gluonfr.loss.checks import check_label, check_rows


class ClassCenters:
    """For losses with a center c_j for each class that the Trainer leaves alone: `step` moves it by the paper's rule.

    .. math:: c_j \\leftarrow c_j - \\alpha \\frac{\\sum_{i: y_i = j} (c_j - x_i)}{1 + n_j}

    over the samples of all devices. Centers lie in a Parameter with `grad_req='null'`: saved and loaded with the others, equal
    on every device, without weight decay.
    """

    def _add_centers(self, weight_initializer) -> None:
        with self.name_scope():
            self.centers = self.params.get(
                "centers",
                shape=(self._classes, whole(self, "embedding_size", self._embedding_size)),
                dtype=self._dtype,
                init=initializer(self, weight_initializer, mx.init.Xavier(magnitude=2.24)),
                differentiable=False,
                wd_mult=0.0,
            )

    def observe(self, F, output, label, embedding=None):
        return embedding.detach(), label.reshape((-1,))

    def step(self, embeddings=None, labels=None) -> None:
        """Move the centers of the classes seen; once per training step, after the Trainer's.

        Parameters
        ----------
        embeddings, labels : list of NDArray, optional
            What the loss was given in this step, one entry a device: (N_k, D) and (N_k,). By default what it saw since the
            last step.
        """
        if (embeddings is None) != (labels is None):
            raise GluonFRError(f"{type(self).__name__}.step takes embeddings and labels, or neither.")
        if embeddings is None:
            embedding, label = self.gather()
            embeddings, labels = [embedding], [label]
        elif isinstance(embeddings, nd.NDArray):
            embeddings, labels = [embeddings], [labels]
        for embedding, label in zip(embeddings, labels):
            check_rows(self, "embedding", embedding, None, self._embedding_size)
            check_label(self, label, embedding.shape[0], self._classes)
        with autograd.pause():
            self._move(embeddings, labels)
        super().step(embeddings, labels)

    def _move(self, embeddings, labels) -> None:
        context = self.centers.list_ctx()[0]
        x = nd.concat(*[each.detach().as_in_context(context).astype(self.centers.dtype) for each in embeddings], dim=0)
        y = np.concatenate([each.asnumpy().ravel() for each in labels]).astype(np.int64)
        seen, place, counts = np.unique(y, return_inverse=True, return_counts=True)
        member = nd.array(place[None, :] == np.arange(len(seen))[:, None], ctx=context, dtype=self.centers.dtype)
        count = nd.array(counts[:, None], ctx=context, dtype=self.centers.dtype)
        rows = nd.array(seen, ctx=context, dtype="int64")
        old = nd.take(self.centers.data(context), rows, axis=0)
        new = old - self.alpha * (count * old - nd.dot(member, x)) / (1 + count)
        # A batch with a number that is none must not end a class for good.
        new = nd.where(nd.contrib.isfinite(new), new, old)
        for each in self.centers.list_ctx():
            self.centers.data(each)[rows.as_in_context(each)] = new.as_in_context(each)
