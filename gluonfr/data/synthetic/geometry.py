"""Smooth curves, the surface of the head, and the projection of a turned head onto the aligned crop."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

# The 5-point template of 112x112 crops: eyes, nose, mouth corners.
TEMPLATE = np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]])
HEAD_DEPTH = 34.0
_STEPS = 5


@lru_cache(maxsize=None)
def _basis(points: int, closed: bool) -> np.ndarray:
    """Return the matrix that turns control points into a Catmull-Rom curve through them."""
    t = np.arange(_STEPS) / _STEPS
    weights = 0.5 * np.stack([-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], axis=1)
    segments = points if closed else points - 1
    matrix = np.zeros((segments * _STEPS + (not closed), points))
    for segment in range(segments):
        for tap in range(4):
            at = segment + tap - 1
            at = at % points if closed else min(max(at, 0), points - 1)
            matrix[segment * _STEPS : (segment + 1) * _STEPS, at] += weights[:, tap]
    if not closed:
        matrix[-1, -1] = 1
    return matrix


def smooth(points: Any, closed: bool = True) -> np.ndarray:
    """Return a smooth curve through control points (n, d): (5 n, d) closed, (5 n - 4, d) open.

    Examples
    --------
    >>> smooth([(0, 0), (1, 0), (1, 1)]).shape
    (15, 2)
    """
    points = np.asarray(points, dtype=np.float64)
    return _basis(len(points), closed) @ points


def surface(points: Any, lift: Any = 0.0) -> np.ndarray:
    """Place points (n, 2) of the front view on the head: (n, 3), `lift` pixels above the skin.

    Examples
    --------
    >>> surface([(0, 10)]).tolist()
    [[0.0, 10.0, 34.0]]
    """
    points = np.asarray(points, dtype=np.float64)
    placed = np.empty((len(points), 3))
    placed[:, :2] = points
    x, y = points[:, 0], points[:, 1] - 10
    placed[:, 2] = HEAD_DEPTH * np.sqrt(np.maximum(1 - x * x / 44**2 - y * y / 66**2, 0)) + lift
    return placed


def at_depth(points: Any, z: float) -> np.ndarray:
    """Place points (n, 2) of the front view at one depth: (n, 3).

    Examples
    --------
    >>> at_depth([(0, 10)], 5).tolist()
    [[0.0, 10.0, 5.0]]
    """
    placed = np.full((len(points), 3), float(z))
    placed[:, :2] = points
    return placed


def mirrored(points: Any) -> np.ndarray:
    """Close a right half, given from the top to the bottom of the middle line, with its mirror image.

    Examples
    --------
    >>> mirrored([(0, 0), (1, 1), (0, 2)]).tolist()
    [[0.0, 0.0], [1.0, 1.0], [0.0, 2.0], [-1.0, 1.0]]
    """
    points = np.asarray(points, dtype=np.float64)
    left = points[1:-1][::-1].copy()
    left[:, 0] *= -1
    return np.concatenate([points, left])


def _rotation(yaw: float, pitch: float) -> np.ndarray:
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    # Only the rows of x and y in the image: first turn the head, then nod.
    return np.array([[cy, 0.0, sy], [sy * sp, cp, -cy * sp]])


class Pose:
    """A turned head, aligned to the template with a small error.

    Parameters
    ----------
    yaw, pitch : float
        Radians; positive turns the nose to the right of the image and up.
    landmarks : np.ndarray
        (5, 3): eyes, nose and mouth corners of this head with this expression.
    error : tuple of float
        (angle, scale, dx, dy) of the aligner's error: radians, factor, pixels of a 112x112 image.

    Attributes
    ----------
    widen : float
        Factor of the silhouette's width.

    Examples
    --------
    >>> pose = Pose(0.0, 0.0, np.column_stack([TEMPLATE, np.zeros(5)]), (0.0, 1.0, 0.0, 0.0))
    >>> np.allclose(pose.project(np.column_stack([TEMPLATE, np.zeros(5)])), TEMPLATE)
    True
    """

    def __init__(self, yaw: float, pitch: float, landmarks: np.ndarray, error: tuple[float, float, float, float]) -> None:
        turn = _rotation(yaw, pitch)
        seen = (landmarks @ turn.T) @ (1, 1j)
        target = TEMPLATE @ (1, 1j)
        centered = seen - seen.mean()
        factor = (centered.conj() @ (target - target.mean())) / (centered.conj() @ centered).real
        angle, scale, dx, dy = error
        factor *= scale * np.exp(1j * angle)
        similarity = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
        middle = seen.mean()
        self._matrix = (similarity @ turn).T
        offset = target.mean() - factor * middle + dx + 1j * dy
        self._offset = np.array([offset.real, offset.imag])
        # The silhouette of a turned ellipsoid is wider than its turned front outline.
        self.widen = np.sqrt(np.cos(yaw) ** 2 + 0.85 * np.sin(yaw) ** 2) / np.cos(yaw)

    def __repr__(self) -> str:
        return f"Pose(widen={self.widen:.3f})"

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project head points (n, 3) to pixels (n, 2) of the 112x112 crop."""
        return points @ self._matrix + self._offset
