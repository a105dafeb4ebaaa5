import os

import numpy as np

# MXNet 1.9.1 reads these aliases, which NumPy removed in 1.24.
_REMOVED_FROM_NUMPY = {"bool": bool, "int": int, "float": float, "object": object, "complex": complex, "str": str}


def _restore_numpy_names():
    if tuple(int(part) for part in np.__version__.split(".")[:2]) < (1, 24):
        return
    for name, value in _REMOVED_FROM_NUMPY.items():
        if name not in np.__dict__:
            setattr(np, name, value)


def _use_all_cores():
    # By itself MXNet takes half the cores, for hyperthreads that virtual machines do not have. OMP_NUM_THREADS would mend
    # that too, but reach the forked workers of a DataLoader, which then crawl.
    if "OMP_NUM_THREADS" not in os.environ:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        os.environ.setdefault("MXNET_OMP_MAX_THREADS", str(cores))


def require_mxnet():
    """Make ``import mxnet`` work beside the installed NumPy; raise ImportError with the cure when it is not installed."""
    _restore_numpy_names()
    _use_all_cores()
    try:
        import mxnet  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "mxnet":
            raise
        raise ImportError(
            'gluonfr needs MXNet and finds none: install it with `pip install "gluonfr[cpu]"`, '
            'or on a machine with CUDA 11.2 with `pip install "gluonfr[cu112]"`.'
        ) from None
