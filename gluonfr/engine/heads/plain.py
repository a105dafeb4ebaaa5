from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import Block

from gluonfr.engine.distributed.group import Group
from gluonfr.engine.heads.labels import gather_labels
from gluonfr.engine.heads.tuples import form_pairs, form_triplets
from gluonfr.nn import NormDense

if TYPE_CHECKING:
    from typing import Sequence

    import mxnet as mx
    from mxnet.gluon import Parameter

    from gluonfr.loss.base.loss import FRLoss


def make_head(loss: FRLoss, classes: int, embedding_size: int, group: Group | None = None) -> PlainHead:
    """Return the head that a loss needs.

    It is a `GatheringHead` where the loss of a sample depends on other samples of the batch, else a `PlainHead`.

    Parameters
    ----------
    loss : gluonfr.loss.FRLoss
        Its `spec.batch` declares whether samples are compared.
    classes, embedding_size : int
    group : Group, optional
        The processes that train together. Each compares the images of its own part of a batch.

    Returns
    -------
    PlainHead or GatheringHead

    Examples
    --------
    >>> from gluonfr.loss import get_loss
    >>> type(make_head(get_loss("arc", classes=10), 10, 16)).__name__
    'PlainHead'
    >>> type(make_head(get_loss("BatchHardTriplet"), 10, 16)).__name__
    'GatheringHead'
    """
    return (GatheringHead if loss.spec.compares_samples else PlainHead)(loss, classes, embedding_size, group)


