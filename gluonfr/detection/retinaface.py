from __future__ import annotations

import os
import warnings

import cv2
import mxnet as mx
import numpy as np

from gluonfr.align.image_checks import check_between, in_photo, need_rgb, shrink_photo
from gluonfr.core import GluonFRError, require_file
from gluonfr.detection.boxes import as_batch, suppress

_SYMBOL, _PARAMS = "mnet.25-symbol.json", "mnet.25-0000.params"
# Stride of each part of the output, and the sides of the two squares at each of its places, in pixels.
_ANCHORS = ((32, (512, 256)), (16, (128, 64)), (8, (32, 16)))
# The squares of all strides are centered on a first place of 16x16 pixels.
_CENTER = 8
# The network's coarsest stride: other sizes would not fit when its parts are added.
_MULTIPLE = 32
# The smallest face that the smallest square still finds, and the longest side in which the largest square finds the largest.
_SMALLEST, _LONGEST = 20, 1024
_MOST = 1000


class RetinaFace:
    """Finds faces and their landmarks of all sizes with one network, RetinaFace with MobileNet-0.25.

    The method of https://arxiv.org/abs/1905.00641.

    Parameters
    ----------
    weights : path
        Folder of `mnet.25-symbol.json` and `mnet.25-0000.params`.
    ctx : Context, default CPU
    min_size : float, optional
        Side in pixels of the photo of the smallest face to look for; default a 28th of the photo (of the square with as
        many pixels), at least 20. Half of it costs about four times the time.
    threshold : float in 0..1, default 0.5
        Smallest score of a face.
    max_pixels : int, default 1,500,000
        A larger photo is shrunk to as many pixels before it is searched, which bounds time and memory.
    """

    def __init__(self, weights=None, ctx=None, min_size=None, threshold=0.5, max_pixels=1_500_000) -> None:
        self._threshold = check_between("threshold", threshold, 0, 1)
        self._min_size = None if min_size is None else check_between("min_size", min_size, 1, 1e6)
        self._max_pixels = check_between("max_pixels", max_pixels, 1e4, 1e9)
        self._ctx = ctx or mx.cpu()
        self._net = _load(weights, self._ctx)

    def detect(self, image):
        """Boxes, scores and landmarks of all faces in a photo, as `gluonfr.detection.mtcnn.MTCNN.detect` gives them."""
        image = need_rgb(image)
        small, ratio = shrink_photo(image, self._max_pixels)
        height, width = small.shape[:2]
        least = (height * width) ** 0.5 / 28 if self._min_size is None else self._min_size / max(ratio)
        scale = min(1, _SMALLEST / max(least, _SMALLEST))
        parts = [self._level(small, scale)]
        while max(height, width) * scale > _LONGEST:
            scale /= 4
            parts.append(self._level(small, scale))
        boxes, scores, landmarks = (np.concatenate(each) for each in zip(*parts))
        keep = suppress(boxes, scores, 0.4)
        return in_photo((boxes[keep], scores[keep], landmarks[keep]), ratio)

    def _level(self, image, scale):
        height, width = image.shape[:2]
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if scale < 1:
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        below, right = -image.shape[0] % _MULTIPLE, -image.shape[1] % _MULTIPLE
        image = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0)
        outputs = [each.asnumpy()[0] for each in self._net(mx.nd.array(as_batch([image]), ctx=self._ctx))]
        found = [self._decode(*outputs[3 * i : 3 * i + 3], *anchors) for i, anchors in enumerate(_ANCHORS)]
        boxes, scores, landmarks = (np.concatenate(each) for each in zip(*found))
        best = np.argsort(-scores, kind="stable")[:_MOST]
        ratio = np.array([width / size[0], height / size[1]], np.float32)
        return boxes[best] * np.tile(ratio, 2), scores[best], landmarks[best] * ratio

    def _decode(self, scores, shifts, marks, stride, sides):
        """Faces in one part of the output: scores (4, h, w), no face first; shifts (8, h, w); marks (20, h, w)."""
        anchor, row, column = np.nonzero(scores[2:] >= self._threshold)
        shifts = shifts.reshape(2, 4, *shifts.shape[1:])[anchor, :, row, column]
        marks = marks.reshape(2, 5, 2, *marks.shape[1:])[anchor, :, :, row, column]
        side = np.array(sides, np.float32)[anchor, None]
        anchors = np.stack([column, row], 1) * np.float32(stride) + _CENTER
        centers = anchors + shifts[:, :2] * side
        half = np.exp(shifts[:, 2:]) * side / 2
        return (
            np.hstack([centers - half, centers + half]),
            scores[2:][anchor, row, column],
            anchors[:, None] + marks * side[:, None],
        )


def _load(folder, ctx):
    if folder is None:
        raise GluonFRError(
            f"detector 'retinaface': weights must name the folder of {_SYMBOL} and {_PARAMS}; without such files use 'mtcnn'."
        )
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    symbol, params = (require_file(os.path.join(folder, name), "RetinaFace network") for name in (_SYMBOL, _PARAMS))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the type of the input is not in the file
            net = mx.gluon.SymbolBlock.imports(symbol, ["data"], params, ctx=ctx)
            shapes = [each.shape for each in net(mx.nd.zeros((1, 3, _MULTIPLE, _MULTIPLE), ctx=ctx))]
    except Exception as error:  # MXNet raises many kinds for a damaged or unfitting file
        reason = " ".join(str(error).split())[:120]
        raise GluonFRError(f"{symbol}: does not load together with {_PARAMS} ({reason}); fetch both again.") from error
    wanted = [(1, channels, _MULTIPLE // stride, _MULTIPLE // stride) for stride, _ in _ANCHORS for channels in (4, 8, 20)]
    if shapes != wanted:
        raise GluonFRError(f"{symbol}: is another network than RetinaFace with MobileNet-0.25; fetch that one's files.")
    return net
