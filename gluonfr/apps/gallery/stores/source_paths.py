"""Source paths of photos that contain the old name of a renamed person."""

from __future__ import annotations

import os
import re
import unicodedata

OLD_NAME_IN_SOURCES = (
    "The source paths of some photos still contain the old name; remove the person and enroll them again if they must not."
)


def rename_in_source(source: str, old: str, new: str) -> str:
    """Return a source path with the new name, if its first folder is named like the person.

    Examples
    --------
    >>> rename_in_source("Ann/1.jpg", "Ann", "Bea"), rename_in_source("photos/Ann.jpg", "Ann", "Bea")
    ('Bea/1.jpg', 'photos/Ann.jpg')
    """
    folder, separator, inside = source.partition(os.sep)
    return new + separator + inside if separator and _composed(folder).strip() == old else source


def contains_name(source: str, name: str) -> bool:
    """Return whether a path contains a name as whole words.

    Examples
    --------
    >>> contains_name("/home/Ann/1.jpg", "Ann"), contains_name("Annika/1.jpg", "Ann")
    (True, False)
    """
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", _composed(source)) is not None


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
