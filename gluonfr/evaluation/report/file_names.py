from __future__ import annotations

import re
import unicodedata

_LONGEST = 60


class FileNames:
    """Makes unique file names of arbitrary text, also for file systems that ignore case.

    Examples
    --------
    >>> names = FileNames()
    >>> names("roc", "lfw"), names("roc", "LFW"), names("roc", "a/b?")
    ('roc_lfw.png', 'roc_LFW-2.png', 'roc_a_b.png')
    """

    def __init__(self) -> None:
        self._used: set[str] = set()

    def __call__(self, *parts: str) -> str:
        """Return `kind_model_set.png` with letters, digits, dots and hyphens, and a number if that is used already."""
        stem = "_".join(_safe(part) for part in parts)
        name, number = f"{stem}.png", 1
        while name.lower() in self._used:
            number += 1
            name = f"{stem}-{number}.png"
        self._used.add(name.lower())
        return name


def _safe(part: str) -> str:
    letters = unicodedata.normalize("NFKD", part).encode("ascii", "ignore").decode()
    # The end of a path is more specific than its beginning.
    return re.sub(r"[^A-Za-z0-9.-]+", "_", letters).strip("._-")[-_LONGEST:].strip("._-") or "unnamed"
