from mxnet.gluon import Block

from gluonfr.nn import NormDense


class PlainHead(Block):
    """Classifier and loss on each device: `head(embeddings, labels) -> losses`, lists with one entry a device.

    Parameters
    ----------
    loss : gluonfr.loss.FRLoss
        Says by its attributes which norms the classifier needs.
    classes, embedding_size : int

    Inputs:
        - **embeddings**: list of (N_k, D).
        - **labels**: list of (N_k,).
    Outputs:
        - **losses**: list of (N_k,).
    """

    def __init__(self, loss, classes, embedding_size, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.classifier = NormDense(classes, loss.weight_norm, loss.feature_norm, in_units=embedding_size)
            self.loss = loss
        self._last = None, None

    def forward(self, embeddings, labels):
        self._last = [each.detach() for each in embeddings], labels
        losses = []
        for embedding, label in zip(embeddings, labels):
            third = (embedding,) if self.loss.needs_embedding else ()
            losses.append(self.loss(self.classifier(embedding), label, *third))
        return losses

    def step(self):
        """Advance the loss's own state; once per training step."""
        self.loss.step(*self._last)
