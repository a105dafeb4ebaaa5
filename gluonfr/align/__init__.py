"""From a photo to crops: face detectors, and alignment by five landmarks."""

from gluonfr.align.choice import choose_face
from gluonfr.align.crop import align_face, align_faces, recut
from gluonfr.align.registry import get_detector
from gluonfr.align.templates import TEMPLATES, Template, get_template, similarity_transform

__all__ = [
    "TEMPLATES",
    "Template",
    "align_face",
    "align_faces",
    "choose_face",
    "get_detector",
    "get_template",
    "recut",
    "similarity_transform",
]
