"""Alignment by five landmarks: crop templates, similarity transforms and warping."""

from __future__ import annotations

from gluonfr.align.templates import TEMPLATES, Template, get_template, similarity_transform
from gluonfr.align.warp import align_face, align_faces, recut

__all__ = [
    "TEMPLATES",
    "Template",
    "align_face",
    "align_faces",
    "get_template",
    "recut",
    "similarity_transform",
]
