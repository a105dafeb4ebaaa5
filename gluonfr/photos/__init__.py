"""From image files to faces: reading photos and videos, packing training sets, making verification sets."""

from __future__ import annotations

from gluonfr.photos.find import find_people, find_photos
from gluonfr.photos.packing import make_cropper, pack
from gluonfr.photos.reading import Photo, PhotoError, read_file
from gluonfr.photos.videos import Video

__all__ = [
    "Photo",
    "PhotoError",
    "Video",
    "find_people",
    "find_photos",
    "make_cropper",
    "pack",
    "read_file",
]
