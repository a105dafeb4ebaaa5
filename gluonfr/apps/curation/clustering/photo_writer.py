"""Photos and contact sheets in the new folder, under names that are free and valid there."""

from __future__ import annotations

import contextlib
import os
import shutil

import cv2
import numpy as np

from gluonfr.apps.curation.clustering.faces import Faces
from gluonfr.core import DataError, display_path
from gluonfr.data.contact_sheet import contact_sheet
from gluonfr.photos.unpacking import folder_name_fits

PEOPLE, ONCE, SHEETS = "people", "once", "sheets"
_SHOWN = 60
# Bytes of the longest file name on common file systems.
_LONGEST_NAME = 255
_SHEET_SUFFIX = ".jpg"


class PhotoWriter:
    """Writes photos into the folders of people.

    Parameters
    ----------
    photos : str
        Folder of the photos.
    out : str
        The new folder.
    link : bool
        Write hard links instead of copies.

    Examples
    --------
    >>> writer = PhotoWriter("photos", "sorted", False)
    >>> writer.person_folder("Ann", 0), writer.person_folder(None, 1), writer.person_folder("ann", 2)
    ('Ann', 'person 0002', 'person 0003')
    """

    def __init__(self, photos: str, out: str, link: bool) -> None:
        self._photos, self.out, self._link = photos, out, link
        self._used: dict[str, set[str]] = {}

    def __repr__(self) -> str:
        return f"PhotoWriter({self._photos!r}, {self.out!r}, link={self._link})"

    def person_folder(self, name: str | None, group: int) -> str:
        """Return the folder of a person: the name if it is valid and free as a folder, otherwise a number."""
        used = self._used.setdefault(PEOPLE, {ONCE})
        folder = group_name(group)
        if name is not None and _is_valid(name) and name.casefold() not in used and not name.startswith("person "):
            folder = name
        used.add(folder.casefold())
        return folder

    def put(self, file: str, folder: str) -> None:
        """Write a photo into a folder."""
        source = os.path.join(self._photos, file)
        os.makedirs(os.path.join(self.out, folder), exist_ok=True)
        target = os.path.join(self.out, folder, self._free_name(folder, os.path.basename(file)))
        if not self._link:
            shutil.copyfile(source, target)
            # The time of the file is often the only record of when a photo was taken.
            with contextlib.suppress(OSError):
                shutil.copystat(source, target)
            return
        try:
            os.link(source, target)
        except OSError as error:
            raise DataError(
                f"{display_path(source)} cannot be linked ({error.strerror}); write copies instead of links."
            ) from error

    def write_sheet(self, name: str, faces: Faces, numbers: np.ndarray, similarity: np.ndarray) -> None:
        """Write a contact sheet of the faces of a person, the most typical first."""
        order = np.argsort(-np.nan_to_num(similarity[numbers]), kind="stable")
        # Also the least typical ones, because they reveal faces of other people.
        order = order if len(order) <= _SHOWN else np.concatenate([order[: _SHOWN // 2], order[-(_SHOWN // 2) :]])
        shown = numbers[order]
        captions = [
            os.path.basename(faces.files[faces.photo[face]]) if np.isnan(similarity[face]) else f"{similarity[face]:.3f}"
            for face in shown
        ]
        picture = contact_sheet(faces.crops(shown), captions)
        os.makedirs(os.path.join(self.out, SHEETS), exist_ok=True)
        with open(os.path.join(self.out, SHEETS, name + _SHEET_SUFFIX), "wb") as file:
            file.write(cv2.imencode(_SHEET_SUFFIX, picture[:, :, ::-1])[1].tobytes())

    def _free_name(self, folder: str, name: str) -> str:
        """Return the name of a photo, with a number if another photo in the folder has it."""
        used = self._used.setdefault(folder, set())
        stem, ending = os.path.splitext(name)
        number, free = 1, name
        while free.casefold() in used:
            number += 1
            mark = f" ({number}){ending}"
            free = _shortened(stem, _LONGEST_NAME - len(os.fsencode(mark))) + mark
        used.add(free.casefold())
        return free


def group_name(group: int) -> str:
    """Return the name of a group without a name.

    Examples
    --------
    >>> group_name(0)
    'person 0001'
    """
    return f"person {group + 1:04d}"


def _is_valid(name: str) -> bool:
    return folder_name_fits(name) and len(os.fsencode(name + _SHEET_SUFFIX)) <= _LONGEST_NAME


def _shortened(stem: str, size: int) -> str:
    """Return a name of at most `size` bytes, without cutting a character."""
    while len(os.fsencode(stem)) > size:
        stem = stem[:-1]
    return stem
