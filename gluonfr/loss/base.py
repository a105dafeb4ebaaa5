from __future__ import annotations

import collections
import logging

import numpy as np
from mxnet import autograd, nd, symbol
from mxnet.gluon import HybridBlock

from gluonfr.core import GluonFRError
from gluonfr.loss.arguments import number, precision, whole
from gluonfr.loss.checks import check_column, check_label, check_rows, nan_unless_finite

logger = logging.getLogger(__name__)

# So many training passes on one device without a step are not an accumulation of gradients: the loop forgets `step`.
_PATIENCE = 20


class FRLoss(HybridBlock):
    """Base of the losses: what they take, and what is checked before they compute.

    A loss says what it input_kind in class attributes, from which a training run builds network and head:

    - `input_kind`: 'cosine' (both norms of the classifier on), 'logits', or 'embedding';
    - `weight_norm`, `feature_norm`: the classifier's norms;
    - `needs_embedding`: whether the third argument is used;
    - `needs_groups`, `whole_batch`: batches of P people with K images each, and those of all devices together;
    - `takes`: 'pairs' or 'triplets', for losses on given ones;
    - `outputs`: how many rows the classifier has.

    A loss with state that training moves overrides `step` (calling this one too) and keeps the state in Parameters with
    `grad_req='null'`: so it is saved with the others, lies on every device and is read by hybridized graphs. What `step`
    has to know of the batch, `observe` takes from each training pass.

    Parameters
    ----------
    classes : int
        Number of identities C; labels must lie in 0..C-1.
    dtype : str, default 'float32'
        Outputs of lower precision are raised to it before the loss is computed. Labels are never lowered.
    weight : float, default None
        Multiplies the loss.

    Inputs:
        - **output**: (N, C), what the network's classifier gives.
        - **label**: (N,), float32 or int32.
        - **embedding**: (N, D), third positional argument, for the losses that need it.
        - **sample_weight**: (N,), keyword only, multiplies the loss of each sample.
    Outputs:
        - **loss**: (N,).

    Raises
    ------
    GluonFRError
        For arguments outside the paper's domain, wrong shapes, integer outputs, labels of a type that is not exact, and labels
        outside 0..C-1 or not whole, which the operators would clip and train on.

    What is checked is checked on arrays, also when hybridized; a symbol, as within another hybridized block, has no values
    and few shapes. A NaN or an infinity in what the loss is given makes the loss of its sample NaN, or infinite, so that a
    run that watches the loss hears of it: nothing is raised, since that would wait for the device.
    """

    input_kind = "logits"
    weight_norm = False
    feature_norm = False
    needs_embedding = False
    _embedding_size = None
    # What brings an array (N,) of every process together, where several train one network.
    join = None

    def __init__(self, classes, dtype="float32", weight=None, **kwargs) -> None:
        # Arguments that gluon-face's losses inherit from Gluon's: accepted where they say what is done anyway.
        for name, only in (("axis", -1), ("sparse_label", True), ("from_logits", False), ("batch_axis", 0)):
            if kwargs.pop(name, only) != only:
                raise GluonFRError(f"{type(self).__name__}: {name} can only be {only!r} here.")
        for name in kwargs:
            if name not in ("prefix", "params"):
                raise GluonFRError(f"{type(self).__name__} has no argument {name!r}; help({type(self).__name__}) lists them.")
        super().__init__(**kwargs)
        self._classes = whole(self, "classes", classes, 2)
        self._dtype = precision(self, dtype)
        self._weight = None if weight is None else number(self, "weight", weight)
        self.advances = type(self).step is not FRLoss.step
        self._patience, self._seen = _PATIENCE, collections.deque(maxlen=64)
        self._passes = collections.Counter()

    @property
    def outputs(self):
        """Columns of the output that the loss wants, that is rows of the classifier."""
        return self._classes

    def __call__(self, output, label, *args, sample_weight=None):
        if self.needs_embedding and not args:
            raise GluonFRError(f"{type(self).__name__} needs the embedding as its third argument.")
        if len(args) > 1:
            raise GluonFRError(f"{type(self).__name__} takes (output, label, embedding), got {2 + len(args)} arrays.")
        if isinstance(output, symbol.Symbol):
            return self._weighed(super().__call__(output, label, *args), sample_weight)
        self._check(output, label)
        if self.needs_embedding:
            check_rows(self, "embedding", args[0], output.shape[0], self._embedding_size)
        if sample_weight is not None:
            check_column(self, "sample_weight", sample_weight, output.shape[0])
        self._check_parameters(output.context)
        output, *args = (self._precise(each) for each in (output, *args))
        sample_weight = None if sample_weight is None else sample_weight.astype(output.dtype, copy=False)
        if self.advances and autograd.is_recording():
            self._note(output, label, *args)
        loss = self._weighed(super().__call__(output, label, *args), sample_weight)
        # Comparisons, clips and some softmax kernels lose a NaN or an infinity on the way; training must hear of it.
        matrices = [each for each in (output, label, *args) if each.ndim == 2 and np.dtype(each.dtype).kind == "f"]
        return sum((nan_unless_finite(each).astype(loss.dtype, copy=False) for each in matrices), loss)

    def _weighed(self, loss, sample_weight):
        if self._weight is not None:
            loss = loss * self._weight
        return loss if sample_weight is None else loss * sample_weight.reshape((-1,))

    def _check(self, output, label) -> None:
        check_rows(self, "output", output, None, self.outputs, "check `classes`")
        check_label(self, label, output.shape[0], self._classes)

    def _check_parameters(self, context) -> None:
        for parameter in self._reg_params.values():
            try:
                contexts = parameter.list_ctx()
            except RuntimeError:
                contexts = []
            if context not in contexts:
                raise GluonFRError(
                    f"{type(self).__name__}: its parameter {parameter.name} is not on {context}; call loss.initialize(ctx=...) "
                    "with every device of the training first."
                )

    def _precise(self, array):
        """Raised to the loss's dtype; where parameters take part, brought to it: MXNet does not mix."""
        low = np.dtype(array.dtype).itemsize < np.dtype(self._dtype).itemsize
        return array.astype(self._dtype, copy=False) if low or self._reg_params else array

    def _note(self, *given) -> None:
        with autograd.pause():
            self._seen.append(self.observe(nd, *given))
        self._passes[given[0].context] += 1
        if self._passes[given[0].context] == self._patience:
            self._passes.clear()
            if not self.__dict__.get("_warned"):
                self._warned = True
                logger.warning(
                    "%s was trained on %d batches without a step(): call loss.step() once after every trainer.step(), or its "
                    "state stays as it is.",
                    type(self).__name__,
                    self._patience,
                )

    def observe(self, F, output, label, embedding=None):
        """What `step` needs of a batch: a tuple of small arrays (N,), or nothing. Called at every training pass."""
        return ()

    def gather(self):
        """What `observe` took since the last step, in order, each joined over all passes and devices: a list of (N,)."""
        if not self._seen:
            raise GluonFRError(
                f"{type(self).__name__}.step() follows a training pass; call the loss on arrays under autograd.record() before."
            )
        context = self._seen[0][0].context
        joined = [nd.concat(*(part.as_in_context(context) for part in parts), dim=0) for parts in zip(*self._seen)]
        return joined if self.join is None else [self.join(each) for each in joined]

    def step(self, embeddings=None, labels=None) -> None:
        """Advance the state that training moves, once per training step, after the parameters' update; most losses have none.

        Parameters
        ----------
        embeddings, labels : list of NDArray, optional
            What the loss was given in this step, one entry a device: (N_k, D) and (N_k,). Only losses that move class
            centers ask for them.
        """
        self.forget()

    def forget(self) -> None:
        """In place of `step` where a training step was not taken: drop what was seen of it."""
        self._seen.clear()
        self._passes.clear()

    def expect(self, passes) -> None:
        """Say that a training step has so many passes, over all devices, before `step` follows."""
        self._patience = _PATIENCE * passes
        self._seen = collections.deque(self._seen, maxlen=max(64, 2 * passes))


