from __future__ import annotations

import os
from typing import Any

import cv2
import mxnet as mx
import numpy as np

from gluonfr.core import WeightsError, check_number, require_file
from gluonfr.detection.boxes import suppress, to_batch
from gluonfr.detection.detector import SMALLEST_FACE, Detections, FaceDetector
from gluonfr.weights.symbol_block import build_symbol_block
from gluonfr.weights.symbol_file import load_symbol

_SYMBOL, _PARAMS = "mnet.25-symbol.json", "mnet.25-0000.params"
# Stride of each part of the output, and the sides of the two anchors at each of its places, in pixels.
_ANCHORS = ((32, (512, 256)), (16, (128, 64)), (8, (32, 16)))
# The anchors of all strides are centered on a first place of 16x16 pixels.
_CENTER = 8
# The network's coarsest stride: with other sizes the feature maps could not be added.
_MULTIPLE = 32
# The longest side at which the largest anchor still finds a face that fills the image.
_LONGEST = 1024
_MOST = 1000


class RetinaFace(FaceDetector):
    """Find faces and landmarks of all sizes with one network, RetinaFace with MobileNet-0.25.

    The method of https://arxiv.org/abs/1905.00641.

    Parameters
    ----------
    weights : path
        Folder of `mnet.25-symbol.json` and `mnet.25-0000.params`.
    ctx : mx.Context, default CPU
    min_size, max_pixels : number, optional
        See :class:`FaceDetector`.
    threshold : float in 0..1, default 0.5
        Minimum score of a face.

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
        threshold: float = 0.5,
        max_pixels: int | None = None,
    ) -> None:
        super().__init__(ctx, min_size, max_pixels)
        self._threshold = check_number("threshold", threshold, 0, 1)
        self._net = _load(weights, self._ctx)

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
        outputs = [output.asnumpy()[0] for output in self._net(mx.nd.array(to_batch([image]), ctx=self._ctx))]
        parts = [self._decode(outputs[3 * i : 3 * i + 3], *anchors) for i, anchors in enumerate(_ANCHORS)]
        found = Detections(*(np.concatenate(arrays) for arrays in zip(*parts)))
        best = found.select(np.argsort(-found.scores, kind="stable")[:_MOST])
        ratio = np.array([width / size[0], height / size[1]], np.float32)
        return Detections(best.boxes * np.tile(ratio, 2), best.scores, best.landmarks * ratio)

    def _decode(self, output: list[np.ndarray], stride: int, sides: tuple[int, int]) -> Detections:
        """Faces in one part of the output: scores (4, h, w), background first; shifts (8, h, w); marks (20, h, w)."""
        scores, shifts, marks = output
        anchor, row, column = np.nonzero(scores[2:] >= self._threshold)
        shifts = shifts.reshape(2, 4, *shifts.shape[1:])[anchor, :, row, column]
        marks = marks.reshape(2, 5, 2, *marks.shape[1:])[anchor, :, :, row, column]
        side = np.array(sides, np.float32)[anchor, None]
        anchors = np.stack([column, row], 1) * np.float32(stride) + _CENTER
        centers = anchors + shifts[:, :2] * side
        half = np.exp(shifts[:, 2:]) * side / 2
        boxes = np.hstack([centers - half, centers + half])
        return Detections(boxes, scores[2:][anchor, row, column], anchors[:, None] + marks * side[:, None])


def _load(folder: str | os.PathLike | None, ctx: mx.Context) -> Any:
    if folder is None:
        raise WeightsError(
            f"detector 'retinaface': its weights are not included; name the folder of {_SYMBOL} and {_PARAMS} as "
            "'retinaface=FOLDER', or use 'mtcnn'."
        )
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    symbol, params = (require_file(os.path.join(folder, name), "RetinaFace network") for name in (_SYMBOL, _PARAMS))
    net = build_symbol_block(load_symbol(symbol), params, (_MULTIPLE, _MULTIPLE), ctx)
    outputs = net(mx.nd.zeros((1, 3, _MULTIPLE, _MULTIPLE), ctx=ctx))
    shapes = [output.shape for output in outputs] if isinstance(outputs, (list, tuple)) else [outputs.shape]
    expected = [(1, channels, _MULTIPLE // stride, _MULTIPLE // stride) for stride, _ in _ANCHORS for channels in (4, 8, 20)]
    if shapes != expected:
        raise WeightsError(f"{symbol} is not RetinaFace with MobileNet-0.25; fetch the files of that network.")
    return net
