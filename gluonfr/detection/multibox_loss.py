from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock

from gluonfr.core import check_integer, check_number
from gluonfr.detection.anchors import flatten_outputs
from gluonfr.detection.matching import BACKGROUND, BOX, CLASS, FACE, HAS_LANDMARKS, LANDMARKS

# Shifts are divided by these before they are compared, so that position and size count alike.
_CENTER_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2


class MultiBoxLoss(HybridBlock):
    """Loss of RetinaFace (https://arxiv.org/abs/1905.00641): faces against background, boxes, and landmarks.

    The classification is softmax cross-entropy over all anchors on faces and the hardest ones on background, `negatives` times
    as many. Boxes and landmarks are compared by smooth L1 on the anchors on faces, landmarks only where the face has them.

    With random weights, the hardest anchors on background are those beside the faces, which the network cannot distinguish from
    the faces yet, and it does not learn for thousands of steps. `DetectorRun` uses all of the background, also for a detector
    that has learned already, where both were about equally good.

    Parameters
    ----------
    negatives : int, optional, default 7
        Background anchors per anchor on a face (https://arxiv.org/abs/1512.02325); at least that many per image. None: all.
    box_weight, landmark_weight : float, default 1 and 0.25
        `DetectorRun` uses 0.25 and 0.1, which leave more of the gradient to the classification.

    Inputs
        - **outputs**: the nine outputs of `RetinaFaceNetwork`.
        - **targets**: (N, A, 16) from `match_anchors`.
        - **positives**: (1,) mean number of anchors on faces per image of the batch, over all devices; at least 1.

    Outputs
        - (N,) the losses of the images, whose mean is the loss of the batch per anchor on a face.

    Examples
    --------
    >>> import mxnet as mx
    >>> loss = MultiBoxLoss()
    >>> outputs = [mx.nd.zeros((1, channels, 1, 1)) for channels in (4, 8, 20)]
    >>> losses = loss(outputs, mx.nd.zeros((1, 2, 16)), mx.nd.ones((1,)))  # two background anchors of log(2)
    >>> round(float(losses.asscalar()), 4)
    1.3863
    """

    def __init__(
        self, negatives: int | None = 7, box_weight: float = 1.0, landmark_weight: float = 0.25, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.negatives = None if negatives is None else check_integer("negatives", negatives, 1)
        self.box_weight = check_number("box_weight", box_weight, 0)
        self.landmark_weight = check_number("landmark_weight", landmark_weight, 0)

    def __repr__(self) -> str:
        return f"MultiBoxLoss(negatives={self.negatives}, box_weight={self.box_weight}, landmark_weight={self.landmark_weight})"

    def hybrid_forward(self, F: Any, outputs: Any, targets: Any, positives: Any) -> Any:
        """Return the losses (N,)."""
        logits, boxes, landmarks = flatten_outputs(outputs, F)

        def columns(part: slice | int) -> Any:
            begin, end = (part.start, part.stop) if isinstance(part, slice) else (part, part + 1)
            return F.slice_axis(targets, axis=2, begin=begin, end=end)

        kind = F.reshape(columns(CLASS), shape=(0, -1))
        is_face, is_background = kind == FACE, kind == BACKGROUND
        face_loss, background_loss = _cross_entropies(F, logits)
        hardest = is_background
        if self.negatives is not None:
            hardest = self._hardest(F, background_loss, is_face, is_background)
        shift = F.concat(
            F.ones_like(F.slice_axis(boxes, axis=2, begin=0, end=2)) / _CENTER_VARIANCE,
            F.ones_like(F.slice_axis(boxes, axis=2, begin=2, end=4)) / _SIZE_VARIANCE,
            dim=2,
        )
        box_loss = F.smooth_l1((boxes - columns(BOX)) * shift, scalar=1.0).sum(axis=2)
        mark_loss = F.smooth_l1((landmarks - columns(LANDMARKS)) / _CENTER_VARIANCE, scalar=1.0).sum(axis=2)
        marked = F.reshape(columns(HAS_LANDMARKS), shape=(0, -1))
        total = is_face * (face_loss + self.box_weight * box_loss) + hardest * background_loss
        total = total + self.landmark_weight * marked * mark_loss
        return F.broadcast_div(total.sum(axis=1), positives)

    def _hardest(self, F: Any, losses: Any, is_face: Any, is_background: Any) -> Any:
        """Return 1 for the background anchors with the largest losses of each image, 0 for all others."""
        # Ignored anchors and faces come last, below every loss.
        order = F.argsort(F.BlockGrad(losses * is_background + is_background - 1), axis=1, is_ascend=False)
        rank = F.argsort(order, axis=1)
        count = self.negatives * F.maximum(is_face.sum(axis=1, keepdims=True), 1)
        return F.BlockGrad(F.broadcast_lesser(rank, count) * is_background)


def _cross_entropies(F: Any, logits: Any) -> tuple[Any, Any]:
    """Return -log p(face) and -log p(background) of all anchors, (N, A)."""
    background, face = (F.reshape(F.slice_axis(logits, axis=1, begin=i, end=i + 1), shape=(0, -1)) for i in (0, 1))
    difference = face - background
    return F.Activation(-difference, act_type="softrelu"), F.Activation(difference, act_type="softrelu")
