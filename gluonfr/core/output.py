import os
from contextlib import contextmanager

from gluonfr.core.errors import GluonFRError
from gluonfr.core.files import whole_folder


@contextmanager
def disk_problems(path):
    """Turn a full disk, a missing permission and the like, while the block writes `path`, into a GluonFRError that names it."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise GluonFRError(f"{shown(path)}: cannot be written ({why}); make room there or name another place.") from error


def need_new_folder(path):
    """The absolute path of a folder that is not there yet, or is empty; another one raises GluonFRError."""
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    with disk_problems(path):
        if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
            raise GluonFRError(f"{shown(path)}: exists already and is not empty; name a new folder.")
    return path


@contextmanager
def new_folder(path):
    """`core.whole_folder` for a path that `need_new_folder` gave, with `disk_problems`."""
    with disk_problems(path), whole_folder(path) as folder:
        yield folder


def shown(path):
    """A path on one line of valid text: bytes that are no UTF-8, and line breaks, are written as escapes."""
    text = os.fsencode(os.fspath(path)).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text)
