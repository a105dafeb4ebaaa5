from __future__ import annotations

import mxnet as mx
import numpy as np

from gluonfr.align.image_checks import check_between, in_photo, need_rgb, shrink_photo
from gluonfr.core import GluonFRError
from gluonfr.detection.boxes import as_batch, cut_boxes, shift_boxes, square_boxes, suppress
from gluonfr.detection.mtcnn_weights import load_nets
from gluonfr.detection.pyramid import pyramid, windows

# What P-Net looks at: windows of 12 pixels, 2 apart.
_WINDOW, _STRIDE = 12, 2
# Fewer pixels of a face than this do not tell it from other things.
_SMALLEST = 20
# Windows that go on to the next network at most, the best ones; a photo of leaves has tens of thousands that resemble faces.
_MOST = 1000
# Windows of one size that are compared with each other, before most are dropped because they show the same.
_MOST_WINDOWS = 8000
_BATCH = 256


class MTCNN:
    """Finds faces and their landmarks with three networks, each looking closer at what the one before let through.

    The method of https://arxiv.org/abs/1604.02878.

    Parameters
    ----------
    weights : path, optional
        As `load_nets` says; default the installed package `mtcnn`.
    ctx : Context, default CPU
    min_size : float, optional
        Side in pixels of the photo of the smallest face to look for; default a 28th of the photo (of the square with as
        many pixels), at least 20. Half of it costs about four times the time.
    thresholds : three floats in 0..1, default (0.6, 0.7, 0.8)
        Score from which each network lets a window through.
    factor : float, default 0.709
        Ratio of the sizes of face that are looked for, one after the other.
    max_pixels : int, default 1,500,000
        A larger photo is shrunk to as many pixels before it is searched, which bounds time and memory. Faces of fewer than
        20 pixels in the shrunk photo are not found.
    """

    def __init__(
        self, weights=None, ctx=None, min_size=None, thresholds=(0.6, 0.7, 0.8), factor=0.709, max_pixels=1_500_000
    ) -> None:
        if not isinstance(thresholds, (list, tuple)) or len(thresholds) != 3:
            raise GluonFRError(f"thresholds must be three numbers, one for each network, got {thresholds!r}.")
        self._thresholds = tuple(check_between("thresholds", each, 0, 1) for each in thresholds)
        self._factor = check_between("factor", factor, 0.1, 0.95)
        self._min_size = None if min_size is None else check_between("min_size", min_size, 1, 1e6)
        self._max_pixels = check_between("max_pixels", max_pixels, 1e4, 1e9)
        self._ctx = ctx or mx.cpu()
        self._nets = load_nets(weights, self._ctx)
        for net in self._nets:
            net.hybridize(static_alloc=True)

    def detect(self, image):
        """Boxes, scores and landmarks of all faces in a photo.

        Parameters
        ----------
        image : uint8 (H, W, 3) array or NDArray
            RGB.

        Returns
        -------
        boxes : float32 (n, 4)
            x0, y0, x1, y1 in pixels of the photo; they may reach beyond it.
        scores : float32 (n,)
            In 0..1, largest first.
        landmarks : float32 (n, 5, 2)
            x and y of left eye, right eye, nose, left and right corner of the mouth, as seen in the photo.
        """
        image = need_rgb(image)
        small, ratio = shrink_photo(image, self._max_pixels)
        return in_photo(self._finish(small, self._refine(small, self._propose(small, ratio))), ratio)

    def _run(self, net, batch):
        return [each.asnumpy() for each in net(mx.nd.array(batch, ctx=self._ctx))]

    def _run_filled(self, net, batch):
        """`_run` on a batch filled up to one of few sizes: oneDNN takes milliseconds to prepare for a new one."""
        count = len(batch)
        size = next(size for power in range(2, 64) for size in (2**power, 3 * 2 ** (power - 1)) if size >= count)
        filled = np.zeros((size, *batch.shape[1:]), np.float32)
        filled[:count] = batch
        return [each[:count] for each in self._run(net, filled)]

    def _scales(self, image, ratio):
        """Factors to shrink the image by, so that the faces looked for fill a window."""
        shorter = min(image.shape[:2])
        least = np.sqrt(image.shape[0] * image.shape[1]) / 28 if self._min_size is None else self._min_size / max(ratio)
        largest = _WINDOW / max(least, _SMALLEST)
        count = np.floor(np.log(max(shorter * largest / _WINDOW, 1e-9)) / -np.log(self._factor)) + 1
        return [largest * self._factor**number for number in range(int(max(count, 0)))]

    def _propose(self, image, ratio):
        """Squares (n, 4) that P-Net takes for faces."""
        scales = self._scales(image, ratio)
        if not scales:
            return np.empty((0, 4), np.float32)
        canvas, places = pyramid(image, scales)
        scores, shifts = self._run(self._nets[0], as_batch([canvas]))
        found = np.concatenate([self._windows(image, scores[0, 0], shifts[0], place) for place in places])
        return square_boxes(found[suppress(found[:, :4], found[:, 4], 0.7)[:_MOST], :4])

    def _windows(self, image, scores, shifts, place):
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

    def _look(self, net, image, boxes, side, threshold):
        """What a network says of the image in each box, without what it rejects; and those boxes."""
        parts = [np.empty((0, size), np.float32) for size in ((1, 4) if side == 24 else (1, 4, 10))]
        outputs = [parts]
        for start in range(0, len(boxes), _BATCH):
            outputs.append(self._run_filled(net, cut_boxes(image, boxes[start : start + _BATCH], side)))
        scores, *rest = (np.concatenate(each) for each in zip(*outputs))
        keep = scores[:, 0] >= threshold
        return (boxes[keep], scores[keep, 0], *(each[keep] for each in rest))

    def _refine(self, image, boxes):
        boxes, scores, shifts = self._look(self._nets[1], image, boxes, 24, self._thresholds[1])
        keep = suppress(boxes, scores, 0.7)
        return square_boxes(shift_boxes(boxes[keep], shifts[keep]))

    def _finish(self, image, boxes):
        boxes, scores, shifts, marks = self._look(self._nets[2], image, boxes, 48, self._thresholds[2])
        size = (boxes[:, 2:] - boxes[:, :2])[:, None]
        landmarks = boxes[:, None, :2] + marks.reshape(-1, 2, 5).transpose(0, 2, 1) * size
        boxes = shift_boxes(boxes, shifts)
        keep = suppress(boxes, scores, 0.7, of_smaller=True)
        return boxes[keep], scores[keep], landmarks[keep]
