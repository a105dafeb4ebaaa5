from __future__ import annotations

import re
import unicodedata

_LONGEST = 60


class FileNames:
    """Names of files made of names that may hold anything; no two are equal, on file systems that ignore case either."""

    def __init__(self) -> None:
        self._taken = set()

    def __call__(self, *parts):
        """`kind_model_set.png`, letters, digits, dot and hyphen alone, with a number where that is taken."""
        stem = "_".join(_safe(part) for part in parts)
        name, number = f"{stem}.png", 1
        while name.lower() in self._taken:
            number += 1
            name = f"{stem}-{number}.png"
        self._taken.add(name.lower())
        return name


def _safe(part):
    letters = unicodedata.normalize("NFKD", part).encode("ascii", "ignore").decode()
    # The end of a path tells more than its beginning.
    return re.sub(r"[^A-Za-z0-9.-]+", "_", letters).strip("._-")[-_LONGEST:].strip("._-") or "unnamed"