class PlainHead(Block):
    """Classifier and loss on each device: ``head(embeddings, labels) -> losses``, lists with one entry per device.

    Parameters
    ----------
    loss : gluonfr.loss.FRLoss
        Its `spec` declares the input, the rows and norms of the classifier, and whether embeddings are normalized where there
        is no classifier.
    classes, embedding_size : int
    group : Group, optional
        The processes that train together; the state of the loss is updated from all of them.

    Inputs:
        - **embeddings**: list of (N_k, D).
        - **labels**: list of (N_k,).
    Outputs:
        - **losses**: list of (N_k,).

    Attributes
    ----------
    classifier : NormDense or None
        None for a loss on embeddings.
    own_parameters, shards : tuple
        Parameters that only one device has: none.

    Examples
    --------
    >>> from gluonfr.loss import get_loss
    >>> head = PlainHead(get_loss("arc", classes=3), 3, 4)
    >>> head.initialize()
    >>> [loss.shape for loss in head([nd.ones((2, 4))], [nd.array([0, 2])])]
    [(2,)]
    """

    own_parameters = shards = ()

    def __init__(self, loss: FRLoss, classes: int, embedding_size: int, group: Group | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._group = group or Group()
        with self.name_scope():
            self.classifier = None
            if loss.spec.uses_classifier:
                norms = loss.spec.weight_norm, loss.spec.feature_norm
                self.classifier = NormDense(loss.outputs or classes, *norms, in_units=embedding_size)
            self.loss = loss
        self._last: tuple[list[Any], list[Any]] = [], []

    def forward(self, embeddings: Sequence[mx.nd.NDArray], labels: Sequence[mx.nd.NDArray]) -> list[mx.nd.NDArray]:
        """Return the losses of all devices."""
        embeddings = self._take(embeddings, labels)
        return [self._compute(embedding, label) for embedding, label in zip(embeddings, labels)]

    @property
    def classifier_weights(self) -> list[Parameter]:
        """Parameters whose weight decay is multiplied by the factor for classifiers."""
        return [] if self.classifier is None else [self.classifier.weight]

    def gather_labels(self, labels: Any) -> tuple[Any, list[int]]:
        """Return the labels of the batches of all ranks as `begin` needs them, and the number of images per rank."""
        return gather_labels(self._group, [labels])

    def expect_passes(self, passes: int) -> None:
        """Declare how many training passes a step has, over all devices of this process."""
        self.loss.expect_passes(passes)

    def begin(self, labels: np.ndarray, step_number: int) -> None:
        """Prepare a training step; this head needs no preparation."""

    def backward(self, losses: Sequence[mx.nd.NDArray], scale: float = 1.0) -> None:
        """Compute the gradients of the losses of the last pass, times `scale`."""
        autograd.backward(losses, None if scale == 1 else [nd.full(loss.shape, scale, loss.context) for loss in losses])

    def step(self) -> None:
        """Advance the state of the loss; call it once per training step."""
        embeddings, labels = self._last
        self._last = [], []
        self.loss.step(embeddings, labels, self._gather if self._group.size > 1 else None)

    def _gather(self, array: Any) -> Any:
        return self._group.gather(array, "state")

    def discard(self) -> None:
        """Discard the statistics of a step that was skipped; call it instead of `step`."""
        self._last = [], []
        self.loss.discard_statistics()

    def _take(self, embeddings: Any, labels: Any) -> Any:
        """Return the embeddings as the loss expects them; `step` gets the same ones."""
        if self.classifier is None and self.loss.spec.feature_norm:
            embeddings = [nd.L2Normalization(embedding, mode="instance") for embedding in embeddings]
        if autograd.is_recording():
            for kept, new in zip(self._last, ([embedding.detach() for embedding in embeddings], labels)):
                kept.extend(new)
        return embeddings

    def _compute(self, embedding: mx.nd.NDArray, label: mx.nd.NDArray) -> mx.nd.NDArray:
        if self.classifier is None:
            return self.loss(embedding, label)
        return self.loss(self.classifier(embedding), label, *((embedding,) if self.loss.spec.needs_embedding else ()))


class GatheringHead(PlainHead):
    """A head for losses that compare the images of a batch: it gathers the embeddings of all devices.

    Several devices compute the same loss as one, and gradients flow back to the devices of the embeddings. The first device
    computes the loss for all. Where the classifier or the loss has trainable parameters, every device computes the loss and
    returns its own rows, so that the gradients of these parameters are sums over devices like all others.

    A loss whose input kind is 'pairs' or 'triplets' gets the pairs and triplets of `form_pairs` and `form_triplets`; the loss
    of a sample is the mean over those with the sample as anchor.

    Parameters, inputs and outputs as `PlainHead`.

    Examples
    --------
    >>> from gluonfr.loss import get_loss
    >>> head = GatheringHead(get_loss("BatchHardTriplet"), 3, 4)
    >>> head.initialize()
    >>> [loss.shape for loss in head([nd.ones((4, 4))], [nd.array([0, 0, 2, 2])])]
    [(4,)]
    """

    def __init__(self, loss: FRLoss, classes: int, embedding_size: int, group: Group | None = None, **kwargs: Any) -> None:
        super().__init__(loss, classes, embedding_size, group, **kwargs)
        form_rows: dict[str, Callable[..., Any]] = {"pairs": self._pairs, "triplets": self._triplets}
        self._rows = form_rows.get(loss.spec.input_kind, self._whole_batch)

    def forward(self, embeddings: Sequence[mx.nd.NDArray], labels: Sequence[mx.nd.NDArray]) -> list[mx.nd.NDArray]:
        """Return the losses of all devices."""
        embeddings = self._take(embeddings, labels)
        rows = row_slices(embeddings)
        contexts = [embedding.context for embedding in embeddings]
        if any(parameter.grad_req != "null" for parameter in self.collect_params().values()):
            return [self._rows(*gathered(context, embeddings, labels), own) for context, own in zip(contexts, rows)]
        losses = self._rows(*gathered(contexts[0], embeddings, labels), slice(0, rows[-1].stop))
        return [losses[own].as_in_context(context) for context, own in zip(contexts, rows)]

    def _whole_batch(self, embeddings: Any, labels: Any, own: Any) -> Any:
        return self._compute(embeddings, labels)[own]

    def _triplets(self, embeddings: Any, labels: Any, own: Any) -> Any:
        positives, negatives, weights = (array[own] for array in form_triplets(labels.asnumpy()))
        others = [_pick(embeddings, places) for places in (positives, negatives)]
        return _weigh(self.loss(_repeat(embeddings[own], weights), *others), weights)

    def _pairs(self, embeddings: Any, labels: Any, own: Any) -> Any:
        others, issame, weights = (array[own] for array in form_pairs(labels.asnumpy()))
        issame = nd.array(issame.ravel(), ctx=embeddings.context)
        return _weigh(self.loss(_repeat(embeddings[own], weights), _pick(embeddings, others), issame), weights)


def row_slices(arrays: Sequence[mx.nd.NDArray]) -> list[slice]:
    """Return the rows of each array in the concatenation of all.

    Examples
    --------
    >>> row_slices([nd.zeros((2, 4)), nd.zeros((3, 4))])
    [slice(0, 2, None), slice(2, 5, None)]
    """
    ends = np.cumsum([len(array) for array in arrays]).tolist()
    return [slice(begin, end) for begin, end in zip([0, *ends], ends)]


def gathered(context: mx.Context, *lists: Any) -> Any:
    """Concatenate lists of arrays, which have one array per device, on one device.

    Examples
    --------
    >>> import mxnet as mx
    >>> gathered(mx.cpu(), [nd.zeros((2, 4)), nd.zeros((3, 4))])[0].shape
    (5, 4)
    """
    return [nd.concat(*[part.as_in_context(context) for part in parts], dim=0) for parts in lists]


def _repeat(anchors: Any, weights: Any) -> Any:
    return nd.repeat(anchors, weights.shape[1], axis=0)


def _pick(embeddings: Any, places: Any) -> Any:
    return nd.take(embeddings, nd.array(places.ravel(), ctx=embeddings.context, dtype="int32"), axis=0)


def _weigh(loss: Any, weights: Any) -> Any:
    """Losses (N * T,) with weights (N, T) -> (N,)."""
    return (loss.reshape(weights.shape) * nd.array(weights, ctx=loss.context)).sum(axis=1)
