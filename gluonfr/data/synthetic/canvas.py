"""Draw shapes of the head into an image at twice the size."""

from __future__ import annotations

from typing import Any, Iterable

import cv2
import numpy as np

from gluonfr.data.synthetic.geometry import Pose

_BITS = 4
SUPERSAMPLING = 2


class Canvas:
    """An image onto which points of the head are projected.

    Parameters
    ----------
    picture : np.ndarray
        uint8 (2 size, 2 size, 3) RGB, drawn on in place.
    pose : Pose
        The projection.

    Examples
    --------
    >>> from gluonfr.data.synthetic.face import landmarks, Expression
    >>> from gluonfr.data.synthetic.identity import make_identity
    >>> pose = Pose(0.0, 0.0, landmarks(make_identity(0), Expression()), (0.0, 1.0, 0.0, 0.0))
    >>> Canvas(np.zeros((224, 224, 3), np.uint8), pose)
    Canvas(side=224)
    """

    def __init__(self, picture: np.ndarray, pose: Pose) -> None:
        self.picture = picture
        self._pose = pose
        self._scale = len(picture) / 112.0
        self._fixed = self._scale * (1 << _BITS)

    def __repr__(self) -> str:
        return f"Canvas(side={len(self.picture)})"

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """Project head points (n, 3) to fixed-point pixels (n, 2) int32."""
        # OpenCV's fixed point counts from pixel centers, hence the half.
        return np.rint(self._pose.project(points) * self._fixed - (1 << _BITS >> 1)).astype(np.int32)

    def _thickness(self, width: float) -> int:
        return max(1, int(round(width * self._scale)))

    def fill(self, points: np.ndarray, color: Any, alpha: float = 1.0) -> None:
        """Fill a polygon of head points (n, 3); `alpha` below 1 makes it transparent."""
        pixels = self.pixels(points)
        if alpha >= 1:
            cv2.fillPoly(self.picture, [pixels], tuple(map(float, color)), cv2.LINE_8, _BITS)
            return
        low = np.maximum((pixels.min(axis=0) >> _BITS) - 1, 0)
        high = (pixels.max(axis=0) >> _BITS) + 2
        part = self.picture[low[1] : max(high[1], 0), low[0] : max(high[0], 0)]
        if not part.size:
            return
        above = part.copy()
        cv2.fillPoly(above, [pixels - (low << _BITS).astype(np.int32)], tuple(map(float, color)), cv2.LINE_8, _BITS)
        cv2.addWeighted(above, alpha, part, 1 - alpha, 0, dst=part)

    def lines(self, curves: Iterable[np.ndarray], color: Any, width: float, closed: bool = False) -> None:
        """Draw curves of head points, (n, 3) each; `width` is in pixels of a 112x112 image."""
        pixels = [self.pixels(points) for points in curves]
        cv2.polylines(self.picture, pixels, closed, tuple(map(float, color)), self._thickness(width), cv2.LINE_8, _BITS)

    def dots(self, points: np.ndarray, radii: Any, color: Any) -> None:
        """Draw discs at head points (n, 3) with radii (n,) in pixels of a 112x112 image."""
        for (x, y), radius in zip(self.pixels(points), radii):
            radius = int(round(radius * self._scale * (1 << _BITS)))
            cv2.circle(self.picture, (int(x), int(y)), radius, tuple(map(float, color)), -1, cv2.LINE_8, _BITS)
