"""Readers of files from unknown sources."""

from __future__ import annotations

import zipfile

import numpy as np

from gluonfr.core.errors import DataError
from gluonfr.core.paths import PathLike, require_file


def read_npz(path: PathLike, needs: str) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` file by name, without unpickling anything.

    Parameters
    ----------
    path : str or os.PathLike
        Path of the file.
    needs : str
        What the file should hold, for the message.

    Raises
    ------
    DataError
        The file is missing, damaged, not an `.npz` file, or contains pickled objects.

    Examples
    --------
    >>> path = getfixture("tmp_path") / "faces.npz"
    >>> np.savez(path, embeddings=np.zeros((2, 4), np.float32))
    >>> read_npz(path, "embeddings (N, D)")["embeddings"].shape
    (2, 4)
    """
    path = require_file(path, "file of embeddings")
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("not an archive of arrays")
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    # A damaged file can fail in many ways in NumPy and zipfile, with MemoryError among others.
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise DataError(f"{path} cannot be read as .npz without pickles ({reason[:200]}); it needs {needs}.") from error
