"""Compiling the operators into the user's cache folder."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

import mxnet as mx

from gluonfr.core.cpu import cpu_info
from gluonfr.core.paths import absolute_path, display_path

logger = logging.getLogger(__name__)

SOURCE = Path(__file__).with_name("softmax.cc")
# Without -ffast-math, which would remove the handling of NaN and infinity.
FLAGS = (
    *("-std=c++14", "-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", "-w"),
    *("-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"),
    # libmxnet.so defines functions of the same names for another ABI. Horovod makes them global, and without this flag the
    # library would call those.
    "-Wl,-Bsymbolic",
)
# For the same reason: static variables of templates are otherwise shared by all libraries of the process.
_GCC_FLAGS = ("-fno-gnu-unique",)
_COMPILERS = ("g++", "c++", "clang++")
_SECONDS = 600


class BuildError(Exception):
    """The operators cannot be compiled here; the message is the reason.

    Examples
    --------
    >>> str(BuildError("no C++ compiler was found"))
    'no C++ compiler was found'
    """


def build_library() -> str:
    """Return the path of the compiled operators, after compiling them where they are not in the cache.

    The file name contains a hash of the source, compiler, flags, CPU and MXNet version. Of several processes that start at
    once, one compiles while the others wait. The file appears under its name when it is complete.

    Returns
    -------
    str
        Path of the shared library.

    Raises
    ------
    BuildError
        There is no compiler, the compilation failed, or the cache folder is not writable.

    Examples
    --------
    >>> from gluonfr.ops import available
    >>> not available() or build_library().endswith(".so")
    True
    """
    compiler, headers = _find_compiler(), Path(mx.__file__).parent
    sources = [SOURCE, headers / "src" / "lib_api.cc"]
    if not sources[1].exists():
        raise BuildError(f"{sources[1]} is missing in this build of MXNet")
    path = Path(cache_folder()) / f"softmax-{_key(compiler, sources)}.so"
    if path.exists():
        return str(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _lock(path.with_suffix(".lock")):
            if not path.exists():
                _compile([compiler, *_flags(compiler), f"-I{headers / 'include'}", *map(str, sources)], path)
    except OSError as error:
        raise BuildError(f"{display_path(path.parent)} cannot be written ({error.strerror}); set XDG_CACHE_HOME") from error
    return str(path)


def cache_folder() -> str:
    """Return the folder of compiled operators: ``$XDG_CACHE_HOME/gluonfr/ops``, by default in ``~/.cache``.

    Examples
    --------
    >>> os.path.basename(cache_folder())
    'ops'
    """
    return os.path.join(absolute_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache"), "gluonfr", "ops")


def _find_compiler() -> str:
    chosen = os.environ.get("CXX")
    for name in [chosen] if chosen else _COMPILERS:
        found = shutil.which(name)
        if found:
            return os.path.realpath(found)
    raise BuildError(f"no C++ compiler was found ({chosen or ', '.join(_COMPILERS)})")


def _flags(compiler: str) -> tuple[str, ...]:
    return FLAGS + (_GCC_FLAGS if "g++" in os.path.basename(compiler) else ())


def _key(compiler: str, sources: list[Path]) -> str:
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.read_bytes())
    # The file of a compiler changes with its version; running it would stop MXNet's engine for a moment.
    about = os.stat(compiler)
    digest.update(repr((compiler, about.st_size, about.st_mtime_ns, _flags(compiler), _cpu(), mx.__version__)).encode())
    return digest.hexdigest()[:20]


def _cpu() -> str:
    """Return what the code of -march=native depends on: model and instruction sets."""
    wanted = ("vendor_id", "cpu family", "model", "flags", "Features")
    return "\n".join([platform.machine(), *(f"{name}: {value}" for name, value in cpu_info().items() if name in wanted)])


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock between processes; it is released when the process ends, however that happens."""
    import fcntl

    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            logger.debug("%s cannot be locked; several processes may compile at once", path)
        yield


def _compile(command: list[str], path: Path) -> None:
    """Run the compiler and rename its output to `path`."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="." + path.stem, dir=path.parent) as folder:
        output = os.path.join(folder, path.name)
        try:
            done = subprocess.run(
                [*command, "-o", output], stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BuildError(f"{command[0]} failed ({type(error).__name__})") from error
        if done.returncode:
            first = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
            problem = next((line for line in first if "error" in line), first[0])
            raise BuildError(f"{command[0]} failed: {problem.strip()[:200]}")
        with open(output, "rb") as file:
            os.fsync(file.fileno())
        os.replace(output, path)
    logger.info("compiled CPU operators, once, %.0f s: %s", time.monotonic() - start, display_path(path))
