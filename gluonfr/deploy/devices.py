from __future__ import annotations

from typing import Sequence

import mxnet as mx

from gluonfr.core import UsageError


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
        A GPU that does not exist, or fewer than one CPU context.

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
        found = f"this machine has GPUs 0 to {count - 1}" if count else "this MXNet sees no GPU"
        raise UsageError(
            f"gpus={list(gpus)}: GPU {missing[0]} does not exist, {found}; "
            "use CPUs, or run `pip install '.[cu112]'` in the checkout."
        )
    return [mx.gpu(number) for number in gpus]
