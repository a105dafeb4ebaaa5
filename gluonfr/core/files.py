from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from contextlib import ExitStack, contextmanager

import numpy as np

from gluonfr.core.errors import GluonFRError


def sync_folder(folder) -> None:
    """Bring a folder's list of names to the disk, without which a renamed file may be gone after a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mode_of_new_files():
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


@contextmanager
def atomic_files(*paths, mode="wb", **open_kwargs):
    """Write several files that appear together, or not at all.

    Yields the open temporary files, in the order of `paths`; each lies in the folder of its path (created when missing).
    After the block all are flushed and synced, then renamed **in the order given**, so name last the file whose presence
    makes the set count. When the block raises, nothing is left behind and files that were there before stay as they were.
    """
    paths = [os.path.abspath(os.path.expanduser(os.fspath(path))) for path in paths]
    temporary = []
    try:
        with ExitStack() as stack:
            files = []
            for path in paths:
                folder, name = os.path.split(path)
                try:
                    os.makedirs(folder, exist_ok=True)
                    descriptor, written = tempfile.mkstemp(prefix="." + name + ".", suffix=".tmp", dir=folder)
                except OSError as error:
                    raise GluonFRError(f"{path}: cannot be written there ({error.strerror}); choose another folder.") from error
                temporary.append(written)
                os.fchmod(descriptor, _mode_of_new_files())
                os.close(descriptor)
                # Opened by its path, so that the file's `name` is one.
                files.append(stack.enter_context(open(written, mode, **open_kwargs)))
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        for written, path in zip(list(temporary), paths):
            os.replace(written, path)
            temporary.remove(written)
        for folder in {os.path.dirname(path) for path in paths}:
            sync_folder(folder)
    finally:
        for written in temporary:
            if os.path.exists(written):
                os.unlink(written)


@contextmanager
def atomic_file(path, mode="wb", **open_kwargs):
    """Write one file that appears whole or not at all; yields the open temporary file beside `path`."""
    with atomic_files(path, mode=mode, **open_kwargs) as (file,):
        yield file


@contextmanager
def atomic_folder(path):
    """Fill a folder that appears whole or not at all; yields the temporary folder beside `path`.

    An existing folder at `path` is replaced. The files that the block wrote are synced before the rename.
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    parent, name = os.path.split(path)
    try:
        os.makedirs(parent, exist_ok=True)
        written = tempfile.mkdtemp(prefix="." + name + ".", suffix=".tmp", dir=parent)
    except OSError as error:
        raise GluonFRError(f"{path}: cannot be written there ({error.strerror}); choose another folder.") from error
    os.chmod(written, _mode_of_new_files() | (_mode_of_new_files() >> 2 & 0o111))
    try:
        yield written
        for folder, _, names in os.walk(written):
            for each in names:
                with open(os.path.join(folder, each), "rb") as file:
                    os.fsync(file.fileno())
            sync_folder(folder)
        if os.path.isdir(path):
            old = tempfile.mkdtemp(prefix="." + name + ".", suffix=".old", dir=parent)
            os.replace(path, os.path.join(old, name))
            os.replace(written, path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(written, path)
        sync_folder(parent)
    finally:
        shutil.rmtree(written, ignore_errors=True)


_POINTER = b"version https://git-lfs.github.com/spec/"


def require_file(path, what="file"):
    """The absolute path of a file that exists, holds something and is no stand-in.

    Raises
    ------
    GluonFRError
        It is missing, a folder, unreadable or empty, or a git-LFS pointer: the 130 bytes that git leaves where the real
        file was not fetched.
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    try:
        with open(path, "rb") as file:
            start = file.read(len(_POINTER))
    except FileNotFoundError as error:
        raise GluonFRError(f"{path} is missing: give the path of a {what}.") from error
    except IsADirectoryError as error:
        raise GluonFRError(f"{path} is a folder: give the path of a {what}.") from error
    except OSError as error:
        raise GluonFRError(f"{path} cannot be read ({error.strerror}).") from error
    if not start:
        raise GluonFRError(f"{path} is empty; fetch it again.")
    if start == _POINTER:
        raise GluonFRError(
            f"{path} is a git-LFS pointer, not the {what} itself: run `git lfs pull` in its repository, or download the file."
        )
    return path


def read_npz(path, needs):
    """The arrays of a `.npz`, read without running what a pickle asks for: dict of name to array.

    Parameters
    ----------
    path : str
    needs : str
        What the file should hold, for the message.

    Raises
    ------
    GluonFRError
        It is missing, no `.npz`, damaged, or holds objects.
    """
    path = require_file(path, "file of embeddings")
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("no archive of arrays")
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    # Bytes that lie about what they are can fail in any way that Python knows, for want of memory among others.
    except Exception as error:
        said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise GluonFRError(f"{path} cannot be read as .npz without pickles ({said[:200]}); it needs {needs}.") from error


def file_sha256(path):
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
