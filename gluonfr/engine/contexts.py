from __future__ import annotations

import mxnet as mx

from gluonfr.core import GluonFRError


def devices(gpus=(), cpus=1):
    """The contexts to work on: these GPUs, or else that many CPU contexts.

    Raises
    ------
    GluonFRError
        A GPU is asked for that is not there, or fewer than one CPU context.
    """
    if not gpus:
        if cpus < 1:
            raise GluonFRError(f"cpus must be at least 1, got {cpus!r}.")
        return [mx.cpu(i) for i in range(cpus)]
    there = mx.context.num_gpus()
    missing = [number for number in gpus if not 0 <= number < there]
    if missing:
        found = "this MXNet sees no GPU" if not there else f"this machine has GPUs 0 to {there - 1}"
        raise GluonFRError(
            f"gpus: {missing[0]} is not there, {found}; use cpus instead, or run `pip install '.[cu112]'` in the checkout."
        )
    return [mx.gpu(i) for i in gpus]
