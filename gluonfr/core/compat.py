"""What makes MXNet 1.9.1 importable: names that NumPy removed, and the libraries of its CUDA build."""

from __future__ import annotations

import importlib.util
import os
import sys

import numpy as np

from gluonfr.core.cpu import tune_cpu
from gluonfr.core.cuda import cuda_problem

# MXNet 1.9.1 reads these aliases, which NumPy removed in 1.24.
_REMOVED_FROM_NUMPY = {"bool": bool, "int": int, "float": float, "object": object, "complex": complex, "str": str}
_MISSING = (
    'gluonfr needs MXNet, which is not installed: run `pip install "gluonfr[cpu]"`, or on a machine with an NVIDIA GPU '
    '`pip install "gluonfr[cu112]"`.'
)
_NUMPY_TOO_NEW = 'MXNet 1.9.1 does not work with NumPy {}: run `pip install "numpy<2"`.'
_problem: str | None = None


def make_mxnet_importable() -> None:
    """Make ``import mxnet`` work with the installed NumPy and, for the CUDA build, load NVIDIA's libraries.

    MXNet itself is not imported here, because that takes a second which `gluonfr --help` does not need.

    Raises
    ------
    ImportError
        MXNet cannot work here. Not on the command line, which reports the problem itself, since `gluonfr doctor` works without
        MXNet.

    Examples
    --------
    >>> make_mxnet_importable()
    """
    global _problem
    _restore_numpy_names()
    _problem = _find_problem()
    if _problem is not None and not _is_command_line():
        raise ImportError(_problem)


def mxnet_problem() -> str | None:
    """Return why MXNet cannot be imported, in one sentence; None when it can.

    Examples
    --------
    >>> mxnet_problem()
    """
    return _problem


def prepare_mxnet() -> None:
    """Prepare the environment for MXNet; the parts of gluonfr that use MXNet call this before they import it.

    Raises
    ------
    ImportError
        MXNet is not installed, or its CUDA build lacks a library or the driver.

    Examples
    --------
    >>> prepare_mxnet()
    """
    if _problem is not None:
        raise ImportError(_problem)
    tune_cpu()


def _find_problem() -> str | None:
    if not _has_mxnet():
        return _MISSING
    return _NUMPY_TOO_NEW.format(np.__version__) if _numpy_version() >= (2, 0) else cuda_problem()


def _numpy_version() -> tuple[int, ...]:
    return tuple(int(part) for part in np.__version__.split(".")[:2])


def _is_command_line() -> bool:
    # `python -m gluonfr` has "-m" there while the package is imported.
    return os.path.basename(sys.argv[0]) in ("gluonfr", "gluonfr.exe", "-m")


def _restore_numpy_names() -> None:
    if _numpy_version() < (1, 24):
        return
    for name, value in _REMOVED_FROM_NUMPY.items():
        if name not in np.__dict__:
            setattr(np, name, value)


def _has_mxnet() -> bool:
    try:
        return importlib.util.find_spec("mxnet") is not None
    except (ModuleNotFoundError, ValueError):
        return "mxnet" in sys.modules
