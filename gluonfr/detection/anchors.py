"""Anchors: the squares that a detector starts from at every place, and faces relative to them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, Sequence

import numpy as np

# Largest side in anchors that a box may be decoded to: exp() of anything would overflow.
_MOST_GROWTH = 4.0


class AnchorSpec(NamedTuple):
    """Where the anchors of a network are.

    Attributes
    ----------
    strides : tuple of int
        Pixels between two places of each output of the network, in the order of the outputs.
    sides : tuple of (float, ...)
        Sides in pixels of the square anchors at each place, for every stride.
    center : float
        x and y in pixels of the centers of the first place's anchors; the same for all strides.

    Examples
    --------
    >>> AnchorSpec().sides[0]
    (512, 256)
    """

    strides: Sequence[int] = (32, 16, 8)
    sides: Sequence[Sequence[float]] = ((512, 256), (128, 64), (32, 16))
    center: float = 8.0


def anchor_grid(height: int, width: int, spec: AnchorSpec | None = None) -> np.ndarray:
    """Return all anchors of an image as float32 (A, 3): x and y of the center and the side, in pixels.

    They are ordered by stride, then by anchor, row and column, as the outputs of the networks here.

    Parameters
    ----------
    height, width : int
        Of the image in pixels, multiples of the largest stride.
    spec : AnchorSpec, optional

    Examples
    --------
    >>> anchor_grid(32, 64).shape  # 1 * 2 places of two anchors, 2 * 4 and 4 * 8
    (84, 3)
    """
    spec = spec or AnchorSpec()
    return _grid(height, width, tuple(spec.strides), tuple(map(tuple, spec.sides)), float(spec.center))


@lru_cache(maxsize=64)
def _grid(height: int, width: int, strides: tuple[int, ...], sides: tuple[tuple[float, ...], ...], center: float) -> np.ndarray:
    parts = []
    for stride, lengths in zip(strides, sides):
        x, y = (np.arange(length // stride) * stride + center for length in (width, height))
        side, rows, columns = np.meshgrid(lengths, y, x, indexing="ij")
        parts.append(np.stack([columns, rows, side], -1).reshape(-1, 3))
    grid = np.concatenate(parts).astype(np.float32)
    grid.setflags(write=False)
    return grid


def anchor_boxes(anchors: np.ndarray) -> np.ndarray:
    """Return anchors (A, 3) as boxes (A, 4): x0, y0, x1, y1.

    Examples
    --------
    >>> anchor_boxes(np.array([[8.0, 8, 16]]))
    array([[ 0.,  0., 16., 16.]])
    """
    half = anchors[:, 2:] / 2
    return np.hstack([anchors[:, :2] - half, anchors[:, :2] + half])


def encode_boxes(boxes: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return the shifts (n, 4) from anchors to boxes: of the center in sides of the anchor, and the logarithm of the size.

    Parameters
    ----------
    boxes : np.ndarray, (n, 4)
        x0, y0, x1, y1 with x1 > x0 and y1 > y0.
    anchors : np.ndarray, (n, 3)
        One per box.

    Examples
    --------
    >>> encode_boxes(np.array([[4.0, 0, 20, 16]]), np.array([[8.0, 8, 16]]))
    array([[0.25, 0.  , 0.  , 0.  ]])
    """
    side = anchors[:, 2:]
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.hstack([(centers - anchors[:, :2]) / side, np.log((boxes[:, 2:] - boxes[:, :2]) / side)])


def decode_boxes(shifts: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return the boxes (n, 4) of shifts (n, 4); the inverse of `encode_boxes`.

    Examples
    --------
    >>> decode_boxes(np.array([[0.25, 0, 0, 0]]), np.array([[8.0, 8, 16]]))
    array([[ 4.,  0., 20., 16.]])
    """
    side = anchors[:, 2:]
    centers = anchors[:, :2] + shifts[:, :2] * side
    half = np.exp(np.minimum(shifts[:, 2:], _MOST_GROWTH)) * side / 2
    return np.hstack([centers - half, centers + half])


def encode_landmarks(landmarks: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return the shifts (n, 10) from the anchors' centers to landmarks (n, 5, 2), in sides of the anchor.

    Examples
    --------
    >>> encode_landmarks(np.full((1, 5, 2), 12.0), np.array([[8.0, 8, 16]]))[0, :2]
    array([0.25, 0.25])
    """
    return ((landmarks - anchors[:, None, :2]) / anchors[:, None, 2:]).reshape(-1, 10)


def decode_landmarks(shifts: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """Return the landmarks (n, 5, 2) of shifts (n, 10); the inverse of `encode_landmarks`.

    Examples
    --------
    >>> decode_landmarks(np.full((1, 10), 0.25), np.array([[8.0, 8, 16]]))[0, 0]
    array([12., 12.])
    """
    return anchors[:, None, :2] + shifts.reshape(-1, 5, 2) * anchors[:, None, 2:]


def flatten_outputs(outputs: Sequence[Any], F: Any = np) -> tuple[Any, Any, Any]:
    """Join the outputs of all strides in the order of `anchor_grid`.

    Parameters
    ----------
    outputs : sequence of array
        Logits (N, 4, h, w), box shifts (N, 8, h, w) and landmark shifts (N, 20, h, w) of every stride.
    F : module, default NumPy
        `mx.nd` or `mx.sym` for their arrays.

    Returns
    -------
    logits : (N, 2, A)
        Background and face.
    boxes : (N, A, 4)
    landmarks : (N, A, 10)

    Examples
    --------
    >>> parts = [np.zeros((1, channels, 1, 1)) for channels in (4, 8, 20)]
    >>> [array.shape for array in flatten_outputs(parts)]
    [(1, 2, 2), (1, 2, 4), (1, 2, 10)]
    """
    logits, boxes, landmarks = ([_by_anchor(array, kind, F) for array in outputs[kind::3]] for kind in range(3))
    if F is np:
        return np.concatenate(logits, 2), np.concatenate(boxes, 1), np.concatenate(landmarks, 1)
    return F.concat(*logits, dim=2), F.concat(*boxes, dim=1), F.concat(*landmarks, dim=1)


def _by_anchor(array: Any, kind: int, F: Any) -> Any:
    """One output as (N, 2, anchors of the stride), or (N, anchors, values)."""
    if kind == 0:
        # The background of all anchors comes first.
        return array.reshape(len(array), 2, -1) if F is np else F.reshape(array, shape=(0, 2, -1))
    values = (4, 10)[kind - 1]
    if F is np:
        return (
            array.reshape(len(array), -1, values, array.shape[2] * array.shape[3])
            .swapaxes(2, 3)
            .reshape(len(array), -1, values)
        )
    # (N, anchors of a place, values, places) -> (N, anchors of a place, places, values)
    array = F.reshape(F.reshape(array, shape=(0, 0, -1)), shape=(0, -4, -1, values, 0))
    return F.reshape(F.transpose(array, axes=(0, 1, 3, 2)), shape=(0, -1, values))
