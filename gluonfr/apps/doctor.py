"""What is installed, what is missing, and how to build Horovod."""

from __future__ import annotations

import platform
import shutil
import sys
from importlib import metadata
from typing import Any

import mxnet as mx

from gluonfr.core import GluonFRError, cores
from gluonfr.engine.distributed.horovod_group import load_horovod
from gluonfr.version import __version__

_HOROVOD = "0.28.1"
_NEEDED = ("numpy", "scipy", "scikit-learn", "opencv-python-headless", "matplotlib", "tqdm", "pillow", "jinja2")
_OPTIONAL = ("horovod", "onnx", "onnxruntime", "gluoncv", "opencv-python", "tensorboard", "mtcnn", "face-recognition-models")
# Packages that Horovod's build and its launcher import; setuptools 70 and later break the build.
_BUILD = '"setuptools<70" wheel cffi cloudpickle psutil pyyaml packaging'
_SWITCHES = (
    "HOROVOD_WITH_MXNET=1 HOROVOD_WITH_GLOO=1 HOROVOD_CPU_OPERATIONS=GLOO HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_TENSORFLOW=1 "
    "HOROVOD_WITHOUT_PYTORCH=1"
)


def examine() -> dict[str, Any]:
    """Collect what is installed, as plain values for JSON.

    Returns
    -------
    dict
        `gluonfr`, `python`, `system`, `mxnet`: text. `packages`: name to version or None; `missing` lists the required ones
        that are absent. `cores`, `gpus`: int. `horovod`: `works`, the reason `why` it does not (else None), and the
        `commands` that build it.

    Examples
    --------
    >>> sorted(examine())[:3]
    ['cores', 'gluonfr', 'gpus']
    """
    packages = {name: _version(name) for name in (*_NEEDED, *_OPTIONAL)}
    if packages["opencv-python"]:
        # Both packages contain the same library.
        packages["opencv-python-headless"] = packages["opencv-python-headless"] or packages["opencv-python"]
    why = None
    try:
        load_horovod()
    except GluonFRError as error:
        why = str(error.__cause__).strip().splitlines()[0]
    return {
        "gluonfr": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "mxnet": mx.__version__,
        "packages": packages,
        "missing": [name for name in _NEEDED if packages[name] is None],
        "cores": cores(),
        "gpus": mx.context.num_gpus(),
        "horovod": {"works": why is None, "why": why, "commands": build_commands()},
    }


def build_commands(python: str = sys.executable) -> list[str]:
    """Return shell commands that build Horovod for the MXNet of this Python.

    Examples
    --------
    >>> any("horovod==" in line for line in build_commands())
    True
    """
    lines, path = [], ""
    tools = [each for each, program in (("g++", "g++"), ("make", "make")) if shutil.which(program) is None]
    if tools:
        lines.append(f"apt-get install -y {' '.join(tools)}")
    build = _BUILD
    if shutil.which("cmake") is None:
        # Gloo does not build with cmake 4; pip installs cmake beside this Python.
        build += ' "cmake<4"'
        path = f'PATH="$(dirname "{python}"):$PATH" '
    gpus = " HOROVOD_GPU_OPERATIONS=NCCL" if mx.context.num_gpus() else ""
    lines.append(f"{python} -m pip install {build}")
    # Without the cache of pip, which may contain a build without MXNet.
    lines.append(
        f"{path}{_SWITCHES}{gpus} MAKEFLAGS=-j{cores()} {python} -m pip install --no-build-isolation --no-deps --no-cache-dir "
        f"--force-reinstall horovod=={_HOROVOD}"
    )
    return lines


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
