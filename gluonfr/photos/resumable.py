"""Work on many images that is saved block by block, so that an interrupted run can be resumed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from gluonfr.core import (
    DataError,
    PathLike,
    UsageError,
    absolute_path,
    atomic_file,
    disk_errors,
    display_path,
    require_new_folder,
)
from gluonfr.core.reading import parse_json, read_json, read_npz
from gluonfr.photos.folder_lock import lock_folder

_VERSION = 1
_SETTINGS = "settings.json"


class Blocks:
    """Arrays by key in a folder, one file per block, written atomically.

    Parameters
    ----------
    folder : str
        Created when missing.
    settings : dict
        What the results depend on, as JSON can represent it.

    Raises
    ------
    UsageError
        The folder contains blocks with other settings, or something else.
    DataError
        The settings file is damaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     blocks = Blocks(folder, {"network": "y1"})
    ...     blocks.write("a", rows=np.arange(3))
    ...     "a" in blocks, blocks.read("a", "rows")
    (True, [array([0, 1, 2])])
    """

    def __init__(self, folder: str, settings: dict[str, Any]) -> None:
        self.folder = folder
        settings = json.loads(json.dumps({"version": _VERSION, **settings}))
        path = os.path.join(folder, _SETTINGS)
        with disk_errors(folder):
            os.makedirs(folder, exist_ok=True)
            if not os.path.exists(path):
                if os.listdir(folder):
                    raise UsageError(f"{display_path(folder)} contains other files than embeddings. Use a new folder.")
                with atomic_file(path, "w", encoding="utf-8") as file:
                    json.dump(settings, file, indent=1)
        before = _read_settings(path)
        if before != settings:
            different = ", ".join(name for name in settings if before.get(name) != settings[name])
            raise UsageError(
                f"{display_path(folder)} contains unfinished work with another {different or 'version'}. "
                "Use the same options to resume it, or delete that folder to start again."
            )

    def __contains__(self, key: str) -> bool:
        return os.path.exists(self._path(key))

    def __repr__(self) -> str:
        count = sum(name.endswith(".npz") for name in os.listdir(self.folder))
        return f"Blocks({self.folder!r}, {count} blocks)"

    def write(self, key: str, **arrays: np.ndarray) -> None:
        """Save the arrays of a block."""
        with disk_errors(self.folder), atomic_file(self._path(key)) as file:
            np.savez(file, **arrays)

    def read(self, key: str, *names: str) -> list[np.ndarray]:
        """Return some arrays of a block, in the order of their names."""
        try:
            return list(read_npz(self._path(key), "arrays of a block", names).values())
        except DataError as error:
            raise self._damaged(key, error) from error

    def read_reasons(self, key: str, name: str) -> dict[int, str]:
        """Return why inputs of a block were left out, by number, from a JSON object of a block."""
        (text,) = self.read(key, name)
        try:
            return {int(number): str(reason) for number, reason in parse_json(str(text), name).items()}
        except (ValueError, AttributeError) as error:
            raise self._damaged(key, error) from error

    def _damaged(self, key: str, problem: object) -> DataError:
        path = display_path(self._path(key))
        return DataError(f"{path} is damaged ({problem}). Delete it; the next run computes it again.")

    def stacked(self, keys: Iterable[str], name: str, file: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Concatenate one array of all blocks, memory-mapped to a file of the folder."""
        with disk_errors(self.folder):
            path, start = os.path.join(self.folder, file), 0
            if not shape[0]:
                return np.empty(shape, dtype)
            rows = np.memmap(path, dtype, "w+", shape=shape)
            for key in keys:
                (part,) = self.read(key, name)
                fits = part.shape == (len(rows[start : start + len(part)]), *shape[1:]) if part.ndim else False
                if not fits or not np.can_cast(part.dtype, rows.dtype, "same_kind"):
                    raise self._damaged(key, f"{name} is {part.dtype} {part.shape}")
                rows[start : start + len(part)] = part
                start += len(part)
            return rows

    def _path(self, key: str) -> str:
        return os.path.join(self.folder, f"{key}.npz")


