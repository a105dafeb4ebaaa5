from __future__ import annotations

import shutil
import sys
from typing import Any

from gluonfr.core import cores
from gluonfr.core.cuda import installed_builds
from gluonfr.core.cuda_devices import list_gpus

_HOROVOD = "0.28.1"
# Packages that Horovod's build and its launcher import; setuptools 70 and later break the build.
_BUILD = '"setuptools<70" wheel cffi cloudpickle psutil pyyaml packaging'
_SWITCHES = (
    "HOROVOD_WITH_MXNET=1 HOROVOD_WITH_GLOO=1 HOROVOD_CPU_OPERATIONS=GLOO HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_TENSORFLOW=1 "
    "HOROVOD_WITHOUT_PYTORCH=1"
)


def examine_horovod() -> dict[str, Any]:
    """Return whether Horovod `works` with this MXNet, `why` not (else None), and the `commands` that build it.

    Examples
    --------
    >>> sorted(examine_horovod())
    ['commands', 'why', 'works']
    """
    why = None
    try:
        _import_horovod()
    except Exception as error:  # besides ImportError, what a build for another framework or another MXNet raises
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return {"works": why is None, "why": why, "commands": build_commands()}


def build_commands(python: str = sys.executable) -> list[str]:
    """Return shell commands that build Horovod for the MXNet of this Python.

    Parameters
    ----------
    python : str, optional
        Python interpreter to build for; by default this one.

    Examples
    --------
    >>> any("horovod==" in line for line in build_commands())
    True
    """
    lines, path = [], ""
    tools = [program for program in ("g++", "make") if shutil.which(program) is None]
    if tools:
        lines.append(f"apt-get install -y {' '.join(tools)}")
    build = _BUILD
    if shutil.which("cmake") is None:
        # Gloo does not build with cmake 4; pip installs cmake beside this Python.
        build += ' "cmake<4"'
        path = f'PATH="$(dirname "{python}"):$PATH" '
    gpus = " HOROVOD_GPU_OPERATIONS=NCCL" if installed_builds()[1] and list_gpus() else ""
    lines.append(f"{python} -m pip install {build}")
    # Without the cache of pip, which may contain a build without MXNet.
    lines.append(
        f"{path}{_SWITCHES}{gpus} MAKEFLAGS=-j{cores()} {python} -m pip install --no-build-isolation --no-deps --no-cache-dir "
        f"--force-reinstall horovod=={_HOROVOD}"
    )
    return lines


def _import_horovod() -> None:
    import horovod.mxnet  # noqa: F401
