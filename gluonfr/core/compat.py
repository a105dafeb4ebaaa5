from __future__ import annotations

import importlib.util
import os
import sys

import numpy as np

from gluonfr.core.machine import cores

# MXNet 1.9.1 reads these aliases, which NumPy removed in 1.24.
_REMOVED_FROM_NUMPY = {"bool": bool, "int": int, "float": float, "object": object, "complex": complex, "str": str}

_THREADS = "MXNET_OMP_MAX_THREADS"
_threads_are_ours = False


def _restore_numpy_names() -> None:
    if tuple(int(part) for part in np.__version__.split(".")[:2]) < (1, 24):
        return
    for name, value in _REMOVED_FROM_NUMPY.items():
        if name not in np.__dict__:
            setattr(np, name, value)


def _wait_awake() -> None:
    # libgomp puts threads to sleep after a hundred turns once several engine threads have teams of their own, and waking
    # them costs more than most layers of a small network: a single image takes up to five times as long. Asked to wait
    # actively it takes a thousand turns; the second number bounds what an idle thread burns otherwise.
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ.update({"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "10000"})


def _use_all_cores() -> None:
    # By itself MXNet takes half the cores, for hyperthreads that virtual machines do not have. OMP_NUM_THREADS would mend
    # that too, but reach the forked workers of a DataLoader, which then crawl.
    global _threads_are_ours
    if "OMP_NUM_THREADS" not in os.environ and _THREADS not in os.environ:
        os.environ[_THREADS] = str(cores())
        _threads_are_ours = True


def share_cores(devices) -> None:
    """Give each of several CPU contexts its part of the cores, unless the user decided; before MXNet is imported.

    With more threads than cores, each waits for threads that do not run: on a busy machine that is several times slower.
    """
    if "mxnet" not in sys.modules:
        os.environ.update(part_of_cores(devices))


def part_of_cores(processes):
    """Environment of each of several processes, or devices, that share the cores; empty where the user decided."""
    return {_THREADS: str(max(1, cores() // max(1, processes)))} if _threads_are_ours else {}


def _has_mxnet():
    try:
        return importlib.util.find_spec("mxnet") is not None
    except (ModuleNotFoundError, ValueError):
        return "mxnet" in sys.modules


def prepare_mxnet() -> None:
    """Make ``import mxnet`` work beside the installed NumPy; raise ImportError with the cure when it is not installed.

    MXNet itself is not imported here: that takes a second, which `gluonfr --help` need not wait for.
    """
    _restore_numpy_names()
    _use_all_cores()
    _wait_awake()
    if not _has_mxnet():
        raise ImportError(
            'gluonfr needs MXNet and finds none: install it with `pip install ".[cpu]"` in the checkout, '
            'or on a machine with CUDA 11.2 with `pip install ".[cu112]"` in the checkout.'
        )
