from __future__ import annotations

import os
from typing import Any

import mxnet as mx
import numpy as np

from gluonfr.core import UsageError, check_number
from gluonfr.detection.boxes import crop_boxes, shift_boxes, square_boxes, suppress, to_batch
from gluonfr.detection.detector import Detections, FaceDetector
from gluonfr.detection.mtcnn_weights import load_networks
from gluonfr.detection.pyramid import pyramid, windows

# P-Net classifies windows of 12 pixels, 2 pixels apart.
_WINDOW, _STRIDE = 12, 2
# Maximum number of windows passed to the second stage; a photo of leaves has tens of thousands that resemble faces.
_MOST = 1000
# Maximum number of windows of one size that are compared with each other, before most are dropped as duplicates.
_MOST_WINDOWS = 8000
_BATCH = 256
# Rows of the image pyramid that P-Net sees at a time.
_STRIP = 512


class MTCNN(FaceDetector):
    """Find faces and landmarks with three networks, each refining the candidates of the one before.

    The method of https://arxiv.org/abs/1604.02878.

    Parameters
    ----------
    weights : path, optional
        Folder of the files of weights, see :func:`gluonfr.detection.mtcnn_weights.load_networks`. Default: those of the
        installed package `mtcnn`.
    ctx : mx.Context, default CPU
    min_size, max_pixels : number, optional
        See :class:`FaceDetector`.
    thresholds : three floats in 0..1, default (0.6, 0.7, 0.8)
        Minimum score in each stage.
    factor : float, default 0.709
        Ratio between successive sizes of the image pyramid.

    Raises
    ------
    UsageError
        An option is out of range.
    WeightsError
        The weights are missing or damaged.

    Examples
    --------
    >>> detector = MTCNN(thresholds=(0.6, 0.7, 0.9))
    >>> detector.detect(np.zeros((60, 80, 3), np.uint8)).scores
    array([], dtype=float32)
    """

    def __init__(
        self,
        weights: str | os.PathLike | None = None,
        ctx: mx.Context | None = None,
        min_size: float | None = None,
        thresholds: tuple[float, float, float] = (0.6, 0.7, 0.8),
        factor: float = 0.709,
        max_pixels: int | None = None,
    ) -> None:
        super().__init__(ctx, min_size, max_pixels)
        if not isinstance(thresholds, (list, tuple)) or len(thresholds) != 3:
            raise UsageError(f"thresholds must be three numbers, one for each stage, got {thresholds!r}.")
        self._thresholds = tuple(check_number("thresholds", threshold, 0, 1) for threshold in thresholds)
        self._factor = check_number("factor", factor, 0.1, 0.95)
        self._proposal_net, self._refine_net, self._output_net = load_networks(weights, self._ctx)
        for net in (self._proposal_net, self._refine_net, self._output_net):
            net.hybridize(static_alloc=True)

    def _search(self, image: np.ndarray, min_size: float) -> Detections:
        boxes = self._first_stage(image, min_size)
        return self._third_stage(image, self._second_stage(image, boxes))

    def _first_stage(self, image: np.ndarray, min_size: float) -> np.ndarray:
        """Squares (n, 4) in which P-Net, which slides over the image pyramid, sees faces."""
        scales = self._scales(image, min_size)
        if not scales:
            return np.empty((0, 4), np.float32)
        canvas, places = pyramid(image, scales)
        scores, shifts = self._propose(canvas)
        found = np.concatenate([self._windows(image, scores[0, 0], shifts[0], place) for place in places])
        return square_boxes(found[suppress(found[:, :4], found[:, 4], 0.7)[:_MOST], :4])

    def _second_stage(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        """Squares (n, 4) that R-Net accepts, refined."""
        boxes, scores, shifts, _ = self._classify(self._refine_net, image, boxes, 24, self._thresholds[1])
        keep = suppress(boxes, scores, 0.7)
        return square_boxes(shift_boxes(boxes[keep], shifts[keep]))

    def _third_stage(self, image: np.ndarray, boxes: np.ndarray) -> Detections:
        """Faces that O-Net accepts, with landmarks."""
        boxes, scores, shifts, marks = self._classify(self._output_net, image, boxes, 48, self._thresholds[2])
        size = (boxes[:, 2:] - boxes[:, :2])[:, None]
        landmarks = boxes[:, None, :2] + marks.reshape(-1, 2, 5).transpose(0, 2, 1) * size
        boxes = shift_boxes(boxes, shifts)
        return Detections(boxes, scores, landmarks).select(suppress(boxes, scores, 0.7, of_smaller=True))

    def _scales(self, image: np.ndarray, min_size: float) -> list[float]:
        """Scales of the image at which faces of at least `min_size` pixels fill a window."""
        largest = _WINDOW / min_size
        count = np.floor(np.log(max(min(image.shape[:2]) * largest / _WINDOW, 1e-9)) / -np.log(self._factor)) + 1
        return [largest * self._factor**number for number in range(int(max(count, 0)))]

    def _propose(self, canvas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run P-Net on a canvas, in strips where it is large, which bounds memory."""
        if canvas.shape[0] <= 2 * _STRIP:
            scores, shifts = self._run(self._proposal_net, to_batch([canvas]))
            return scores, shifts
        height, width = ((length - _WINDOW) // _STRIDE + 1 for length in canvas.shape[:2])
        scores, shifts = (np.zeros((1, channels, height, width), np.float32) for channels in (1, 4))
        for top in range(0, canvas.shape[0], _STRIP):
            # The windows of the last rows reach into the next strip.
            strip = canvas[top : top + _STRIP + _WINDOW - _STRIDE]
            if len(strip) < _WINDOW:
                break
            for whole, part in zip((scores, shifts), self._run(self._proposal_net, to_batch([strip]))):
                rows = whole[:, :, top // _STRIDE :][:, :, : _STRIP // _STRIDE]
                rows[...] = part[:, :, : rows.shape[2], :width]
        return scores, shifts

    def _windows(self, image: np.ndarray, scores: np.ndarray, shifts: np.ndarray, place: tuple) -> np.ndarray:
        """Boxes and scores (n, 5) from one size of the image on the canvas; windows that reach beyond it do not count."""
        rows, columns = windows(place, _WINDOW, _STRIDE)
        scores, shifts = scores[rows, columns], shifts[:, rows, columns]
        row, column = np.nonzero(scores >= self._thresholds[0])
        if len(row) > _MOST_WINDOWS:
            best = np.argsort(-scores[row, column], kind="stable")[:_MOST_WINDOWS]
            row, column = row[best], column[best]
        corners = np.stack([column, row], 1) * np.float32(_STRIDE)
        ratio = np.array([image.shape[1] / place[2], image.shape[0] / place[3]] * 2, np.float32)
        boxes, scores = np.hstack([corners, corners + _WINDOW]) * ratio, scores[row, column]
        keep = suppress(boxes, scores, 0.5)[:_MOST]
        return np.hstack([shift_boxes(boxes[keep], shifts[:, row[keep], column[keep]].T), scores[keep, None]])

    def _classify(
        self, net: Any, image: np.ndarray, boxes: np.ndarray, side: int, threshold: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the boxes that a network accepts, with scores (n,), shifts (n, 4) and landmarks (n, 10) or (n, 0)."""
        outputs = []
        for start in range(0, len(boxes), _BATCH):
            scores, shifts, *marks = self._run_filled(net, crop_boxes(image, boxes[start : start + _BATCH], side))
            outputs.append((scores, shifts, marks[0] if marks else scores[:, :0]))
        if not outputs:
            none = np.empty((0, 10), np.float32)
            return boxes, none[:, 0], none[:, :4], none
        all_scores, all_shifts, all_marks = (np.concatenate(parts) for parts in zip(*outputs))
        keep = all_scores[:, 0] >= threshold
        return boxes[keep], all_scores[keep, 0], all_shifts[keep], all_marks[keep]

    def _run(self, net: Any, batch: np.ndarray) -> list[np.ndarray]:
        return [output.asnumpy() for output in net(mx.nd.array(batch, ctx=self._ctx))]

    def _run_filled(self, net: Any, batch: np.ndarray) -> list[np.ndarray]:
        """Run the network on a batch filled up to one of few sizes: oneDNN prepares for a new size in milliseconds."""
        count = len(batch)
        size = next(size for power in range(2, 64) for size in (2**power, 3 * 2 ** (power - 1)) if size >= count)
        filled = np.zeros((size, *batch.shape[1:]), np.float32)
        filled[:count] = batch
        return [output[:count] for output in self._run(net, filled)]
