"""Annotated photos for training and evaluating face detectors."""

from __future__ import annotations

from gluonfr.data.detection.annotations import PhotoFaces, make_faces, read_annotations
from gluonfr.data.detection.folder import DetectionFolder, read_detection_folder
from gluonfr.data.detection.records import DetectionRecords, PackResult, describe_left_out, pack_detection

__all__ = [
    "DetectionFolder",
    "DetectionRecords",
    "PackResult",
    "PhotoFaces",
    "describe_left_out",
    "make_faces",
    "pack_detection",
    "read_annotations",
    "read_detection_folder",
]
