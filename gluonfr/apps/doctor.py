"""What this installation can do, and what it needs for the rest."""

from __future__ import annotations

import platform
import shutil
import sys
from importlib import metadata

import mxnet as mx

from gluonfr.core import GluonFRError, cores
from gluonfr.engine.distributed.horovod_group import load_horovod
from gluonfr.version import __version__

_HOROVOD = "0.28.1"
_NEEDED = ("numpy", "scipy", "scikit-learn", "opencv-python-headless", "matplotlib", "tqdm", "pillow", "jinja2")
_OPTIONAL = ("horovod", "onnx", "onnxruntime", "gluoncv", "opencv-python", "tensorboard", "mtcnn", "face-recognition-models")
# What Horovod's build and its launcher import; setuptools 70 and later break the build.
_BUILD = '"setuptools<70" wheel cffi cloudpickle psutil pyyaml packaging'
_SWITCHES = (
    "HOROVOD_WITH_MXNET=1 HOROVOD_WITH_GLOO=1 HOROVOD_CPU_OPERATIONS=GLOO HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_TENSORFLOW=1 "
    "HOROVOD_WITHOUT_PYTORCH=1"
)


def examine():
    """What is there, as a dict for JSON.

    `gluonfr`, `python`, `system`, `mxnet`: text. `packages`: name -> version or None, where only those of `missing` are needed.
    `cores`, `gpus`: int. `horovod`: `works`, `why` it does not (else None), and the `commands` that build it.
    """
    packages = {name: _version(name) for name in (*_NEEDED, *_OPTIONAL)}
    if packages["opencv-python"]:
        # The same library.
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


def build_commands(python=sys.executable):
    """Lines for a shell that build Horovod for the MXNet of this Python."""
    lines, path = [], ""
    tools = [each for each, program in (("g++", "g++"), ("make", "make")) if shutil.which(program) is None]
    if tools:
        lines.append(f"apt-get install -y {' '.join(tools)}")
    build = _BUILD
    if shutil.which("cmake") is None:
        # Gloo's build is too old for cmake 4; what pip installs lies beside this Python.
        build += ' "cmake<4"'
        path = f'PATH="$(dirname "{python}"):$PATH" '
    gpus = " HOROVOD_GPU_OPERATIONS=NCCL" if mx.context.num_gpus() else ""
    lines.append(f"{python} -m pip install {build}")
    # Built anew, because a stored one may have been built without MXNet.
    lines.append(
        f"{path}{_SWITCHES}{gpus} MAKEFLAGS=-j{cores()} {python} -m pip install --no-build-isolation --no-deps --no-cache-dir "
        f"--force-reinstall horovod=={_HOROVOD}"
    )
    return lines


def _version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
