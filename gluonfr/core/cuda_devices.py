"""NVIDIA's GPUs as the driver reports them, and the versions of CUDA's libraries in this process.

Everything is asked of the libraries themselves, so that it works without MXNet, `nvidia-smi` and further packages.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from typing import Any

from gluonfr.core.cuda import DRIVER

# Compute capabilities that the code in mxnet-cu112 1.9.1 runs on: its library contains machine code for 5.0, 6.0, 7.0, 8.0 and
# 8.6, each of which also runs on later minor versions, and no PTX code that the driver could compile for others.
OLDEST_CAPABILITY, NEWEST_CAPABILITY = (5, 0), (8, 9)
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True)
class Gpu:
    """A GPU that the driver offers to this process.

    Attributes
    ----------
    index : int
        Number of the GPU, as in ``mx.gpu(index)``.
    name : str
        Name of the product.
    memory : int
        Total memory in bytes.
    capability : tuple of int
        Compute capability (major, minor).

    Examples
    --------
    >>> Gpu(0, "NVIDIA A100", 40 << 30, (8, 0)).capability
    (8, 0)
    """

    index: int
    name: str
    memory: int
    capability: tuple[int, int]


def list_gpus() -> list[Gpu]:
    """Return the GPUs that the driver offers to this process, none without a driver.

    Examples
    --------
    >>> all(gpu.memory > 0 for gpu in list_gpus())
    True
    """
    driver, count = _library(DRIVER), ctypes.c_int()
    try:
        if driver is None or driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
            return []
        return [_describe(driver, index) for index in range(count.value)]
    except AttributeError:  # a driver without these functions is not one that MXNet can use
        return []


def gpu_problem(gpu: Gpu) -> str | None:
    """Return why MXNet cannot compute on a GPU, in one sentence; None when it can.

    Parameters
    ----------
    gpu : Gpu
        A GPU of this machine.

    Examples
    --------
    >>> gpu_problem(Gpu(0, "NVIDIA L4", 24 << 30, (8, 9)))
    >>> gpu_problem(Gpu(0, "NVIDIA H100", 80 << 30, (9, 0)))
    'GPU 0 (NVIDIA H100) has compute capability 9.0, and MXNet 1.9.1 runs on 5.0 to 8.9 only: use another GPU or CPUs.'
    """
    if OLDEST_CAPABILITY <= gpu.capability <= NEWEST_CAPABILITY:
        return None
    return (
        f"GPU {gpu.index} ({gpu.name}) has compute capability {_dotted(gpu.capability)}, and MXNet 1.9.1 runs on "
        f"{_dotted(OLDEST_CAPABILITY)} to {_dotted(NEWEST_CAPABILITY)} only: use another GPU or CPUs."
    )


def driver_version() -> str | None:
    """Return the version of NVIDIA's driver, such as "535.104.05"; None without a driver.

    Examples
    --------
    >>> driver_version() is None or "." in driver_version()
    True
    """
    library, text = _library("libnvidia-ml.so.1"), ctypes.create_string_buffer(96)
    try:
        if library is None or library.nvmlInit_v2() or library.nvmlSystemGetDriverVersion(text, len(text)):
            return None
        library.nvmlShutdown()
    except AttributeError:
        return None
    return text.value.decode("utf-8", "replace")


def library_versions() -> dict[str, str | None]:
    """Return the versions of CUDA, cuDNN and NCCL by name; None for a library that cannot be loaded.

    CUDA's version is that of its compiler NVRTC, because the runtime refuses to answer without a driver.

    Examples
    --------
    >>> sorted(library_versions())
    ['cuda', 'cudnn', 'nccl']
    """
    versions: dict[str, str | None] = {}
    for name, ask in (("cuda", _cuda_version), ("cudnn", _cudnn_version), ("nccl", _nccl_version)):
        try:
            versions[name] = ask()
        except AttributeError:  # a library of this name without the function
            versions[name] = None
    return versions


def loaded_from(name: str) -> str:
    """Return the path of a library that this process has loaded; empty when it has not.

    Parameters
    ----------
    name : str
        File name, such as "libcudnn.so.8".

    Examples
    --------
    >>> loaded_from("libnothing.so.1")
    ''
    """
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
            paths = [line.split(maxsplit=5)[5].strip() for line in maps if ".so" in line]
    except OSError:  # not Linux
        return ""
    # The path is that of the file behind links: libcudart.so.11.0 may be libcudart.so.11.8.89 there.
    stem = name.partition(".so")[0] + ".so"
    return next((path for path in paths if os.path.basename(path).startswith(stem)), "")


def _describe(driver: Any, index: int) -> Gpu:
    device, name, memory = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t()
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), device)
    capability = []
    for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR):
        value = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        capability.append(value.value)
    return Gpu(index, name.value.decode("utf-8", "replace"), memory.value, (capability[0], capability[1]))


def _library(name: str) -> Any:
    try:
        return ctypes.CDLL(name)
    except OSError:
        return None


def _cuda_version() -> str | None:
    library, major, minor = _library("libnvrtc.so.11.2"), ctypes.c_int(), ctypes.c_int()
    if library is None or library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)):
        return None
    return f"{major.value}.{minor.value}"


def _cudnn_version() -> str | None:
    library = _library("libcudnn.so.8")
    if library is None:
        return None
    library.cudnnGetVersion.restype = ctypes.c_size_t
    number = library.cudnnGetVersion()
    return f"{number // 1000}.{number % 1000 // 100}.{number % 100}"


def _nccl_version() -> str | None:
    library, number = _library("libnccl.so.2"), ctypes.c_int()
    if library is None or library.ncclGetVersion(ctypes.byref(number)):
        return None
    # 2708 for 2.7.8, but 21005 for 2.10.5.
    unit = 1000 if number.value < 10000 else 10000
    return f"{number.value // unit}.{number.value % unit // 100}.{number.value % 100}"


def _dotted(capability: tuple[int, int]) -> str:
    return ".".join(map(str, capability))
