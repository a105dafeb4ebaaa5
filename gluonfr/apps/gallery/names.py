"""Names of people and texts as galleries store them."""

from __future__ import annotations

import os
import unicodedata
from typing import Any

from gluonfr.core import UsageError, display_path

LONGEST_NAME = 200


def person_name(name: Any) -> str:
    """Return a name as galleries store it: Unicode NFC, without leading and trailing space.

    Raises
    ------
    UsageError
        The name is not text of 1 to 200 characters, or contains a zero byte.

    Examples
    --------
    >>> person_name(" Ann Lee ")
    'Ann Lee'
    """
    if not isinstance(name, str):
        raise UsageError(f"the name of a person must be text, got {type(name).__name__}.")
    name = unicodedata.normalize("NFC", valid_text(name)).strip()
    if not name or len(name) > LONGEST_NAME or "\0" in name:
        what = "is empty" if not name else f"has {len(name)} characters" if len(name) > LONGEST_NAME else "contains a zero byte"
        raise UsageError(
            f"the name of a person must have 1 to {LONGEST_NAME} characters, but this one {what}: '{display_path(name[:40])}'."
        )
    return name


def valid_text(text: Any) -> str:
    r"""Return a text or path with the bytes that are not UTF-8 as escapes, because databases store valid Unicode only.

    Examples
    --------
    >>> valid_text("a\udcff")
    'a\\udcff'
    """
    return os.fspath(text).encode("utf-8", "backslashreplace").decode("utf-8")
