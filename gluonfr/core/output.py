from __future__ import annotations

import os
from contextlib import contextmanager

from gluonfr.core.errors import GluonFRError
from gluonfr.core.files import atomic_folder


@contextmanager
def disk_errors(path):
    """Turn a full disk, a missing permission and the like, while the block writes `path`, into a GluonFRError that names it."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise GluonFRError(
            f"{display_path(path)}: cannot be written ({why}); make room there or name another place."
        ) from error


def require_new_folder(path):
    """The absolute path of a folder that is not there yet, or is empty; another one raises GluonFRError."""
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    with disk_errors(path):
        if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
            raise GluonFRError(f"{display_path(path)}: exists already and is not empty; name a new folder.")
    return path


@contextmanager
def new_folder(path):
    """`core.atomic_folder` for a path that `require_new_folder` gave, with `disk_errors`."""
    with disk_errors(path), atomic_folder(path) as folder:
        yield folder


def display_path(path):
    """A path on one line of valid text: bytes that are no UTF-8, and line breaks, are written as escapes."""
    text = os.fsencode(os.fspath(path)).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text)
