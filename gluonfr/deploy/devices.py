from __future__ import annotations

from typing import Sequence

import mxnet as mx

from gluonfr.core import UsageError
from gluonfr.core.cuda_devices import gpu_problem, list_gpus


def devices(gpus: Sequence[int] = (), cpus: int = 1) -> list[mx.Context]:
    """Return the MXNet contexts of some GPUs, or of some CPU contexts.

    Parameters
    ----------
    gpus : sequence of int, optional
        Numbers of the GPUs; empty for CPUs.
    cpus : int, default 1
        Number of CPU contexts when there are no `gpus`.

    Returns
    -------
    list of Context

    Raises
    ------
    UsageError
        A GPU that does not exist or that MXNet has no code for, or fewer than one CPU context.

    Examples
    --------
    >>> devices(cpus=2)
    [cpu(0), cpu(1)]
    """
    if not gpus:
        if cpus < 1:
            raise UsageError(f"cpus={cpus!r} must be at least 1.")
        return [mx.cpu(number) for number in range(cpus)]
    count = mx.context.num_gpus()
    missing = [number for number in gpus if not 0 <= number < count]
    if missing:
        raise UsageError(f"gpus={list(gpus)}: GPU {missing[0]} does not exist, {_found(count)}.")
    for gpu in list_gpus():
        problem = gpu_problem(gpu) if gpu.index in gpus else None
        if problem:
            raise UsageError(f"gpus={list(gpus)}: {problem}")
    return [mx.gpu(number) for number in gpus]


def _found(count: int) -> str:
    """Return what this MXNet can use instead, and what to do."""
    if count:
        return f"this machine has GPUs 0 to {count - 1}"
    if mx.runtime.Features().is_enabled("CUDA"):
        return "because NVIDIA's driver offers none to this process: use CPUs, or run `gluonfr doctor` to see why"
    return 'because this is MXNet for CPUs: use CPUs, or run `pip uninstall -y mxnet` and then `pip install "gluonfr[cu112]"`'
