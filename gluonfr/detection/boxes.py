"""Boxes are float32 arrays (n, 4) of x0, y0, x1, y1: edges, so that the first pixel reaches from 0 to 1."""

from __future__ import annotations

import cv2
import numpy as np


def suppress(boxes: np.ndarray, scores: np.ndarray, overlap: float, of_smaller: bool = False) -> np.ndarray:
    """Return the indices of the boxes that non-maximum suppression keeps, best first.

    Parameters
    ----------
    boxes : np.ndarray, (n, 4)
    scores : np.ndarray, (n,)
    overlap : float
        A box is dropped when it shares more than this part of its area with a better box.
    of_smaller : bool, default False
        Measure the part relative to the smaller box, so that a box within another one is dropped, instead of to their union.

    Examples
    --------
    >>> boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]], np.float32)
    >>> suppress(boxes, np.array([0.8, 0.9, 0.7]), 0.5)
    array([1, 2])
    """
    order = np.argsort(-scores, kind="stable")
    x0, y0, x1, y1 = np.ascontiguousarray(boxes[order].T)
    areas = (x1 - x0) * (y1 - y0)
    remaining = np.ones(len(order), dtype=bool)
    for i in range(len(order)):
        if not remaining[i]:
            continue
        rest = i + 1 + np.flatnonzero(remaining[i + 1 :])
        width = np.minimum(x1[rest], x1[i]) - np.maximum(x0[rest], x0[i])
        height = np.minimum(y1[rest], y1[i]) - np.maximum(y0[rest], y0[i])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        whole = np.minimum(areas[rest], areas[i]) if of_smaller else areas[rest] + areas[i] - shared
        remaining[rest[shared > overlap * whole]] = False
    return order[remaining]


def shift_boxes(boxes: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Move the edges of boxes by `shifts` (n, 4), in parts of the width and height of each box.

    Examples
    --------
    >>> shift_boxes(np.array([[0.0, 0, 10, 20]]), np.array([[0.1, 0, 0, 0.5]]))
    array([[ 1.,  0., 10., 30.]])
    """
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes + shifts * np.tile(size, 2)


def square_boxes(boxes: np.ndarray) -> np.ndarray:
    """Return the squares around the same centers, with the longer side of each box.

    Examples
    --------
    >>> square_boxes(np.array([[0.0, 0, 10, 20]]))
    array([[-5.,  0., 15., 20.]])
    """
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]).max(1, keepdims=True) / 2
    return np.hstack([centers - half, centers + half])


def crop_boxes(image: np.ndarray, boxes: np.ndarray, side: int) -> np.ndarray:
    """Crop the image to each box and resize the crops to squares; what lies outside the image is black.

    Parameters
    ----------
    image : np.ndarray, uint8 (H, W, 3)
    boxes : np.ndarray, (n, 4)
        Rounded to whole pixels.
    side : int
        Of the squares, in pixels.

    Returns
    -------
    np.ndarray, float32 (n, 3, side, side)
        In 0..255.

    Examples
    --------
    >>> crop_boxes(np.zeros((20, 30, 3), np.uint8), np.array([[5.0, 5, 15, 15]]), 24).shape
    (1, 3, 24, 24)
    """
    crops = []
    for x0, y0, x1, y1 in np.round(boxes).astype(int).tolist():
        x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
        crop = image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
        if crop.shape[:2] != (y1 - y0, x1 - x0):
            crop = _crop_padded(image, x0, y0, x1, y1)
        shrinks = y1 - y0 > side
        crops.append(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR))
    return to_batch(crops)


def _crop_padded(image: np.ndarray, x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    height, width = image.shape[:2]
    padded = np.zeros((y1 - y0, x1 - x0, 3), dtype=np.uint8)
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if left < right and top < bottom:
        padded[top - y0 : bottom - y0, left - x0 : right - x0] = image[top:bottom, left:right]
    return padded


def to_batch(images: list[np.ndarray]) -> np.ndarray:
    """Convert uint8 images (H, W, 3) to one float32 batch (n, 3, H, W).

    Examples
    --------
    >>> to_batch([np.zeros((4, 5, 3), np.uint8)]).shape
    (1, 3, 4, 5)
    """
    return cv2.dnn.blobFromImages(images)
