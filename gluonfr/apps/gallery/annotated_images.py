"""Images with the boxes and names of identified faces."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Iterable, Iterator, Sequence

import cv2
import numpy as np

from gluonfr.apps.gallery.identifying import IdentifiedImage
from gluonfr.core import UsageError, atomic_file, display_path, new_folder, require_new_folder
from gluonfr.photos.find import find_photos, is_video

_WRITABLE = (".png", ".jpg", ".jpeg")


def annotate_images(images: Iterable[IdentifiedImage], out: str | None, paths: Sequence[str]) -> Iterator[IdentifiedImage]:
    """Write each image with boxes and names, and yield it.

    Parameters
    ----------
    images : iterable of IdentifiedImage
    out : str or None
        None writes nothing. A file if `paths` is one photo; otherwise a new or empty folder, which appears when all images are
        in it: they keep their names, and equal names are numbered.
    paths : sequence of str
        The files and folders that are identified.

    Yields
    ------
    IdentifiedImage

    Examples
    --------
    >>> [image.name for image in annotate_images([IdentifiedImage("a.jpg", None, [])], None, ["a.jpg"])]
    ['a.jpg']
    """
    one_photo = _is_one_photo(paths)
    used: set[str] = set()
    with new_folder(out) if out and not one_photo else nullcontext("") as folder:
        for image in images:
            if out and image.pixels is not None:
                write_image(out if one_photo else os.path.join(folder, _unused(_place(image.name, paths), used)), _drawn(image))
            yield image


def check_output(out: str | None, paths: Sequence[str]) -> None:
    """Raise GluonFRError unless `annotate_images` can write there without replacing anything but an older image.

    Examples
    --------
    >>> check_output("named.gif", ["a.jpg"])
    Traceback (most recent call last):
    ...
    gluonfr.core.errors.UsageError: named.gif: the name of the image must end with .png or .jpg.
    """
    if out and _is_one_photo(paths):
        check_image_path(out, paths)
    elif out:
        require_new_folder(out)


def check_image_path(path: str, paths: Sequence[str]) -> None:
    """Raise UsageError unless an image can be written to `path`: .png or .jpg, and not one of the photos that are read.

    Examples
    --------
    >>> check_image_path("sheet.png", ["a.jpg"])
    """
    if os.path.splitext(path)[1].lower() not in _WRITABLE:
        raise UsageError(f"{display_path(path)}: the name of the image must end with .png or .jpg.")
    if os.path.exists(path) and any(os.path.samefile(path, file) for file in find_photos(paths) if os.path.exists(file)):
        raise UsageError(f"{display_path(path)} is one of the photos that are read; choose another name for the output.")


def write_image(path: str, pixels: np.ndarray) -> None:
    """Write uint8 (H, W, 3) RGB as .png or .jpg, atomically.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(os.path.join(folder, "a.png"), np.zeros((4, 4, 3), np.uint8))
    ...     os.listdir(folder)
    ['a.png']
    """
    content = cv2.imencode(os.path.splitext(path)[1].lower(), pixels[:, :, ::-1])[1].tobytes()
    with atomic_file(path) as file:
        file.write(content)


def _is_one_photo(paths: Sequence[str]) -> bool:
    return len(paths) == 1 and not os.path.isdir(paths[0]) and not is_video(paths[0])


def _place(name: str, paths: Sequence[str]) -> str:
    """Return where to write an image: its path below the folder in which it was found, with a suffix that can be written."""
    folder = next((path for path in paths if os.path.isdir(path) and name.startswith(os.path.join(path, ""))), None)
    place = os.path.relpath(name, folder) if folder else os.path.basename(name)
    return place if place.lower().endswith(_WRITABLE) else place + ".jpg"


def _unused(place: str, used: set[str]) -> str:
    """Return the place, with a number if it is used already; some file systems ignore case."""
    stem, ending = os.path.splitext(place)
    number = 1
    while place.casefold() in used:
        number += 1
        place = f"{stem}-{number}{ending}"
    used.add(place.casefold())
    return place


def _drawn(image: IdentifiedImage) -> np.ndarray:
    # Matplotlib takes a second to import.
    from gluonfr.viz import draw_faces

    names = [face.answer.name for face in image.faces]
    captions = ["unknown" if name is None else f"{name} {face.answer.similarity:.2f}" for name, face in zip(names, image.faces)]
    return draw_faces(image.pixels, [face.box for face in image.faces], captions, [name is not None for name in names])
