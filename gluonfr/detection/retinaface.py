from __future__ import annotations

import os

import cv2
import mxnet as mx
import numpy as np

from gluonfr.core import WeightsError, check_number
from gluonfr.detection.anchors import anchor_grid, decode_boxes, decode_landmarks, flatten_outputs
from gluonfr.detection.boxes import suppress, to_batch
from gluonfr.detection.detector import SMALLEST_FACE, Detections, FaceDetector
from gluonfr.detection.saved import load_detector

# The network's coarsest stride: with other sizes the feature maps could not be added.
_MULTIPLE = 32
# The longest side at which the largest anchor still finds a face that fills the image.
_LONGEST = 1024
_MOST = 1000
# exp() of a larger difference overflows float32.
_LARGEST_LOGIT = 80


class RetinaFace(FaceDetector):
    """Find faces and landmarks of all sizes with one network, RetinaFace (https://arxiv.org/abs/1905.00641).

    Parameters
    ----------
    weights : path
        Folder of a detector that `gluonfr train-detector` trained, or of InsightFace's `mnet.25-symbol.json` and
        `mnet.25-0000.params`.
    ctx : mx.Context, default CPU
    min_size, max_pixels : number, optional
        See :class:`FaceDetector`.
    threshold : float in 0..1, optional
        Minimum score of a face; default that of the detector's card, 0.5 for `mnet.25`.

    Raises
    ------
    UsageError
        An option is out of range.
    WeightsError
        The weights are missing, damaged or of another network.

    Examples
    --------
    >>> detector = RetinaFace("weights/mnet025", threshold=0.8)  # doctest: +SKIP
    """

    def __init__(
        self,
        weights: str | os.PathLike | None = None,
        ctx: mx.Context | None = None,
        min_size: float | None = None,
        threshold: float | None = None,
        max_pixels: int | None = None,
    ) -> None:
        super().__init__(ctx, min_size, max_pixels)
        if threshold is not None:
            check_number("threshold", threshold, 0, 1)
        if weights is None:
            raise WeightsError(
                "detector 'retinaface': its weights are not included; name the folder of a trained detector, or of mnet.25, as "
                "'retinaface=FOLDER', or use 'mtcnn'."
            )
        self._net, card = load_detector(weights, self._ctx)
        self._net.hybridize(static_alloc=True)
        self._anchors, self._threshold = card.anchors, card.threshold if threshold is None else threshold

    def _search(self, image: np.ndarray, min_size: float) -> Detections:
        height, width = image.shape[:2]
        scale = min(1, SMALLEST_FACE / min_size)
        parts = [self._search_scaled(image, scale)]
        while max(height, width) * scale > _LONGEST:
            scale /= 4
            parts.append(self._search_scaled(image, scale))
        found = Detections(*(np.concatenate(arrays) for arrays in zip(*parts)))
        return found.select(suppress(found.boxes, found.scores, 0.4))

    def _search_scaled(self, image: np.ndarray, scale: float) -> Detections:
        height, width = image.shape[:2]
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if scale < 1:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        below, right = -image.shape[0] % _MULTIPLE, -image.shape[1] % _MULTIPLE
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0)
        found = self._decode(image)
        best = found.select(np.argsort(-found.scores, kind="stable")[:_MOST])
        ratio = np.array([width / size[0], height / size[1]], np.float32)
        return Detections(best.boxes * np.tile(ratio, 2), best.scores, best.landmarks * ratio)

    def _decode(self, image: np.ndarray) -> Detections:
        """Faces in an image of which the sides are multiples of 32, at every anchor with a sufficient score."""
        batch = mx.nd.array(to_batch([image]), ctx=self._ctx) / 255
        logits, boxes, landmarks = flatten_outputs([output.asnumpy() for output in self._net(batch)])
        scores = 1 / (1 + np.exp(np.minimum(logits[0, 0] - logits[0, 1], _LARGEST_LOGIT)))
        found = np.flatnonzero(scores >= self._threshold)
        anchors = anchor_grid(image.shape[0], image.shape[1], self._anchors)[found]
        return Detections(decode_boxes(boxes[0, found], anchors), scores[found], decode_landmarks(landmarks[0, found], anchors))
