"""From image files to faces: reading photos and videos, packing training sets, making verification sets."""

from __future__ import annotations

from gluonfr.photos.find import find_images, find_pictures
from gluonfr.photos.packing import make_cropper, pack
from gluonfr.photos.reading import Photo, PhotoError, read_file

__all__ = [
    "Photo",
    "PhotoError",
    "find_images",
    "find_pictures",
    "make_cropper",
    "pack",
    "read_file",
]
