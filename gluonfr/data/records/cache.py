"""`train.cache` beside a big `train.rec`: where its images lie and their labels, so that it opens at once the next time.

One line of JSON, blanks up to 4096 bytes, then the arrays. It is only ever a copy of what the records say: without it, or
when it does not fit them any more, they are looked through again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import mmap
import os
import zlib

import numpy as np

from gluonfr.core import GluonFRError, atomic_file
from gluonfr.data.records.scan import Places

logger = logging.getLogger(__name__)

_FORMAT = "gluonfr records 1"
_HEAD = 4096
_AT_ONCE = 1 << 24
# Smaller sets open in a moment without.
_LEAST_IMAGES = 100_000
_SAMPLES, _SAMPLE_SIZE = 64, 4096


def cache_path(path):
    """Where the cache of a `.rec` lies."""
    return os.path.splitext(path)[0] + ".cache"


def fingerprint(path):
    """What tells a file from another one under its name, as JSON has it: size, time of change, and a hash of 64 places; None
    when there is no such file.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            state = os.fstat(file.fileno())
            digest = hashlib.blake2b(digest_size=16)
            for number in range(_SAMPLES):
                file.seek(max(state.st_size - _SAMPLE_SIZE, 0) * number // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_SIZE))
    except FileNotFoundError:
        return None
    return [state.st_size, state.st_mtime_ns, digest.hexdigest()]


def load(path, fingerprints):
    """What was remembered of a `.rec`, or None where nothing is, or nothing that fits; the log says which.

    Parameters
    ----------
    path : str
    fingerprints : list
        Those of the `.rec` and its `.idx` as they are now.

    Returns
    -------
    (Places, int number of header records, int64 labels, -1 where a record is damaged), read-only and mapped into memory
    """
    cache = cache_path(path)
    try:
        with open(cache, "rb") as file:
            head = json.loads(file.read(_HEAD))
            checksum = head.pop("checksum")
            if head["format"] != _FORMAT or head["files"] != fingerprints:
                logger.warning("%s: is of another state of the records, which are looked through again", cache)
                return None
            begins = np.cumsum([_HEAD] + [8 * length for length in head["lengths"]]).tolist()
            if os.fstat(file.fileno()).st_size != begins[-1] or _checksum(file, head) != checksum:
                raise ValueError("its bytes are not those that were written")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            starts, before, ends, labels = (
                np.frombuffer(mapped, dtype="<i8", count=length, offset=begin) for length, begin in zip(head["lengths"], begins)
            )
            return Places(starts, before, ends), int(head["headers"]), labels
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logger.warning("%s: is damaged (%s), the records are looked through again", cache, error)
        return None


def is_wanted(path, images) -> bool:
    """Whether a set of so many images should be remembered. A folder that cannot be written is logged."""
    if images < _LEAST_IMAGES:
        return False
    if os.access(os.path.dirname(path), os.W_OK):
        return True
    _not_written(path, "the folder is read-only")
    return False


def save(path, fingerprints, places, headers, labels) -> bool:
    """Remember what was found in a `.rec`; returns whether it is remembered.

    Nothing is written when the files changed since `fingerprints` were taken. A full disk and the like are logged.
    """
    if fingerprints != [fingerprint(path), fingerprint(os.path.splitext(path)[0] + ".idx")]:
        return False
    arrays = [places.starts, places.before, places.ends_before, labels]
    head = {
        "format": _FORMAT,
        "files": fingerprints,
        "headers": headers,
        "lengths": [len(each) for each in arrays],
    }
    try:
        with atomic_file(cache_path(path), mode="w+b") as file:
            file.write(bytes(_HEAD))
            for array in arrays:
                for begin in range(0, len(array), _AT_ONCE // 8):
                    file.write(np.asarray(array[begin : begin + _AT_ONCE // 8], dtype="<i8").tobytes())
            checksum = _checksum(file, head)
            file.seek(0)
            file.write(json.dumps({**head, "checksum": checksum}).encode().ljust(_HEAD))
    except (OSError, GluonFRError) as error:
        cause = error.__cause__ or error
        _not_written(path, getattr(cause, "strerror", None) or cause)
        return False
    return True


def _not_written(path, why) -> None:
    logger.warning(
        "%s cannot be written (%s): the records are looked through each time the set is opened", cache_path(path), why
    )


def _checksum(file, head):
    file.seek(_HEAD)
    checksum = zlib.crc32(json.dumps(head).encode())
    for block in iter(lambda: file.read(_AT_ONCE), b""):
        checksum = zlib.crc32(block, checksum)
    return checksum
