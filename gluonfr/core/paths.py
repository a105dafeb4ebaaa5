"""Paths: default folders, checks of files and folders that a user names, paths in messages, and the import path."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import contextmanager
from typing import BinaryIO, Iterator, Union

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
    return "".join(letter if letter.isprintable() else _escape(letter) for letter in os.fsdecode(path))


def display_lines(text: str) -> str:
    r"""Return text as valid text, with control characters other than line breaks escaped.

    Examples
    --------
    >>> display_lines("people/\x1b[31mAnn\nLee.jpg")
    'people/\\x1b[31mAnn\nLee.jpg'
    """
    return "\n".join(map(display_path, text.split("\n")))


def _escape(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":
        # A byte of a file name that is not UTF-8.
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")


def open_regular(path: PathLike) -> BinaryIO:
    """Open a file for reading; raise `OSError` for anything but a regular file, which may never end or wait for a writer.

    Examples
    --------
    >>> open_regular("/dev/zero")
    Traceback (most recent call last):
        ...
    OSError: [Errno 22] not a regular file: '/dev/zero'
    """
    if "\0" in os.fsdecode(path):
        raise OSError(errno.EINVAL, "no file has this name", os.fspath(path))
    # Without O_NONBLOCK, opening a named pipe would wait for a writer.
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))  # noqa: SIM115  (returned)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
    return file


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
        with open_regular(path) as file:
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
def reading_errors(path: PathLike) -> Iterator[None]:
    """Turn an OSError of the block into a `DataError` that names the path being read.

    Examples
    --------
    >>> with reading_errors("a.jpg"):
    ...     raise OSError(5, "Input/output error")
    Traceback (most recent call last):
        ...
    gluonfr.core.errors.DataError: a.jpg cannot be read (Input/output error); check the file.
    """
    try:
        yield
    except OSError as error:
        raise DataError(f"{display_path(path)} cannot be read ({error.strerror or error}); check the file.") from error


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


def python_command(program: str, *arguments: str) -> list[str]:
    """Return the command of a child process that runs a program with the import path of this process.

    `python -c` alone would import modules of the current folder in place of installed ones.

    Examples
    --------
    >>> python_command("print(1)", "a")[3:]
    ['a']
    """
    path = [entry for entry in sys.path if isinstance(entry, str)]
    return [sys.executable, "-c", f"import sys\nsys.path[:] = {path!r}\n{program}", *arguments]
