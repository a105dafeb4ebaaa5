"""`train.cache` beside a large `train.rec`: the offsets and labels of its images, so that the set opens fast the next time.

The file is one line of JSON, padded with blanks to 4096 bytes, and the arrays. It only repeats what the records hold: when it
is missing or does not match them, they are scanned again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import zlib
from typing import IO, Any

import numpy as np

from gluonfr.core import GluonFRError, atomic_file
from gluonfr.core.paths import open_regular
from gluonfr.core.reading import parse_json
from gluonfr.data.records.offsets import ImageOffsets

logger = logging.getLogger(__name__)

_FORMAT = "gluonfr records 1"
_HEAD = 4096
_BLOCK_BYTES = 1 << 24
# Smaller sets open quickly without a cache.
_MIN_IMAGES = 100_000
_SAMPLES, _SAMPLE_SIZE = 64, 4096


def cache_path(path: str) -> str:
    """Return the path of the cache of a `.rec`.

    Examples
    --------
    >>> cache_path("emore/train.rec")
    'emore/train.cache'
    """
    return os.path.splitext(path)[0] + ".cache"


def fingerprint(path: str) -> list[Any] | None:
    """Identify the state of a file: its size, modification time, and a hash of 64 samples of its bytes.

    Parameters
    ----------
    path : str
        The file.

    Returns
    -------
    list or None
        As JSON stores it; None when the file does not exist.

    Examples
    --------
    >>> fingerprint("/a/missing/file") is None
    True
    """
    try:
        with open_regular(path) as file:
            state = os.fstat(file.fileno())
            digest = hashlib.blake2b(digest_size=16)
            for number in range(_SAMPLES):
                file.seek(max(state.st_size - _SAMPLE_SIZE, 0) * number // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_SIZE))
    except FileNotFoundError:
        return None
    return [state.st_size, state.st_mtime_ns, digest.hexdigest()]


def load_cache(path: str, fingerprints: list[Any]) -> tuple[ImageOffsets, int, np.ndarray] | None:
    """Load the cache of a `.rec`.

    Parameters
    ----------
    path : str
        The `.rec`.
    fingerprints : list
        Of the `.rec` and its `.idx` as they are now.

    Returns
    -------
    tuple of (ImageOffsets, int, np.ndarray), or None
        The offsets, the number of header records, and the int64 labels (-1 where a record is damaged), read-only and mapped
        into memory. None when there is no matching cache; the reason is logged.

    Examples
    --------
    >>> load_cache("/a/missing/train.rec", [None, None]) is None
    True
    """
    cache = cache_path(path)
    try:
        with open(cache, "rb") as file:
            head = parse_json(file.read(_HEAD), cache)
            checksum = head.pop("checksum")
            if head["format"] != _FORMAT or head["files"] != fingerprints:
                logger.warning("%s: does not match the records, which are scanned again", cache)
                return None
            begins = np.cumsum([_HEAD] + [8 * length for length in head["lengths"]]).tolist()
            if os.fstat(file.fileno()).st_size != begins[-1] or _checksum(file, head) != checksum:
                raise ValueError("wrong size or checksum")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            starts, before, ends, labels = (
                np.frombuffer(mapped, dtype="<i8", count=length, offset=begin) for length, begin in zip(head["lengths"], begins)
            )
            return ImageOffsets(starts, before, ends), int(head["headers"]), labels
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        logger.warning("%s: is damaged (%s), the records are scanned again", cache, error)
        return None


def is_cacheable(path: str, images: int) -> bool:
    """Return whether a set of this many images should be cached. A folder that is not writable is logged.

    Examples
    --------
    >>> is_cacheable("train.rec", 5967)
    False
    """
    if images < _MIN_IMAGES:
        return False
    if os.access(os.path.dirname(path), os.W_OK):
        return True
    _log_not_written(path, "the folder is read-only")
    return False


def save_cache(path: str, fingerprints: list[Any], offsets: ImageOffsets, headers: int, labels: np.ndarray) -> bool:
    """Save the cache of a `.rec`.

    Parameters
    ----------
    path : str
        The `.rec`.
    fingerprints : list
        Of the `.rec` and its `.idx` when they were scanned. Nothing is written when the files have changed since.
    offsets : ImageOffsets
        Where the images' records lie.
    headers : int
        Number of header records.
    labels : np.ndarray
        Of the images, -1 where a record is damaged.

    Returns
    -------
    bool
        Whether the cache was written. A full disk and similar errors are logged.

    Examples
    --------
    >>> save_cache("/a/missing/train.rec", [[0, 0, ""], None], None, 0, None)
    False
    """
    if fingerprints != [fingerprint(path), fingerprint(os.path.splitext(path)[0] + ".idx")]:
        return False
    arrays = [offsets.starts, offsets.before, offsets.ends_before, labels]
    head = {
        "format": _FORMAT,
        "files": fingerprints,
        "headers": headers,
        "lengths": [len(array) for array in arrays],
    }
    try:
        with atomic_file(cache_path(path), mode="w+b") as file:
            file.write(bytes(_HEAD))
            for array in arrays:
                for begin in range(0, len(array), _BLOCK_BYTES // 8):
                    file.write(np.asarray(array[begin : begin + _BLOCK_BYTES // 8], dtype="<i8").tobytes())
            checksum = _checksum(file, head)
            file.seek(0)
            file.write(json.dumps({**head, "checksum": checksum}).encode().ljust(_HEAD))
    except (OSError, GluonFRError) as error:
        cause = error.__cause__ or error
        _log_not_written(path, getattr(cause, "strerror", None) or str(cause))
        return False
    return True


def _log_not_written(path: str, reason: str) -> None:
    logger.warning("%s cannot be written (%s): the records are scanned each time the set is opened", cache_path(path), reason)


def _checksum(file: IO[bytes], head: dict[str, Any]) -> int:
    file.seek(_HEAD)
    checksum = zlib.crc32(json.dumps(head).encode())
    for block in iter(lambda: file.read(_BLOCK_BYTES), b""):
        checksum = zlib.crc32(block, checksum)
    return checksum
