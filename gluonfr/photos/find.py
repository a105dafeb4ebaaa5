"""Photos and videos among files and folders."""

from __future__ import annotations

import os

from gluonfr.core import GluonFRError

_ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".jp2")
VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp")


def find_images(paths, more=()):
    """The image files among `paths`: files as they are, folders by what lies in them at any depth, in order of name.

    Files whose names end with one of `more` count too.

    Raises
    ------
    GluonFRError
        A path does not exist, or there is no image at all.
    """
    found = []
    for path in map(os.fspath, paths):
        if os.path.isdir(path):
            for folder, inside, names in os.walk(path):
                inside.sort()
                found += [os.path.join(folder, name) for name in sorted(names) if name.lower().endswith((*_ENDINGS, *more))]
        elif os.path.exists(path):
            found.append(path)
        else:
            raise GluonFRError(f"{path} is missing: give image files or folders that hold some.")
    if not found:
        raise GluonFRError(f"{', '.join(map(os.fspath, paths))}: no image file there ({' '.join(_ENDINGS)}).")
    return found


def find_pictures(paths):
    """Photos and videos among `paths`, as `find_images` finds photos."""
    found = []
    for path in map(os.fspath, paths):
        found += find_images([path], VIDEOS)
    return found