def move(parameter, value) -> None:
    """Set a state parameter (1,) on all its devices; a value that is not finite, from a broken batch, is left out."""
    parameter.set_data(nd.where(nd.contrib.isfinite(value), value, parameter.data(value.context)))


def row_norm(F, x):
    """Euclidean norms of the rows, (N, D) -> (N,), with a finite gradient at 0."""
    return F.sqrt(F.maximum(F.sum(F.square(x), axis=1), 1e-12))


def cross_entropy(F, logits, label):
    """-log softmax(logits)[label]: logits (N, C), label (N,) -> (N,)."""
    return -F.pick(F.log_softmax(logits, axis=1), label, axis=1)


def replace_target(F, logits, label, target, classes):
    """Logits (N, C) with the entry of each row's label replaced by target (N,), differentiable in both.

    As an exported or static symbol it serves any batch size, which `scatter_nd` does not, and in float32 it is exact at
    any class count, which taking the target's term out of the log-sum-exp is not.
    """
    row = F.contrib.arange_like(label, axis=0).astype("int64")
    flat = F.contrib.index_copy(
        F.reshape(logits, shape=(-1, 1)), row * classes + label.astype("int64"), F.reshape(target, shape=(-1, 1))
    )
    return F.reshape(flat, shape=(-1, classes))
