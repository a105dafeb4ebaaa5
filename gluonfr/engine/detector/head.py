from __future__ import annotations

from typing import Any, Sequence

from mxnet import autograd, nd
from mxnet.gluon import Block

from gluonfr.detection.matching import CLASS, FACE
from gluonfr.detection.multibox_loss import MultiBoxLoss
from gluonfr.engine.distributed.group import Group


class DetectorHead(Block):
    """The loss of a detector on each device: ``head(outputs, targets) -> losses``, lists with one entry per device.

    The losses of all devices and ranks are divided by the mean number of anchors on faces per image of the whole batch, so that
    a step does not depend on how the batch is divided.

    Parameters
    ----------
    loss : MultiBoxLoss
    group : Group, optional
        The processes that train together.

    Inputs:
        - **outputs**: list of the nine outputs of `RetinaFaceNetwork`.
        - **targets**: list of (N_k, A, 16).
    Outputs:
        - **losses**: list of (N_k,).

    Examples
    --------
    >>> import mxnet as mx
    >>> head = DetectorHead(MultiBoxLoss())
    >>> targets = nd.zeros((2, 2, 16))
    >>> head.begin(head.gather_labels(targets)[0], 0)
    >>> outputs = [nd.zeros((2, channels, 1, 1)) for channels in (4, 8, 20)]
    >>> [losses.shape for losses in head([outputs], [targets])]
    [(2,)]
    """

    own_parameters = shards = classifier_weights = ()

    def __init__(self, loss: MultiBoxLoss, group: Group | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._group = group or Group()
        self._positives = 1.0
        with self.name_scope():
            self.loss = loss

    def forward(self, outputs: Sequence[Any], targets: Sequence[Any]) -> Any:
        """Return the losses of all devices."""
        return [
            self.loss(list(output), target, nd.full((1,), self._positives, ctx=target.context))
            for output, target in zip(outputs, targets)
        ]

    def gather_labels(self, labels: Any) -> tuple[float, list[int]]:
        """Return the mean number of anchors on faces per image over all ranks, and the number of images per rank."""
        faces = float((labels[:, :, CLASS] == FACE).sum().asscalar())
        sums, counts = zip(*self._group.gather_values([faces, labels.shape[0]]))
        return max(1.0, sum(sums) / sum(counts)), list(counts)

    def expect_passes(self, passes: int) -> None:
        """Declare how many training passes a step has; this head does not depend on it."""

    def begin(self, labels: float, step_number: int) -> None:
        """Prepare a training step; `labels` is the mean number of anchors on faces per image."""
        self._positives = labels

    def backward(self, losses: Any, scale: float = 1.0) -> None:
        """Compute the gradients of the losses of the last pass, times `scale`."""
        autograd.backward(losses, None if scale == 1 else [nd.full(loss.shape, scale, loss.context) for loss in losses])

    def step(self) -> None:
        """End a training step; the loss has no state."""

    def discard(self) -> None:
        """End a step that was skipped; the loss has no state."""
