import collections
import logging
import numbers

import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import HybridBlock

from gluonfr.core import GluonFRError

logger = logging.getLogger(__name__)

# So many training passes on one device without a step are not an accumulation of gradients: the loop forgets `step`.
_PATIENCE = 20


class FRLoss(HybridBlock):
    """Base of the losses: what they take, and what is checked before they compute.

    A loss says what it eats in class attributes, from which a training run builds network and head:

    - `eats`: 'cosine' (both norms of the classifier on), 'logits', or 'embedding';
    - `weight_norm`, `feature_norm`: the classifier's norms;
    - `needs_embedding`: whether the third argument is used;
    - `needs_groups`, `whole_batch`: batches of P people with K images each, and those of all devices together;
    - `takes`: 'pairs' or 'triplets', for losses on given ones;
    - `outputs`: how many rows the classifier has;
    - `check_finite`: whether a loss that is not finite is refused. It is read for this, which waits for the network: on a GPU
      only outside of `autograd.record()`, so that devices do not wait for each other. A loop that reads its losses itself
      sets it to False.

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
        For wrong shapes, integer outputs, float16 labels, labels that are no whole number in 0..C-1, and outputs or embeddings
        with which the loss is not finite (checked on arrays; a symbol has none).
    """

    eats = "logits"
    weight_norm = False
    feature_norm = False
    needs_embedding = False
    check_finite = True

    def __init__(self, classes, dtype="float32", weight=None, **kwargs):
        # Arguments that gluon-face's losses inherit from Gluon's: accepted where they say what is done anyway.
        for name, only in (("axis", -1), ("sparse_label", True), ("from_logits", False), ("batch_axis", 0)):
            if kwargs.pop(name, only) != only:
                raise GluonFRError(f"{type(self).__name__}: {name} can only be {only!r} here.")
        super().__init__(**kwargs)
        if isinstance(classes, bool) or not isinstance(classes, (int, np.integer)) or classes < 2:
            raise GluonFRError(f"classes is a whole number of at least 2, got {classes!r}.")
        if weight is not None and not within(weight, -np.inf, np.inf):
            raise GluonFRError(f"{type(self).__name__}: weight is a finite number, or None, got {weight!r}.")
        self._classes = int(classes)
        self._dtype = dtype
        self._weight = weight
        self._advances = type(self).step is not FRLoss.step
        self._seen = collections.deque(maxlen=64)
        self._passes = collections.Counter()

    @property
    def outputs(self):
        """Columns of the output that the loss wants, that is rows of the classifier."""
        return self._classes

    def __call__(self, output, label, *args, sample_weight=None):
        if self.needs_embedding and not args:
            raise GluonFRError(f"{type(self).__name__} needs the embedding as its third argument.")
        arrays = isinstance(output, nd.NDArray)
        if arrays:
            self._check(output, label)
            if self.needs_embedding and (args[0].ndim != 2 or args[0].shape[0] != output.shape[0]):
                raise GluonFRError(
                    f"{type(self).__name__}: embedding has shape {args[0].shape}, expected ({output.shape[0]}, size), "
                    "one row a sample."
                )
            self._check_parameters(output.context)
            output, *args = (self._precise(each) for each in (output, *args))
            if self._advances and autograd.is_recording():
                self._note(output, label, *args)
        loss = super().__call__(output, label, *args)
        if arrays and self.check_finite and (loss.context.device_type == "cpu" or not autograd.is_recording()):
            self._check_finite(output, label, *args, loss)
        if arrays and sample_weight is not None and sample_weight.size != loss.size:
            raise GluonFRError(
                f"{type(self).__name__}: sample_weight has shape {sample_weight.shape}, expected ({loss.size},), one a sample."
            )
        if self._weight is not None:
            loss = loss * self._weight
        return loss if sample_weight is None else loss * sample_weight.reshape((-1,))

    def _check(self, output, label):
        name = type(self).__name__
        if output.ndim != 2 or output.shape[1] != self.outputs:
            raise GluonFRError(f"{name}: output has shape {output.shape}, expected (batch, {self.outputs}); check `classes`.")
        if np.dtype(output.dtype).kind != "f":
            raise GluonFRError(f"{name}: output is {np.dtype(output.dtype).name}, expected floating point.")
        check_label(self, label, output.shape[0], self._classes)

    def _check_finite(self, *arrays):
        """Refuse NaN and infinity in what was given or what came of it, before they spoil the parameters for good.

        The loss alone does not tell: MXNet's softmax and a hinge pass over a NaN that their gradients do not.
        """
        with autograd.pause():
            # A matrix product sums rows many times as fast as MXNet's sum does.
            flat = [each.reshape((each.shape[0], -1)) for each in arrays if np.dtype(each.dtype).kind == "f"]
            sums = [nd.dot(each, nd.ones((each.shape[1], 1), ctx=each.context, dtype=each.dtype)) for each in flat]
        rows = np.isfinite([each.asnumpy().ravel() for each in sums]).all(axis=0)
        if not rows.all():
            raise GluonFRError(
                f"{type(self).__name__}: {(~rows).sum()} of {len(rows)} samples have numbers that are not finite, the first is "
                f"row {int(np.argmin(rows))}; check the images, or lower the learning rate or the scale."
            )

    def _check_parameters(self, context):
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

    def _note(self, *given):
        with autograd.pause():
            self._seen.append(self.observe(nd, *given))
        self._passes[given[0].context] += 1
        if self._passes[given[0].context] == _PATIENCE:
            self._passes.clear()
            if not self.__dict__.get("_warned"):
                self._warned = True
                logger.warning(
                    "%s was trained on %d batches without a step(): call loss.step() once after every trainer.step(), or its "
                    "state stays as it is.",
                    type(self).__name__,
                    _PATIENCE,
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
        return [nd.concat(*(part.as_in_context(context) for part in parts), dim=0) for parts in zip(*self._seen)]

    def step(self, embeddings=None, labels=None):
        """Advance the state that training moves, once per training step, after the parameters' update; most losses have none.

        Parameters
        ----------
        embeddings, labels : list of NDArray, optional
            What the loss was given in this step, one entry a device: (N_k, D) and (N_k,). Only losses that move class
            centres ask for them.
        """
        self._seen.clear()
        self._passes.clear()


def check_label(loss, label, rows, classes=None):
    """Refuse labels that are not (rows,), not exact, not whole numbers, or outside 0..classes-1.

    pick and its kin clip a label that is out of range and train on garbage. Labels come from the loader, so that reading
    them waits for no computation of the network.
    """
    name = type(loss).__name__
    if not isinstance(label, nd.NDArray) or label.shape not in ((rows,), (rows, 1)):
        raise GluonFRError(f"{name}: label has shape {getattr(label, 'shape', None)}, expected ({rows},), one label a sample.")
    if np.dtype(label.dtype) == np.float16:
        raise GluonFRError(f"{name}: label is float16, which is exact to 2048 only; keep labels float32 or int32.")
    values = label.asnumpy().ravel()
    wrong = values[~((values >= 0) & (values < (np.inf if classes is None else classes)))]
    if wrong.size:
        least = "is no label" if classes is None else f"is outside 0..{classes - 1}"
        raise GluonFRError(f"{name}: label {wrong[0]:g} {least}; check the data and `classes`.")
    if values.dtype.kind == "f" and (values != np.floor(values)).any():
        wrong = values[values != np.floor(values)][0]
        raise GluonFRError(f"{name}: label {wrong:g} is no whole number; check the data.")


def within(value, least, below, open_end=False):
    """Whether an argument is a number in [least, below), or in (least, below) with `open_end`; never for NaN."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (numbers.Real, np.number)):
        return False
    return least < value < below or (value == least and not open_end and abs(value) < float("inf"))


def move(parameter, value):
    """Set a state parameter (1,) on all its devices; a value that is not finite, from a broken batch, is left out."""
    parameter.set_data(nd.where(nd.contrib.isfinite(value), value, parameter.data(value.context)))


def row_norm(F, x):
    """Euclidean norms of the rows, (N, D) -> (N,), with a finite gradient at 0."""
    return F.sqrt(F.maximum(F.sum(F.square(x), axis=1), 1e-12))


def cross_entropy(F, logits, label):
    """-log softmax(logits)[label]: logits (N, C), label (N,) -> (N,)."""
    return -F.pick(F.log_softmax(logits, axis=1), label, axis=1)


def replace_target(F, logits, label, target, classes):
    """logits (N, C) with the entry of each row's label replaced by target (N,), differentiable in both.

    As an exported or static symbol it serves any batch size, which `scatter_nd` does not, and in float32 it is exact at
    any class count, which taking the target's term out of the log-sum-exp is not.
    """
    row = F.contrib.arange_like(label, axis=0).astype("int64")
    flat = F.contrib.index_copy(
        F.reshape(logits, shape=(-1, 1)), row * classes + label.astype("int64"), F.reshape(target, shape=(-1, 1))
    )
    return F.reshape(flat, shape=(-1, classes))
