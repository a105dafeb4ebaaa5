from __future__ import annotations

import os

import cv2
import mxnet as mx
import numpy as np

from gluonfr.core import WeightsError, check_number
from gluonfr.detection.anchors import anchor_grid, decode_boxes, decode_landmarks, flatten_outputs
from gluonfr.detection.boxes import suppress, to_batch
from gluonfr.detection.detector import SMALLEST_FACE, Detections, FaceDetector
from gluonfr.detection.retinaface_network import RetinaFaceNetwork
from gluonfr.detection.saved import DetectorCard, load_detector

# The network's coarsest stride: with other sizes the feature maps could not be added.
_MULTIPLE = 32
# The longest side at which the largest anchor still finds a face that fills the image.
_LONGEST = 1024
_MOST = 1000
# Detections that overlap a better one by more than this part are of the same face.
OVERLAP = 0.4
# exp() of a larger difference overflows float32.
_LARGEST_LOGIT = 80


class RetinaFace(FaceDetector):
    """Find faces and landmarks of all sizes with one network, RetinaFace (https://arxiv.org/abs/1905.00641).

    Parameters
    ----------
    weights : path, or (RetinaFaceNetwork, DetectorCard)
        Folder of a detector that `gluonfr train-detector` trained, or of InsightFace's `mnet.25-symbol.json` and
        `mnet.25-0000.params`; or a network on `ctx` and its card, as `load_detector` returns them.
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
        weights: str | os.PathLike | tuple[RetinaFaceNetwork, DetectorCard] | None = None,
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
        self._net, card = weights if isinstance(weights, tuple) else load_detector(weights, self._ctx)
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
        return found.select(suppress(found.boxes, found.scores, OVERLAP))

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
        anchors = anchor_grid(image.shape[0], image.shape[1], self._anchors)
        return decode_faces(logits[0], boxes[0], landmarks[0], anchors, self._threshold)


def decode_faces(
    logits: np.ndarray, boxes: np.ndarray, landmarks: np.ndarray, anchors: np.ndarray, threshold: float
) -> Detections:
    """Return the faces at the anchors with a sufficient score, in the order of the anchors; several may be of one face.

    Parameters
    ----------
    logits : np.ndarray, (2, A)
        Of background and face.
    boxes, landmarks : np.ndarray, (A, 4) and (A, 10)
        Shifts relative to the anchors.
    anchors : np.ndarray, (A, 3)
        From `anchor_grid`.
    threshold : float
        Minimum score.

    Examples
    --------
    >>> decode_faces(np.zeros((2, 1)), np.zeros((1, 4)), np.zeros((1, 10)), np.array([[8.0, 8, 16]]), 0.5).boxes
    array([[ 0.,  0., 16., 16.]])
    """
    scores = 1 / (1 + np.exp(np.minimum(logits[0] - logits[1], _LARGEST_LOGIT)))
    found = np.flatnonzero(scores >= threshold)
    at = anchors[found]
    return Detections(decode_boxes(boxes[found], at), scores[found], decode_landmarks(landmarks[found], at))
