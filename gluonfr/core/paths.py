"""Paths: default folders, checks of files and folders that a user names, and paths in messages."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Iterator, Union

from gluonfr.core.errors import DataError, UsageError

# A path as callers may pass it.
PathLike = Union[str, "os.PathLike[str]"]

# Folder of data sets, as in gluon-face, unless a command or a call names another.
DEFAULT_ROOT = "~/.mxnet/datasets/face"
# Folder of trained and converted networks, with one folder per network.
DEFAULT_MODELS = "~/.mxnet/models/face"

# The first bytes of a git-LFS pointer.
_POINTER = b"version https://git-lfs.github.com/spec/"


def absolute_path(path: PathLike) -> str:
    """Return an absolute path with ``~`` expanded.

    Examples
    --------
    >>> absolute_path("/data/../data/train.rec")
    '/data/train.rec'
    """
    return os.path.abspath(os.path.expanduser(os.fspath(path)))


def display_path(path: PathLike) -> str:
    r"""Return a path as one line of valid text; bytes that are not UTF-8 and control characters are escaped.

    Examples
    --------
    >>> display_path("people/Ann\nLee.jpg")
    'people/Ann\\nLee.jpg'
    """
    text = os.fsencode(os.fspath(path)).decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text)


def require_file(path: PathLike, what: str = "file") -> str:
    """Return the absolute path of a file, or raise `DataError` when it cannot be read.

    Parameters
    ----------
    path : str or os.PathLike
        Path of the file; ``~`` is expanded.
    what : str, default 'file'
        What the file holds, for the message.

    Raises
    ------
    DataError
        The file is missing, a folder, unreadable, empty or a git-LFS pointer (the 130 bytes that git leaves where the file
        itself was not fetched).

    Examples
    --------
    >>> require_file("/no/such.rec", "record file")
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.DataError: /no/such.rec is missing: give the path of a record file.
    """
    path = absolute_path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(len(_POINTER))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing: give the path of a {what}.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path} is a folder: give the path of a {what}.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}).") from error
    if not start:
        raise DataError(f"{path} is empty; copy or download it again.")
    if start == _POINTER:
        raise DataError(
            f"{path} is a git-LFS pointer, not the {what} itself: run `git lfs pull` in its repository, or download the file."
        )
    return path


def require_new_folder(path: PathLike) -> str:
    """Return the absolute path of a folder that is missing or empty, or raise `UsageError`.

    Examples
    --------
    >>> require_new_folder("/no/such/folder")
    '/no/such/folder'
    """
    path = absolute_path(path)
    with disk_errors(path):
        if os.path.lexists(path) and not (os.path.isdir(path) and not os.listdir(path)):
            raise UsageError(f"{display_path(path)} exists already and is not empty; name a new folder.")
    return path


@contextmanager
def disk_errors(path: PathLike) -> Iterator[None]:
    """Turn an OSError of the block, such as a full disk, into a `DataError` that names the path being written.

    Examples
    --------
    >>> with disk_errors("out.csv"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.DataError: out.csv cannot be written (No space left on device); free space there or name another path.
    """
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise DataError(f"{display_path(path)} cannot be written ({why}); free space there or name another path.") from error
