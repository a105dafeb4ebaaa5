"""Face alignment by five landmarks: crop templates, similarity transforms and warping."""

from __future__ import annotations

from gluonfr.align.templates import LANDMARKS, TEMPLATES, Template, get_template, similarity_transform
from gluonfr.align.warp import align_face, align_faces, realign

__all__ = [
    "LANDMARKS",
    "TEMPLATES",
    "Template",
    "align_face",
    "align_faces",
    "get_template",
    "realign",
    "similarity_transform",
]
