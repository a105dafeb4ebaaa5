from __future__ import annotations

import platform
from typing import Any

from gluonfr.apps.doctor.horovod import examine_horovod
from gluonfr.apps.doctor.machine import (
    examine_cpu,
    examine_cuda,
    examine_driver,
    examine_gpus,
    examine_mxnet,
    examine_operators,
)
from gluonfr.apps.doctor.packages import examine_extras, examine_packages
from gluonfr.version import __version__


def examine() -> dict[str, Any]:
    """Examine the installation and the machine, as plain values for JSON.

    Works where MXNet cannot be imported and where required packages other than NumPy are missing.

    Returns
    -------
    dict
        `problems`: sentences, each with its cure, empty when gluonfr works. `hints`: sentences about parts that are not needed.
        `gluonfr`, `python`, `system`: text. `mxnet`, `cuda`, `driver`, `gpus`, `cpu`, `packages`, `extras`: see
        `machine` and `packages`. `operators`: whether the native CPU operators are used, and why; `horovod`: `works`, `why`
        not, and the `commands` that build it; both are None without MXNet.

    Examples
    --------
    >>> examine()["problems"]
    []
    """
    found: dict[str, Any] = {
        "gluonfr": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "mxnet": examine_mxnet(),
        "cuda": examine_cuda(),
        "gpus": examine_gpus(),
        "driver": examine_driver(),
        "cpu": examine_cpu(),
        "packages": examine_packages(),
        "extras": examine_extras(),
    }
    works = found["mxnet"]["why"] is None
    found["operators"] = examine_operators() if works else None
    found["horovod"] = examine_horovod() if works else None
    return {"problems": _problems(found), "hints": _hints(found), **found}


def _missing(found: dict[str, Any]) -> list[str]:
    return [name for name, version in found["packages"].items() if version is None]


def _problems(found: dict[str, Any]) -> list[str]:
    problems = [found["mxnet"]["why"]] if found["mxnet"]["why"] else []
    missing = _missing(found)
    if missing:
        problems.append(f"Required packages are missing: run `pip install {' '.join(missing)}`.")
    if "CUDA" in found["mxnet"]["features"]:
        problems += [gpu["why"] for gpu in found["gpus"] if gpu["why"]]
        if not found["gpus"]:
            problems.append(
                "NVIDIA's driver offers no GPU to this process: check that `nvidia-smi` lists one, that CUDA_VISIBLE_DEVICES "
                "does not hide it, and that a container was started with `--gpus all`; everything works on CPUs."
            )
    return problems


def _hints(found: dict[str, Any]) -> list[str]:
    hints = []
    usable = [gpu for gpu in found["gpus"] if not gpu["why"]]
    if usable and found["mxnet"]["version"] and "CUDA" not in found["mxnet"]["features"]:
        hints.append(
            f"MXNet for CPUs is installed, and this machine has a GPU ({usable[0]['name']}): to use it, run "
            '`pip uninstall -y mxnet`, then `pip install "gluonfr[cu112]"`.'
        )
    return hints
