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
from gluonfr.core.temporary import exchange, release, reserve_file, reserve_folder


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
    with ExitStack() as reserved:
        temporary = [reserved.enter_context(_temporary_file(path)) for path in targets]
        with ExitStack() as stack:
            # Opened by path, so that the `name` of the file is a path.
            files = [stack.enter_context(open(written, mode, **open_kwargs)) for written in temporary]
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        for written, path in zip(temporary, targets):
            os.replace(written, path)
        for folder in {os.path.dirname(path) for path in targets}:
            sync_folder(folder)


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
    with temporary_folder(path) as written:
        yield written
        _sync_files(written)
        _replace_folder(written, path)
        sync_folder(os.path.dirname(path))


@contextmanager
def temporary_folder(path: str) -> Iterator[str]:
    """Provide a hidden folder beside `path`, which is removed after the block, or by the next process if this one is killed.

    Examples
    --------
    >>> with temporary_folder(str(getfixture("tmp_path") / "model")) as folder:
    ...     os.path.basename(folder)
    '.model.0.tmp'
    """
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        written, descriptor = reserve_folder(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); choose another folder.") from error
    try:
        mode = _mode_of_new_files()
        os.chmod(written, mode | (mode >> 2 & 0o111))
        yield written
    finally:
        shutil.rmtree(written, ignore_errors=True)
        release(path, descriptor)


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


@contextmanager
def _temporary_file(path: str) -> Iterator[str]:
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        written, descriptor = reserve_file(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}); choose another folder.") from error
    try:
        os.fchmod(descriptor, _mode_of_new_files())
        yield written
    finally:
        if os.path.exists(written):
            os.unlink(written)
        release(path, descriptor)


def _replace_folder(written: str, path: str) -> None:
    if not os.path.isdir(path):
        os.replace(written, path)
    elif os.path.islink(path) or not exchange(written, path):
        # In two steps: a process that is killed between them leaves the old folder in a hidden one.
        parent, name = os.path.split(path)
        old = tempfile.mkdtemp(prefix=f".{name}.", suffix=".old", dir=parent)
        os.replace(path, os.path.join(old, name))
        os.replace(written, path)
        shutil.rmtree(old, ignore_errors=True)


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
