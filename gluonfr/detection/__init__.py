"""Face detectors: MTCNN and RetinaFace."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.detection.detector import Detections, Detector, FaceDetector
from gluonfr.detection.registry import get_detector
from gluonfr.detection.selection import choose_face
from gluonfr.detection.turned import detect_faces

__all__ = [
    "Detections",
    "Detector",
    "FaceDetector",
    "choose_face",
    "detect_faces",
    "get_detector",
]
