"""Writing a checkpoint beside training: copies of the arrays, and the thread that writes them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from gluonfr.core import sync_folder
from gluonfr.core.mxnet_internals import copy_into
from gluonfr.engine.checkpoints.format import write_arrays


class ArrayCache:
    """Copies MXNet arrays to NumPy arrays that are reused from one checkpoint to the next.

    The system clears memory that it hands out, which takes several times as long as the copy itself.

    Examples
    --------
    >>> import mxnet as mx
    >>> cache = ArrayCache()
    >>> first = cache.copy("weight", mx.nd.ones((2,)))
    >>> cache.copy("weight", mx.nd.zeros((2,))) is first
    True
    """

    def __init__(self) -> None:
        self._arrays: dict[str, np.ndarray] = {}

    def __repr__(self) -> str:
        return f"ArrayCache({len(self._arrays)} arrays)"

    def copy(self, name: str, array: Any) -> np.ndarray:
        """Return a copy of an array; the next copy of the same name, shape and type overwrites it."""
        cached = self._arrays.get(name)
        if cached is None or cached.shape != array.shape or cached.dtype != np.dtype(array.dtype):
            cached = self._arrays[name] = np.empty(array.shape, array.dtype)
        copy_into(array, cached)
        return cached


class CheckpointWriter(threading.Thread):
    """Thread that writes the arrays of one rank.

    Parameters
    ----------
    path : str
        Existing temporary folder of the checkpoint.
    arrays : dict
        Name to array, or to a dict of arrays.
    meta : dict

    Attributes
    ----------
    error : str or None
        Why the arrays could not be written; known after the thread has ended.
    sums : dict
        Size and checksum of every file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as path:
    ...     writer = CheckpointWriter(path, {"weight": np.zeros(2)}, {"step": 1})
    ...     writer.start()
    ...     writer.join()
    ...     list(writer.sums)
    ['weight.npy']
    """

    def __init__(self, path: str, arrays: dict[str, Any], meta: dict[str, Any]) -> None:
        super().__init__(name="gluonfr-checkpoint")
        self.path, self.meta = path, meta
        self.error: str | None = "the thread that writes it did not end"
        self.sums: dict[str, list[int]] = {}
        self._arrays = arrays

    def run(self) -> None:
        """Write all arrays."""
        try:
            for name in list(self._arrays):
                file, sums = write_arrays(self.path, name, self._arrays.pop(name))
                self.sums[file] = sums
            sync_folder(self.path)
            self.error = None
        except Exception as error:
            self.error = getattr(error, "strerror", None) or str(error) or type(error).__name__
