"""Temporary files and folders that a killed process leaves behind only until the next process needs the same name.

Their names are fixed (`.NAME.0.tmp`, `.NAME.1.tmp`, ...), and a lock that ends with the process tells one in use from one that
was left behind, which is used again.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from itertools import count
from typing import Iterator

# Errors of file systems without locks, and of names that another user or kind of file has.
_NO_LOCKS = (errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)
_NOT_OURS = (errno.ELOOP, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ENOENT)

# Arguments of renameat2(2).
_CURRENT, _EXCHANGE = -100, 2


def reserve_file(path: str) -> tuple[str, int]:
    """Return an empty temporary file beside `path`, and the descriptor that reserves it until it is closed.

    Examples
    --------
    >>> written, descriptor = reserve_file(str(getfixture("tmp_path") / "card.json"))
    >>> os.path.basename(written)
    '.card.json.0.tmp'
    >>> os.close(descriptor)
    """
    for number in count():
        written = _name(path, number)
        try:
            descriptor = _lock(written, os.O_RDWR | os.O_CREAT)
        except _NoLocksError:
            folder, name = os.path.split(path)
            descriptor, written = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
            return written, descriptor
    raise AssertionError


def reserve_folder(path: str) -> tuple[str, int]:
    """Return an empty temporary folder beside `path`, and the descriptor that reserves it until it is closed.

    Examples
    --------
    >>> written, descriptor = reserve_folder(str(getfixture("tmp_path") / "model"))
    >>> os.path.basename(written), os.listdir(written)
    ('.model.0.tmp', [])
    >>> os.close(descriptor)
    """
    for number in count():
        written = _name(path, number)
        try:
            remove_unused(written)
            os.mkdir(written, 0o700)
            descriptor = _lock(written, os.O_RDONLY)
        except FileExistsError:
            continue
        except _NoLocksError:
            folder, name = os.path.split(path)
            written = tempfile.mkdtemp(prefix=f".{name}.", suffix=".tmp", dir=folder)
            descriptor = os.open(written, os.O_RDONLY)
        if descriptor is not None:
            return written, descriptor
    raise AssertionError


def release(path: str, descriptor: int) -> None:
    """End the reservation of a temporary file or folder of `path`, and remove those that no process uses.

    Examples
    --------
    >>> path = str(getfixture("tmp_path") / "card.json")
    >>> written, descriptor = reserve_file(path)
    >>> release(path, descriptor)
    >>> os.path.exists(written)
    False
    """
    os.close(descriptor)
    remove_leftovers(path)


def remove_leftovers(path: str) -> None:
    """Remove the temporary files and folders of `path` that no process uses.

    Examples
    --------
    >>> remove_leftovers("/no/such/card.json")
    """
    for number in count():
        written = _name(path, number)
        if os.path.lexists(written):
            with suppress(_NoLocksError, OSError):
                remove_unused(written)
        elif number:
            return


def remove_unused(written: str) -> None:
    """Remove a temporary file or folder unless a process uses it.

    Examples
    --------
    >>> remove_unused("/no/such/.card.json.0.tmp")
    """
    if os.path.lexists(written):
        descriptor = _lock(written, os.O_RDONLY)
        if descriptor is not None:
            try:
                if os.path.isdir(written):
                    shutil.rmtree(written, ignore_errors=True)
                else:
                    os.unlink(written)
            finally:
                os.close(descriptor)


def exchange(one: str, other: str) -> bool:
    """Exchange two paths in one step; return False where the system or the file system cannot.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> one, other = folder / "one", folder / "other"
    >>> _ = one.write_text("1"), other.write_text("2")
    >>> if exchange(str(one), str(other)):
    ...     assert one.read_text() == "2"
    """
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    return rename(_CURRENT, os.fsencode(one), _CURRENT, os.fsencode(other), _EXCHANGE) == 0


@contextmanager
def scratch_folder() -> Iterator[str]:
    """Provide a folder for intermediate files in the folder of the system for temporary files; it is removed after the block.

    Examples
    --------
    >>> with scratch_folder() as folder:
    ...     os.listdir(folder)
    []
    """
    path = os.path.join(tempfile.gettempdir(), f"gluonfr-{os.getuid()}")
    written, descriptor = reserve_folder(path)
    try:
        yield written
    finally:
        shutil.rmtree(written, ignore_errors=True)
        release(path, descriptor)


class _NoLocksError(Exception):
    """The file system has no locks."""


def _name(path: str, number: int) -> str:
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{number}.tmp")


def _lock(path: str, flags: int) -> int | None:
    """Open and lock a file or folder; None if a process uses it, or it is another user's."""
    import fcntl

    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in _NOT_OURS and os.path.lexists(path):
            return None
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Its process may have renamed it between the two calls.
        if os.path.samestat(os.fstat(descriptor), os.lstat(path)) and os.fstat(descriptor).st_uid == os.geteuid():
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        os.close(descriptor)
        if error.errno in _NO_LOCKS:
            raise _NoLocksError from error
        raise
    os.close(descriptor)
    return None
