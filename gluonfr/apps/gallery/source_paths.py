"""Paths of photos that hold the name of a person who gets another one."""

from __future__ import annotations

import os
import re
import unicodedata

PATHS_KEEP_IT = "Paths of some of the photos still hold the old name; remove the person and enroll it anew where they must not."


def moved_source(source, old, new):
    """A path with the new name, where its first folder is called as the person was."""
    folder, separator, inside = source.partition(os.sep)
    return new + separator + inside if separator and _composed(folder).strip() == old else source


def names_person(source, name):
    """Whether a path holds a name anywhere, as words of their own."""
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", _composed(source)) is not None


def _composed(text):
    return unicodedata.normalize("NFC", text)
