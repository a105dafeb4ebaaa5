"""Photos in, records out: folders of people are read, faces found and aligned, crops packed into a training set."""

from __future__ import annotations

from gluonfr.photos.packing.crops import Cropper, Cut, make_cropper
from gluonfr.photos.packing.pack import Packed, pack
from gluonfr.photos.packing.process_pool import WorkerDiedError, run_in_processes
from gluonfr.photos.packing.report import reasons

__all__ = [
    "Cropper",
    "Cut",
    "WorkerDiedError",
    "Packed",
    "make_cropper",
    "pack",
    "reasons",
    "run_in_processes",
]
