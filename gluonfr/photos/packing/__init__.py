"""Packing training sets: read the photos of people, find and align their faces, write the crops as records."""

from __future__ import annotations

from gluonfr.photos.packing.crops import Cropper, CropResult, make_cropper
from gluonfr.photos.packing.pack import Packed, pack
from gluonfr.photos.packing.process_pool import run_in_processes
from gluonfr.photos.packing.report import reasons

__all__ = [
    "CropResult",
    "Cropper",
    "Packed",
    "make_cropper",
    "pack",
    "reasons",
    "run_in_processes",
]
