from __future__ import annotations

import re

from gluonfr.core import DataError
from gluonfr.core.paths import open_regular
from gluonfr.data.records.header import LABEL_LIMIT

MAX_CLASSES = LABEL_LIMIT
# Images inside sets have at most `images.MAX_PIXELS` pixels.
_MAX_SIDE = 4096


def read_property(path: str) -> tuple[int, tuple[int, int]]:
    """Read the `property` file of a training set: `num_classes,H,W` in its first line.

    Parameters
    ----------
    path : str
        The file. Lines after the first are ignored.

    Returns
    -------
    num_classes : int
        At least 1.
    image_size : tuple of int
        (H, W) in pixels.

    Raises
    ------
    DataError
        The line has another format, or its numbers are out of range.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w") as file:
    ...     _ = file.write("293,112,112")
    ...     file.flush()
    ...     read_property(file.name)
    (293, (112, 112))
    """
    try:
        with open_regular(path) as file:
            line = file.readline(100)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); correct or delete it.") from error
    found = re.fullmatch(rb"\s*(\d{1,9})\s*,\s*(\d{1,5})\s*,\s*(\d{1,5})\s*", line)
    num_classes, height, width = map(int, found.groups()) if found else (0, 0, 0)
    if min(num_classes, height, width) < 1:
        raise DataError(
            f"{path}: the first line is not num_classes,H,W (such as 293,112,112); correct it, or delete the file so that it "
            "is derived from the records."
        )
    if num_classes > MAX_CLASSES or max(height, width) > _MAX_SIDE:
        raise DataError(
            f"{path}: {num_classes},{height},{width} is out of range (at most {MAX_CLASSES} classes and {_MAX_SIDE} pixels per "
            "side); correct it, or delete the file so that it is derived from the records."
        )
    return num_classes, (height, width)
