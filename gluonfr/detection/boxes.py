"""Boxes are float32 arrays (n, 4) of x0, y0, x1, y1: edges, so that the first pixel reaches from 0 to 1."""

from __future__ import annotations

import cv2
import numpy as np


def suppress(boxes, scores, overlap, of_smaller=False):
    """Indices of the boxes that no better box covers, best first (non-maximum suppression).

    Parameters
    ----------
    boxes : (n, 4)
    scores : (n,)
    overlap : float
        A box is dropped when it shares more than this part with a better one that stays.
    of_smaller : bool, default False
        The part is of the smaller box of the two, so that a box within another counts as covered; otherwise of their union.
    """
    order = np.argsort(-scores, kind="stable")
    x0, y0, x1, y1 = np.ascontiguousarray(boxes[order].T)
    areas = (x1 - x0) * (y1 - y0)
    alive = np.ones(len(order), dtype=bool)
    for i in range(len(order)):
        if not alive[i]:
            continue
        rest = i + 1 + np.flatnonzero(alive[i + 1 :])
        width = np.minimum(x1[rest], x1[i]) - np.maximum(x0[rest], x0[i])
        height = np.minimum(y1[rest], y1[i]) - np.maximum(y0[rest], y0[i])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        whole = np.minimum(areas[rest], areas[i]) if of_smaller else areas[rest] + areas[i] - shared
        alive[rest[shared > overlap * whole]] = False
    return order[alive]


def shift_boxes(boxes, shifts):
    """Boxes whose edges are moved by `shifts` (n, 4), parts of the box's width and height."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes + shifts * np.tile(size, 2)


def square_boxes(boxes):
    """The squares around the same centers whose side is the longer one of each box."""
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    return np.hstack([centers - half, centers + half])


def cut_boxes(image, boxes, side):
    """The image in each box, resized to `side` pixels a side; what a box sees outside the image is black.

    Parameters
    ----------
    image : uint8 (H, W, 3)
    boxes : (n, 4)
        Rounded to whole pixels.
    side : int

    Returns
    -------
    float32 (n, 3, side, side), 0..255
    """
    crops = []
    for x0, y0, x1, y1 in np.round(boxes).astype(int).tolist():
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        crop = image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        if crop.shape[:2] != (y1 - y0, x1 - x0):
            crop = _padded(image, x0, y0, x1, y1)
        shrinks = y1 - y0 > side
        crops.append(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))
    return as_batch(crops)


def _padded(image, x0, y0, x1, y1):
    height, width = image.shape[:2]
    padded = np.zeros((y1 - y0, x1 - x0, 3), dtype=np.uint8)
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if left < right and top < bottom:
        padded[top - y0 : bottom - y0, left - x0 : right - x0] = image[top:bottom, left:right]
    return padded


def as_batch(images):
    """float32 (n, 3, H, W) of uint8 images (H, W, 3)."""
    return cv2.dnn.blobFromImages(images)
