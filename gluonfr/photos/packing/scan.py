from __future__ import annotations

import os
from dataclasses import dataclass

from gluonfr.core import GluonFRError, display_path
from gluonfr.data.identities import FILE_NAME

# What systems and viewers leave in folders of photos.
_NOT_PHOTOS = {"thumbs.db", "desktop.ini", "@eadir"}


@dataclass(frozen=True)
class Listing:
    """A folder of people.

    Attributes
    ----------
    people : dict
        Name of a folder -> the files below it, relative to the folder of people; both in the order of their bytes.
    left_out : list of (file, reason, detail)
    """

    people: dict
    left_out: list


def scan(folder):
    """List the photos of a folder of people: each folder in it is a person, with all files below it, however deep.

    Hidden files, and what systems leave behind (Thumbs.db), are no photos. A person may be a link to a folder; links to
    folders below a person are not followed.

    Raises
    ------
    GluonFRError
        The folder is missing or cannot be read, or holds no person.
    """
    people, left_out = {}, []
    try:
        entries = _sorted(os.scandir(folder))
    except OSError as error:
        raise GluonFRError(f"{display_path(folder)}: cannot be read ({error.strerror}); give a folder of people.") from error
    for entry in entries:
        if entry.is_dir():
            people[entry.name] = list(_below(folder, entry.name, left_out))
        elif entry.name != FILE_NAME:
            left_out.append((entry.name, "no person", "it lies in no person's folder"))
    if not any(people.values()):
        what = "no photo in its folders" if people else "no folders"
        raise GluonFRError(
            f"{display_path(folder)}: holds {what}; give a folder that holds a folder of photos for each person."
        )
    return Listing(people, left_out)


def _below(folder, inside, left_out):
    try:
        entries = _sorted(os.scandir(os.path.join(folder, inside)))
    except OSError as error:
        left_out.append((inside, "unreadable", error.strerror))
        return
    for entry in entries:
        name = os.path.join(inside, entry.name)
        if entry.is_dir(follow_symlinks=False):
            yield from _below(folder, name, left_out)
        elif entry.is_dir():
            left_out.append((name, "no image", "a link to a folder, which is not followed"))
        else:
            yield name


def _sorted(entries):
    with entries:
        kept = [each for each in entries if not each.name.startswith(".") and each.name.lower() not in _NOT_PHOTOS]
    return sorted(kept, key=lambda entry: os.fsencode(entry.name))
