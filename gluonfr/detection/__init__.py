"""Face detectors: MTCNN and RetinaFace."""

from __future__ import annotations

from gluonfr.detection.registry import get_detector
from gluonfr.detection.selection import choose_face

__all__ = [
    "choose_face",
    "get_detector",
]
