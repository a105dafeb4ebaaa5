"""MXNet's build, NVIDIA's libraries, GPUs, and how this machine's CPU is used."""

from __future__ import annotations

import os
from typing import Any

from gluonfr.apps.doctor.packages import version_of
from gluonfr.core import cores
from gluonfr.core.compat import mxnet_problem, prepare_mxnet
from gluonfr.core.cuda import DRIVER, driver_cuda_version, installed_builds, load_libraries
from gluonfr.core.cuda_devices import driver_version, gpu_problem, library_versions, list_gpus, loaded_from


def examine_mxnet() -> dict[str, Any]:
    """Return MXNet's `version`, `packages`, `path` and `features`, and `why` it cannot be imported (else None).

    Examples
    --------
    >>> examine_mxnet()["why"] is None
    True
    """
    cpu, cuda = installed_builds()
    packages = {name: version_of(name) for name in [*cpu, *cuda]}
    found: dict[str, Any] = {"version": None, "packages": packages, "path": None, "features": [], "why": mxnet_problem()}
    if found["why"] is None:
        try:
            prepare_mxnet()
            import mxnet as mx

            found["version"], found["path"] = mx.__version__, mx.libinfo.find_lib_path()[0]
            found["features"] = [name for name, feature in mx.runtime.Features().items() if feature.enabled]
        except Exception as error:  # a broken installation fails in many ways: OSError, AttributeError, SyntaxError, ...
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            again = f"pip install --force-reinstall --no-deps {' '.join(packages) or 'mxnet'}==1.9.1"
            found["why"] = f"MXNet is installed but cannot be imported ({reason}): run `{again}`."
    return found


def examine_cuda() -> dict[str, Any] | None:
    """Return the libraries that MXNet's CUDA build loads, and their versions; None for another build.

    Returns
    -------
    dict or None
        `cuda`, `cudnn`, `nccl`: versions or None. `libraries`: name, path and error of each library.

    Examples
    --------
    >>> examine_cuda() is None or "cudnn" in examine_cuda()
    True
    """
    if not installed_builds()[1]:
        return None
    libraries = [
        {"name": library.name, "path": loaded_from(library.name), "error": library.error} for library in load_libraries()
    ]
    return {**library_versions(), "libraries": libraries}


def examine_driver() -> dict[str, Any] | None:
    """Return the `version` of NVIDIA's driver, the newest `cuda` that it supports, and its `path`; None without a driver.

    Examples
    --------
    >>> examine_driver() is None or "cuda" in examine_driver()
    True
    """
    cuda = driver_cuda_version()
    path = loaded_from(DRIVER)
    if not path:
        return None
    supported = None if cuda is None else f"{cuda // 1000}.{cuda % 1000 // 10}"
    return {"version": driver_version(), "cuda": supported, "path": path}


def examine_gpus() -> list[dict[str, Any]]:
    """Return `index`, `name`, `memory` in bytes, `capability` of every GPU, and `why` MXNet cannot use it (else None).

    Examples
    --------
    >>> all(gpu["memory"] > 0 for gpu in examine_gpus())
    True
    """
    return [
        {
            "index": gpu.index,
            "name": gpu.name,
            "memory": gpu.memory,
            "capability": ".".join(map(str, gpu.capability)),
            "why": gpu_problem(gpu),
        }
        for gpu in list_gpus()
    ]


def examine_operators() -> dict[str, Any]:
    """Return whether the native CPU operators are `used`, the `reason`, and the `path` of their library or None.

    They are compiled when they are used for the first time, which takes some seconds.

    Examples
    --------
    >>> sorted(examine_operators())
    ['path', 'reason', 'used']
    """
    try:
        from gluonfr.ops import status

        return status()._asdict()
    except Exception as error:  # whatever keeps the compiler or the library from working is what this should show
        return {"used": False, "reason": str(error).strip().partition("\n")[0], "path": None}


def examine_cpu() -> dict[str, Any]:
    """Return the number of `cores`, the `threads` of each MXNet operator, and the paths of the `openmp` libraries loaded.

    Examples
    --------
    >>> examine_cpu()["cores"] >= 1
    True
    """
    # MXNet reads the first, else the second, and takes half of the cores where neither is set.
    chosen = os.environ.get("MXNET_OMP_MAX_THREADS") or os.environ.get("OMP_NUM_THREADS")
    threads = int(chosen) if chosen and chosen.isdigit() else max(1, cores() // 2)
    openmp = [path for path in map(loaded_from, ("libgomp.so.1", "libiomp5.so", "libomp.so")) if path]
    settings = {name: os.environ.get(name) for name in ("MXNET_OMP_MAX_THREADS", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")}
    return {"cores": cores(), "threads": threads, "openmp": openmp, "settings": settings}
