"""`NAME.bin`: InsightFace's pickle of the encoded images of verification pairs."""

from __future__ import annotations

import os
import pickle
from typing import Any, Sequence

import numpy as np

from gluonfr.core import DataError, UsageError, atomic_file
from gluonfr.core.paths import open_regular
from gluonfr.data import images as codec
from gluonfr.data.pairs.unpickler import PickledArray, load_pairs_pickle


def read_pairs(path: str) -> tuple[list[bytes], np.ndarray]:
    """Read a verification set, `NAME.bin`: InsightFace's pickle of (images, issame), from Python 2 or 3.

    The pickle cannot run code: bytes, text that represents bytes, numbers, lists, tuples and numeric arrays are read, and
    everything else is refused by name.

    Parameters
    ----------
    path : str
        The `.bin` file.

    Returns
    -------
    images : list of bytes
        2 n encoded images (JPEG, PNG, ...), not decoded; pair i is images[2 i] and images[2 i + 1].
    issame : np.ndarray
        bool (n,): whether the two images of a pair show the same person.

    Raises
    ------
    DataError
        The file is missing, truncated or of another kind, or its counts do not match.

    Examples
    --------
    >>> images, issame = read_pairs("~/.mxnet/datasets/face/lfw.bin")  # doctest: +SKIP
    >>> len(images), len(issame)  # doctest: +SKIP
    (12000, 6000)
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    try:
        with open_regular(path) as file:
            content = file.read()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    loaded = load_pairs_pickle(content, path)
    if not isinstance(loaded, (tuple, list)) or len(loaded) != 2 or not isinstance(loaded[0], (list, tuple)):
        raise DataError(f"{path} is not a pickled pair (images, issame); write it again.")
    images, flags = loaded
    issame = _checked_issame(path, flags)
    if len(images) != 2 * len(issame) or not len(issame):
        raise DataError(f"{path} has {len(images)} images for {len(issame)} pairs, expected two per pair; write it again.")
    return [_checked_image(path, k, image) for k, image in enumerate(images)], issame


def write_pairs(path: str, images: Sequence[Any], issame: Any) -> None:
    """Write a verification set that `read_pairs` and InsightFace's own loader read. The file is written atomically.

    Parameters
    ----------
    path : str
        Usually `ROOT/NAME.bin`, or `val_data.bin` beside a `train.rec`.
    images : sequence
        2 n images; pair i is images[2 i] and images[2 i + 1]. Encoded images (bytes or 1-D uint8) are stored unchanged; uint8
        (H, W, 3) RGB images (array or NDArray) are encoded as JPEG of quality 95.
    issame : sequence of bool
        Whether the two images of a pair show the same person, (n,).

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/tiny.bin"
    >>> write_pairs(path, [np.zeros((8, 8, 3), np.uint8)] * 4, [True, False])
    >>> read_pairs(path)[1].tolist()
    [True, False]
    """
    flags = list(issame.asnumpy() if hasattr(issame, "asnumpy") else issame)
    if not flags or not all(np.ndim(flag) == 0 and flag in (0, 1) for flag in flags):
        raise UsageError(f"{path}: issame must be a sequence of True or False, one per pair, for at least one pair.")
    if len(images) != 2 * len(flags):
        raise UsageError(f"{path}: {len(images)} images for {len(flags)} pairs; pass two images per pair.")
    payloads = [_encoded(image, describe_image(path, k)) for k, image in enumerate(images)]
    with atomic_file(path) as file:
        pickle.dump((payloads, [bool(flag) for flag in flags]), file, protocol=2)


def describe_image(path: str, k: int) -> str:
    """Return the words that name image k of a verification set in a message.

    Examples
    --------
    >>> describe_image("lfw.bin", 5)
    'lfw.bin: image 1 of pair 2'
    """
    return f"{path}: image {k % 2} of pair {k // 2}"


def _checked_image(path: str, k: int, image: Any) -> bytes:
    what = "empty" if image == b"" else type(image).__name__
    if isinstance(image, PickledArray):
        values, what = image.flat(), "an array that is not 1-D uint8"
        image = image.content if values is not None and values.dtype == np.uint8 else None
    if not isinstance(image, bytes) or not image:
        raise DataError(f"{describe_image(path, k)} is {what}, not the bytes of an image file; write the set again.")
    return image


def _checked_issame(path: str, flags: Any) -> np.ndarray:
    values = flags.flat() if isinstance(flags, PickledArray) else flags
    if isinstance(values, (list, tuple)) and all(type(value) in (bool, int) and value in (0, 1) for value in values):
        return np.array(values, dtype=bool)
    if isinstance(values, np.ndarray) and np.isin(values, (0, 1)).all():
        return values.astype(bool)
    raise DataError(f"{path}: issame is not a sequence of True or False, one per pair; write the set again.")


def _encoded(image: Any, where: str) -> bytes:
    if hasattr(image, "asnumpy"):
        image = image.asnumpy()
    if isinstance(image, np.ndarray) and image.ndim == 1 and image.dtype == np.uint8:
        image = image.tobytes()
    if isinstance(image, (bytes, bytearray, memoryview)):
        image = bytes(image)
        codec.decode(image, where)
        return image
    return codec.encode(codec.as_rgb(image, where))
