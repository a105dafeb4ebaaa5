"""Photos that annotations name."""

from __future__ import annotations

import errno
import os

from gluonfr.core import DataError, display_path
from gluonfr.core.paths import open_regular

_MOST_BYTES = 1 << 29


def photo_path(folder: str, name: str) -> str:
    """Return the path of an annotated photo.

    Raises
    ------
    DataError
        The name leads out of the folder.

    Examples
    --------
    >>> photo_path("/photos", "parade/a.jpg")
    '/photos/parade/a.jpg'
    """
    root = os.path.realpath(folder)
    if "\0" not in name:
        path = os.path.realpath(os.path.join(root, name))
        if os.path.commonpath([path, root]) == root:
            return path
    raise DataError(f"{display_path(name)}: is outside the folder {display_path(folder)}; name photos relative to it.")


def read_photo(path: str) -> bytes:
    """Return the content of a regular file of at most 512 MB; raise `OSError` otherwise.

    Examples
    --------
    >>> read_photo("/photos/missing.jpg")
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: '/photos/missing.jpg'
    """
    with open_regular(path) as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(errno.EFBIG, f"more than {_MOST_BYTES:,} bytes", path)
    return content
