from mxnet import nd
from mxnet.gluon import Block

from gluonfr.core import GluonFRError
from gluonfr.engine.tuples import form_pairs, form_triplets
from gluonfr.nn import NormDense


def make_head(loss, classes, embedding_size):
    """The head that a loss needs: one that gathers where a sample's loss depends on others of the batch, a plain one where
    it does not.

    Parameters
    ----------
    loss : gluonfr.loss.FRLoss
    classes, embedding_size : int

    Returns
    -------
    PlainHead or GatheringHead
    """
    gathers = loss.eats == "embedding" or getattr(loss, "needs_groups", False) or getattr(loss, "whole_batch", False)
    return (GatheringHead if gathers else PlainHead)(loss, classes, embedding_size)


class PlainHead(Block):
    """Classifier and loss on each device: `head(embeddings, labels) -> losses`, lists with one entry a device.

    Parameters
    ----------
    loss : gluonfr.loss.FRLoss
        Says by its attributes which norms the classifier needs, and by `outputs` how many rows if not one a class.
    classes, embedding_size : int

    Inputs:
        - **embeddings**: list of (N_k, D).
        - **labels**: list of (N_k,).
    Outputs:
        - **losses**: list of (N_k,).

    Attributes
    ----------
    classifier : NormDense or None
        None for a loss on embeddings.
    """

    def __init__(self, loss, classes, embedding_size, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.classifier = None
            if loss.eats != "embedding":
                rows = getattr(loss, "outputs", None) or classes
                self.classifier = NormDense(rows, loss.weight_norm, loss.feature_norm, in_units=embedding_size)
            self.loss = loss
        self._last = None

    def forward(self, embeddings, labels):
        outputs, losses = [], []
        for embedding, label in zip(embeddings, labels):
            output, loss = self._compute(embedding, label)
            outputs.append(output)
            losses.append(loss)
        self._remember(embeddings, labels, outputs)
        return losses

    def step(self):
        """Advance the loss's own state; once per training step."""
        self.loss.step(*self._last[:2])

    def _compute(self, embedding, label):
        """What the loss eats, and the loss."""
        if self.classifier is None:
            return embedding, self.loss(embedding, label)
        output = self.classifier(embedding)
        return output, self.loss(output, label, *((embedding,) if self.loss.needs_embedding else ()))

    def _remember(self, embeddings, labels, outputs):
        self._last = [each.detach() for each in embeddings], labels, [each.detach() for each in outputs]


class GatheringHead(PlainHead):
    """For losses in which the images of a batch meet: every device sees the embeddings of all, so that several devices give
    what one gives.

    Each device computes the loss of the whole batch and answers for its own rows, whose gradients flow back to the devices
    that the embeddings came from. That is as fast as one device alone computing it, and parameters of the loss get their
    gradient as all others do, as a sum over devices.

    A loss that `takes` 'pairs' or 'triplets' is given those that `form_pairs` and `form_triplets` form of the batch, and a
    row is the mean over its anchor's.

    Parameters, inputs and outputs as `PlainHead`.
    """

    def __init__(self, loss, classes, embedding_size, **kwargs):
        super().__init__(loss, classes, embedding_size, **kwargs)
        takes = getattr(loss, "takes", None)
        if takes not in (None, "pairs", "triplets"):
            raise GluonFRError(f"{type(loss).__name__} takes {takes!r}; a head forms 'pairs' and 'triplets'.")
        self._rows = {None: self._whole_batch, "pairs": self._pairs, "triplets": self._triplets}[takes]

    def forward(self, embeddings, labels):
        outputs, losses, begin = [], [], 0
        for own in embeddings:
            everybody = nd.concat(*[each.as_in_context(own.context) for each in embeddings], dim=0)
            everyone = nd.concat(*[each.as_in_context(own.context) for each in labels], dim=0)
            output, loss = self._rows(everybody, everyone, begin, begin + len(own))
            outputs.append(output)
            losses.append(loss)
            begin += len(own)
        self._remember(embeddings, labels, outputs)
        return losses

    def _whole_batch(self, embeddings, labels, begin, end):
        output, loss = self._compute(embeddings, labels)
        return output[begin:end], loss[begin:end]

    def _triplets(self, embeddings, labels, begin, end):
        positives, negatives, weights = form_triplets(labels.asnumpy())
        anchors = embeddings[begin:end]
        loss = self.loss(
            nd.repeat(anchors, weights.shape[1], axis=0),
            _pick(embeddings, positives[begin:end]),
            _pick(embeddings, negatives[begin:end]),
        )
        return anchors, _weigh(loss, weights[begin:end])

    def _pairs(self, embeddings, labels, begin, end):
        others, issame, weights = form_pairs(labels.asnumpy())
        anchors = embeddings[begin:end]
        loss = self.loss(
            nd.repeat(anchors, weights.shape[1], axis=0),
            _pick(embeddings, others[begin:end]),
            nd.array(issame[begin:end].ravel(), ctx=embeddings.context),
        )
        return anchors, _weigh(loss, weights[begin:end])


def _pick(embeddings, places):
    return nd.take(embeddings, nd.array(places.ravel(), ctx=embeddings.context, dtype="int32"), axis=0)


def _weigh(loss, weights):
    """Losses (N * T,) with weights (N, T) -> (N,)."""
    return (loss.reshape(weights.shape) * nd.array(weights, ctx=loss.context)).sum(axis=1)
