"""Filling shapes of the head into a picture at twice the size."""

from __future__ import annotations

import cv2
import numpy as np

_BITS = 4
SUPERSAMPLING = 2


class Canvas:
    """A picture (2 size, 2 size, 3) uint8 RGB onto which points of the head are projected."""

    def __init__(self, picture, pose) -> None:
        self.picture = picture
        self._pose = pose
        self._scale = len(picture) / 112.0
        self._fixed = self._scale * (1 << _BITS)

    def pixels(self, points):
        """Head points (n, 3) -> fixed-point pixels (n, 2) int32."""
        # OpenCV's fixed point names pixel centers, hence the half.
        return np.rint(self._pose.project(points) * self._fixed - (1 << _BITS >> 1)).astype(np.int32)

    def _thickness(self, width):
        return max(1, int(round(width * self._scale)))

    def fill(self, points, color, alpha=1.0) -> None:
        """Fill a polygon of head points (n, 3); `alpha` below 1 lets what is below shine through."""
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

    def lines(self, curves, color, width, closed=False) -> None:
        """Draw curves of head points (n, 3) each, `width` pixels of 112 thick."""
        pixels = [self.pixels(points) for points in curves]
        cv2.polylines(self.picture, pixels, closed, tuple(map(float, color)), self._thickness(width), cv2.LINE_8, _BITS)

    def dots(self, points, radii, color) -> None:
        """Draw discs at head points (n, 3), radii (n,) in pixels of 112."""
        for (x, y), radius in zip(self.pixels(points), radii):
            radius = int(round(radius * self._scale * (1 << _BITS)))
            cv2.circle(self.picture, (int(x), int(y)), radius, tuple(map(float, color)), -1, cv2.LINE_8, _BITS)
