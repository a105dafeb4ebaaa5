"""Face alignment by five landmarks: crop templates, similarity transforms and warping."""

from __future__ import annotations

import importlib
from typing import Any

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


def __getattr__(name: str) -> Any:
    # Detectors were in this package before 2.0.
    if name in ("get_detector", "choose_face"):
        return getattr(importlib.import_module("gluonfr.detection"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
