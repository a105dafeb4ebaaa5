"""The files of one checkpoint: arrays as .npy and .npz, and meta.json with the size and the checksum of each of them."""

from __future__ import annotations

import json
import os
import re
import zlib
from typing import Any, Mapping

import numpy as np

from gluonfr.core import DataError, sync_folder
from gluonfr.core.reading import open_npy, parse_json, read_npz

META = "meta.json"
# The checksum of meta.json itself. Checkpoints of older versions have no such file.
_META_CHECKSUM = "meta.crc32"
_FORMAT = 2
_NAME = re.compile(r"step_(\d{8,})$")
_BLOCK = 1 << 20
# The types of MXNet's arrays.
_TYPES = ("float16", "float32", "float64", "int8", "int32", "int64", "uint8")


def folder_name(step: int) -> str:
    """Return the name of the folder of a checkpoint.

    Examples
    --------
    >>> folder_name(12)
    'step_00000012'
    """
    return f"step_{step:08d}"


def steps_in(folder: str) -> list[int]:
    """Return the steps of the checkpoints in a folder, ascending.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     os.mkdir(os.path.join(folder, folder_name(12)))
    ...     steps_in(folder)
    [12]
    """
    matches = (_NAME.match(name) for name in (os.listdir(folder) if os.path.isdir(folder) else []))
    return sorted(int(match.group(1)) for match in matches if match)


def checksum(path: str) -> int:
    """Return the CRC-32 of a file.

    Examples
    --------
    >>> checksum(os.devnull)
    0
    """
    value = 0
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(_BLOCK), b""):
            value = zlib.crc32(block, value)
    return value


def write_arrays(path: str, name: str, content: Any) -> tuple[str, list[int]]:
    """Write an array as NAME.npy, or a dict of arrays as NAME.npz; return the file's name, and its size and checksum.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_arrays(folder, "weight", np.zeros(2))[0]
    'weight.npy'
    """
    name += ".npz" if isinstance(content, dict) else ".npy"
    path = os.path.join(path, name)
    with open(path, "wb") as file:
        if isinstance(content, dict):
            np.savez(file, **content)
        else:
            np.save(file, content, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
    return name, [os.path.getsize(path), checksum(path)]


def read_arrays(path: str, name: str) -> Any:
    """Return the arrays called `name` in the checkpoint at `path`: a dict, or one array that stays on the disk.

    Raises
    ------
    DataError
        The file is missing, damaged or holds anything but numbers.

    Examples
    --------
    >>> read_arrays("runs/a/checkpoints/step_00000100", "parameters")  # doctest: +SKIP
    """
    single = os.path.join(path, name + ".npy")
    if os.path.exists(single):
        return _numbers(open_npy(single, "numbers"), single)
    archive = os.path.join(path, name + ".npz")
    return {key: _numbers(array, f"{archive}: {key}") for key, array in read_npz(archive, "arrays of a checkpoint").items()}


def _numbers(array: np.ndarray, where: str) -> np.ndarray:
    if array.dtype.name not in _TYPES:
        raise DataError(f"{where} has values of type {array.dtype} instead of numbers; remove the checkpoint.")
    return array


def write_meta(path: str, meta: Mapping[str, Any]) -> None:
    """Write meta.json and its checksum into the checkpoint at `path`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_meta(folder, {"step": 3})
    ...     read_meta(folder)["step"]
    3
    """
    content = json.dumps(dict(meta, format=_FORMAT)).encode()
    for name, data in ((META, content), (_META_CHECKSUM, b"%08x\n" % zlib.crc32(content))):
        with open(os.path.join(path, name), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    sync_folder(path)


def read_meta(path: str) -> dict[str, Any]:
    """Return the content of meta.json of the checkpoint at `path`, compared with its checksum.

    Raises
    ------
    ValueError, OSError
        It is missing, damaged or of the wrong form.

    Examples
    --------
    >>> read_meta("runs/a/checkpoints/step_00000100")["step"]  # doctest: +SKIP
    100
    """
    with open(os.path.join(path, META), "rb") as file:
        content = file.read()
    stored = os.path.join(path, _META_CHECKSUM)
    has_checksum = os.path.exists(stored)
    if has_checksum:
        with open(stored, "rb") as file:
            if file.read() != b"%08x\n" % zlib.crc32(content):
                raise ValueError(f"{META} differs from what was written")
    meta = parse_json(content, META)
    if not isinstance(meta, dict):
        raise ValueError(f"{META} is not an object")
    if not has_checksum and "format" in meta:
        raise ValueError(f"{_META_CHECKSUM} is missing")
    return meta


def verify(path: str) -> dict[str, Any]:
    """Read all files of the checkpoint at `path`, compare their sizes and checksums, and return its meta.

    Raises
    ------
    ValueError, OSError
        A file is missing or damaged.

    Examples
    --------
    >>> verify("runs/a/checkpoints/step_00000100")["step"]  # doctest: +SKIP
    100
    """
    meta = read_meta(path)
    files = meta.get("files")
    if not isinstance(files, dict):
        raise ValueError(f"{META} does not list the files")
    for name, expected in files.items():
        file = os.path.join(path, name)
        if os.path.basename(name) != name or [os.path.getsize(file), checksum(file)] != expected:
            raise ValueError(f"{name} differs from what was written")
    return meta
