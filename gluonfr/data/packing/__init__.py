"""Photos in, records out: folders of people are read, faces found and aligned, crops packed into a training set."""

from gluonfr.data.packing.crops import Cropper, Cut, make_cropper
from gluonfr.data.packing.pack import Packed, pack
from gluonfr.data.packing.photos import Photo, Refused, read_file
from gluonfr.data.packing.pool import Died, run_in_processes
from gluonfr.data.packing.report import reasons

__all__ = [
    "Cropper",
    "Cut",
    "Died",
    "Packed",
    "Photo",
    "Refused",
    "make_cropper",
    "pack",
    "read_file",
    "reasons",
    "run_in_processes",
]
