"""The CUDA build of MXNet: which package is installed, and NVIDIA's libraries that it needs.

``mxnet-cu112`` needs CUDA 11 and cuDNN 8. A system installation that the loader finds is used; otherwise the libraries come
from NVIDIA's wheels on PyPI, which have to be loaded in the order of their dependencies before MXNet is.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
from dataclasses import dataclass
from importlib import metadata

# File name and folder within NVIDIA's wheels, dependencies first.
LIBRARIES = (
    ("libcudart.so.11.0", "cuda_runtime"),
    ("libnvrtc.so.11.2", "cuda_nvrtc"),
    ("libnvToolsExt.so.1", "nvtx"),
    ("libcublasLt.so.11", "cublas"),
    ("libcublas.so.11", "cublas"),
    ("libcufft.so.10", "cufft"),
    ("libcurand.so.10", "curand"),
    ("libcusparse.so.11", "cusparse"),
    ("libcusolver.so.11", "cusolver"),
    ("libnccl.so.2", "nccl"),
    ("libcudnn.so.8", "cudnn"),
)
DRIVER = "libcuda.so.1"
# CUDA 11 runs on every driver from 450.80.02, which reports CUDA 11.0.
OLDEST_DRIVER, _OLDEST_DRIVER_CUDA = "450.80.02", 11000
_CPU_PACKAGES = ("mxnet", "mxnet-mkl", "mxnet-native")
_CUDA_PACKAGES = ("mxnet-cu112", "mxnet-cu110", "mxnet-cu102", "mxnet-cu101", "mxnet-cu100", "mxnet-cu92")
_CPU_REMEDY = 'use the CPU build: `pip uninstall -y mxnet-cu112`, then `pip install "gluonfr[cpu]"`'


@dataclass(frozen=True)
class CudaLibrary:
    """A library of CUDA as it was found.

    Attributes
    ----------
    name : str
        File name, such as "libcudnn.so.8".
    source : str
        "system", the path of a file in a wheel, or "" where it is missing.
    error : str
        Why it could not be loaded; empty when it was.

    Examples
    --------
    >>> CudaLibrary("libcudnn.so.8", "", "cannot open shared object file").source
    ''
    """

    name: str
    source: str
    error: str = ""


def installed_builds() -> tuple[list[str], list[str]]:
    """Return the names of MXNet's installed CPU packages and CUDA packages.

    Examples
    --------
    >>> cpu, cuda = installed_builds()
    >>> len(cpu) + len(cuda) >= 1
    True
    """
    return [name for name in _CPU_PACKAGES if _is_installed(name)], [name for name in _CUDA_PACKAGES if _is_installed(name)]


def load_libraries() -> list[CudaLibrary]:
    """Load CUDA's libraries, those of the system first, else those of NVIDIA's wheels.

    Returns
    -------
    list of CudaLibrary
        One per entry of `LIBRARIES`, and the driver last.

    Examples
    --------
    >>> load_libraries()[-1].name
    'libcuda.so.1'
    """
    return [_load(name, part) for name, part in LIBRARIES] + [_load(DRIVER, "")]


def driver_cuda_version() -> int | None:
    """Return the newest CUDA version that the driver supports, 11020 for 11.2; None where it cannot be asked.

    Examples
    --------
    >>> driver_cuda_version() is None or driver_cuda_version() > 0
    True
    """
    version = ctypes.c_int()
    try:
        status = ctypes.CDLL(DRIVER).cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return None
    return version.value if status == 0 and version.value > 0 else None


def cuda_problem() -> str | None:
    """Prepare the installed build of MXNet; return a sentence when it cannot work, else None.

    A CPU build needs nothing. For a CUDA build the libraries are loaded, which takes about 0.3 s.

    Examples
    --------
    >>> cuda_problem()
    """
    cpu, cuda = installed_builds()
    if len(cpu) + len(cuda) > 1:
        names = " ".join([*cpu, *cuda])
        return (
            f"{' and '.join([*cpu, *cuda])} are installed, but they overwrite each other's files: run "
            f'`pip uninstall -y {names}`, then `pip install "gluonfr[cpu]"` or `pip install "gluonfr[cu112]"`.'
        )
    if cuda != ["mxnet-cu112"]:
        return None
    *libraries, driver = load_libraries()
    missing = [library for library in libraries if library.error]
    if missing:
        return (
            f"mxnet-cu112 needs {', '.join(library.name for library in missing)}, which cannot be loaded ({missing[0].error}): "
            f'run `pip install "gluonfr[cu112]"`, or {_CPU_REMEDY}.'
        )
    if driver.error:
        return (
            f"mxnet-cu112 needs NVIDIA's driver, and {DRIVER} cannot be loaded ({driver.error}): install the driver "
            f"{OLDEST_DRIVER} or newer, or {_CPU_REMEDY}."
        )
    version = driver_cuda_version()
    if version is not None and version < _OLDEST_DRIVER_CUDA:
        return (
            f"NVIDIA's driver supports CUDA {version // 1000}.{version % 1000 // 10} only and mxnet-cu112 needs 11: install "
            f"the driver {OLDEST_DRIVER} or newer, or {_CPU_REMEDY}."
        )
    return None


def _is_installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _load(name: str, part: str) -> CudaLibrary:
    path = _in_wheels(name, part)
    errors = []
    for source, file in (("system", name), (path, path)):
        if file:
            try:
                ctypes.CDLL(file, mode=ctypes.RTLD_GLOBAL)
            except OSError as error:
                errors.append(str(error))
            else:
                return CudaLibrary(name, source)
    return CudaLibrary(name, "", errors[-1])


def _in_wheels(name: str, part: str) -> str:
    """Return the path of a library in NVIDIA's wheels, which share the package `nvidia`; empty if there is none."""
    try:
        found = importlib.util.find_spec("nvidia") if part else None
    except (ImportError, ValueError):
        found = None
    folders = found.submodule_search_locations if found is not None and found.submodule_search_locations else []
    paths = (os.path.join(folder, part, "lib", name) for folder in folders)
    return next((path for path in paths if os.path.isfile(path)), "")
