"""Atomic files and folders: they appear complete under their name, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from typing import IO, Any, Iterator

from gluonfr.core.errors import DataError
from gluonfr.core.paths import PathLike, absolute_path, disk_errors


def sync_folder(folder: PathLike) -> None:
    """Flush the list of names of a folder to the disk, so that a renamed file survives a power failure.

    Examples
    --------
    >>> sync_folder(".")
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_files(*paths: PathLike, mode: str = "wb", **open_kwargs: Any) -> Iterator[list[IO[Any]]]:
    """Write several files that appear together, or not at all.

    After the block all files are flushed and synced, then renamed **in the order given**, so name last the file that marks the
    set as complete. When the block raises, no partial files are left, and existing files stay unchanged.

    Parameters
    ----------
    *paths : str or os.PathLike
        Paths of the files. Missing folders are created.
    mode : str, default 'wb'
        Mode of `open`.
    **open_kwargs
        Other arguments of `open`.

    Yields
    ------
    list of file
        Open temporary files, in the order of `paths`, in the folders of their paths.

    Raises
    ------
    DataError
        A file cannot be created there.

    Examples
    --------
    >>> folder = getfixture("tmp_path")
    >>> with atomic_files(folder / "train.rec", folder / "train.idx", mode="w") as (records, index):
    ...     _ = records.write("records"), index.write("index")
    >>> sorted(path.name for path in folder.iterdir())
    ['train.idx', 'train.rec']
    """
    targets = [absolute_path(path) for path in paths]
    temporary: list[str] = []
    try:
        with ExitStack() as stack:
            files = []
            for path in targets:
                temporary.append(_make_temporary_file(path))
                # Opened by path, so that the `name` of the file is a path.
                files.append(stack.enter_context(open(temporary[-1], mode, **open_kwargs)))
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        for written, path in zip(list(temporary), targets):
            os.replace(written, path)
            temporary.remove(written)
        for folder in {os.path.dirname(path) for path in targets}:
            sync_folder(folder)
    finally:
        for written in temporary:
            if os.path.exists(written):
                os.unlink(written)


@contextmanager
def atomic_file(path: PathLike, mode: str = "wb", **open_kwargs: Any) -> Iterator[IO[Any]]:
    """Write one file that appears complete, or not at all; yields the open temporary file (see `atomic_files`).

    Examples
    --------
    >>> path = getfixture("tmp_path") / "card.json"
    >>> with atomic_file(path, "w", encoding="utf-8") as file:
    ...     _ = file.write("{}")
    >>> path.read_text()
    '{}'
    """
    with atomic_files(path, mode=mode, **open_kwargs) as (file,):
        yield file


@contextmanager
def atomic_folder(path: PathLike) -> Iterator[str]:
    """Fill a folder that appears complete, or not at all.

    An existing folder at `path` is replaced. The files that the block wrote are synced before the folder is renamed.

    Parameters
    ----------
    path : str or os.PathLike
        Path of the folder. Missing parents are created.

    Yields
    ------
    str
        Path of the temporary folder, beside `path`.

    Raises
    ------
    DataError
        The folder cannot be created there.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "model"
    >>> with atomic_folder(path) as folder, open(f"{folder}/card.json", "w") as file:
    ...     _ = file.write("{}")
    >>> [file.name for file in path.iterdir()]
    ['card.json']
    """
    path = absolute_path(path)
    parent, name = os.path.split(path)
    written = _make_temporary_folder(path)
    try:
        yield written
        _sync_files(written)
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


@contextmanager
def new_folder(path: PathLike) -> Iterator[str]:
    """Fill a new folder like `atomic_folder`, and report disk errors of the block as `DataError`.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "clusters"
    >>> with new_folder(path) as folder, open(f"{folder}/people.csv", "w") as file:
    ...     _ = file.write("id")
    >>> [file.name for file in path.iterdir()]
    ['people.csv']
    """
    with disk_errors(path), atomic_folder(path) as folder:
        yield folder


def file_sha256(path: PathLike) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits.

    Examples
    --------
    >>> file_sha256(os.devnull)[:16]
    'e3b0c44298fc1c14'
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _make_temporary_file(path: str) -> str:
    folder, name = os.path.split(path)
    try:
        os.makedirs(folder, exist_ok=True)
        descriptor, written = tempfile.mkstemp(prefix="." + name + ".", suffix=".tmp", dir=folder)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); choose another folder.") from error
    os.fchmod(descriptor, _mode_of_new_files())
    os.close(descriptor)
    return written


def _make_temporary_folder(path: str) -> str:
    parent, name = os.path.split(path)
    try:
        os.makedirs(parent, exist_ok=True)
        written = tempfile.mkdtemp(prefix="." + name + ".", suffix=".tmp", dir=parent)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); choose another folder.") from error
    mode = _mode_of_new_files()
    os.chmod(written, mode | (mode >> 2 & 0o111))
    return written


def _mode_of_new_files() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_files(top: str) -> None:
    for folder, _, names in os.walk(top):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                os.fsync(file.fileno())
        sync_folder(folder)