def work_folder(out: str) -> str:
    """Return the folder of unfinished work for an output: a hidden folder beside it.

    Examples
    --------
    >>> work_folder("sets/sorted")
    'sets/.sorted.unfinished'
    """
    parent, name = os.path.split(out)
    return os.path.join(parent, f".{name}.unfinished")


@contextmanager
def working_in(folder: str, keep: bool = False) -> Iterator[str]:
    """Reserve the folder of unfinished work while the block runs, and remove it when the block succeeds.

    Parameters
    ----------
    folder : str
        Created when missing.
    keep : bool, default False
        Do not remove it.

    Raises
    ------
    UsageError
        Another process uses the folder, or it contains other files.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     with working_in(os.path.join(parent, ".sorted.unfinished")) as folder:
    ...         blocks = Blocks(folder, {})
    ...     os.path.exists(folder)
    False
    """
    with disk_errors(folder):
        created = not os.path.isdir(folder)
        os.makedirs(folder, exist_ok=True)
    with lock_folder(folder):
        if not keep and not created and not _is_work(folder):
            raise UsageError(f"{display_path(folder)} contains other files than unfinished work. Move it away.")
        try:
            yield folder
        except BaseException:
            # Without any finished block there is nothing to resume.
            if created and not keep and not _has_blocks(folder):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        if not keep:
            shutil.rmtree(folder)


def remove_finished_work(out: str) -> None:
    """Remove the folder of unfinished work of an output that is complete: its process was killed at the very end.

    Examples
    --------
    >>> remove_finished_work("no/such/folder")
    """
    folder = work_folder(out)
    if os.path.isdir(out) and os.listdir(out) and os.path.isdir(folder) and _is_work(folder):
        with suppress(UsageError), lock_folder(folder):
            shutil.rmtree(folder, ignore_errors=True)


def require_new_output(path: PathLike) -> str:
    """Return what `require_new_folder` returns; remove the unfinished work of an output that is complete.

    Examples
    --------
    >>> require_new_output("/no/such/folder")
    '/no/such/folder'
    """
    remove_finished_work(absolute_path(path))
    return require_new_folder(path)


def _is_work(folder: str) -> bool:
    """Return whether the folder contains unfinished work, or no file at all."""
    files = [(place, name) for place, _, names in os.walk(folder) for name in names]
    return not files or any(name == _SETTINGS and folder in (place, os.path.dirname(place)) for place, name in files)


def _has_blocks(folder: str) -> bool:
    return any(name.endswith(".npz") for _, _, names in os.walk(folder) for name in names)


def network_settings(embedder: Any) -> dict[str, Any]:
    """Return what the embeddings of an `Embedder` depend on.

    Examples
    --------
    >>> network_settings(Embedder("y1"))["flip"]  # doctest: +SKIP
    True
    """
    card = embedder.card
    return {
        "network": [card.network, card.extra.get("original_sha256") or card.sha256, list(card.image_size), card.template],
        "flip": embedder.flip,
    }


def digest(values: Any) -> str:
    """Return a short name for values that JSON can represent.

    Examples
    --------
    >>> digest([1, "a"]) == digest([1, "a"]), len(digest([]))
    (True, 24)
    """
    return hashlib.sha256(json.dumps(values).encode("ascii")).hexdigest()[:24]


def file_state(path: str) -> list[int] | None:
    """Return what changes when a file does, [size, modification time in ns]; None where it is missing.

    Examples
    --------
    >>> file_state("/nonexistent") is None
    True
    """
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _read_settings(path: str) -> dict[str, Any]:
    try:
        values = read_json(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{display_path(path)} is damaged ({error}). Delete its folder to start again.") from error
    return values if isinstance(values, dict) else {}
