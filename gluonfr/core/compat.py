from __future__ import annotations

import importlib.util
import sys

import numpy as np

# MXNet 1.9.1 reads these aliases, which NumPy removed in 1.24.
_REMOVED_FROM_NUMPY = {"bool": bool, "int": int, "float": float, "object": object, "complex": complex, "str": str}


def prepare_mxnet() -> None:
    """Make ``import mxnet`` work with the installed NumPy.

    MXNet itself is not imported here, because that takes a second which `gluonfr --help` does not need.

    Raises
    ------
    ImportError
        MXNet is not installed.

    Examples
    --------
    >>> prepare_mxnet()
    """
    _restore_numpy_names()
    if not _has_mxnet():
        raise ImportError(
            'gluonfr needs MXNet, which is not installed: run `pip install ".[cpu]"` in the checkout, or on a machine with '
            'CUDA 11.2 `pip install ".[cu112]"`.'
        )


def _restore_numpy_names() -> None:
    if tuple(int(part) for part in np.__version__.split(".")[:2]) < (1, 24):
        return
    for name, value in _REMOVED_FROM_NUMPY.items():
        if name not in np.__dict__:
            setattr(np, name, value)


def _has_mxnet() -> bool:
    try:
        return importlib.util.find_spec("mxnet") is not None
    except (ModuleNotFoundError, ValueError):
        return "mxnet" in sys.modules
