"""Stand-ins for NVIDIA's libraries, built by gcc, so that the loader finds what a test wants it to find."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gluonfr.core.cuda import DRIVER, LIBRARIES

DRIVER_SOURCE = Path(__file__).resolve().parents[1] / "tools" / "stub_libcuda.c"
# Versions 11.8, 8.9.6 and 2.21.5, in the numbers that the libraries use.
LIBRARY_SOURCE = """
#include <stddef.h>
int nvrtcVersion(int *major, int *minor) { *major = 11; *minor = 8; return 0; }
size_t cudnnGetVersion(void) { return 8906; }
int ncclGetVersion(int *version) { *version = 22105; return 0; }
"""
MANAGEMENT_SOURCE = """
#include <string.h>
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned int size) { strncpy(text, "535.104.05", size); return 0; }
"""


def build(source, target, *options):
    """Compile C source into a shared library with the name of its file."""
    if shutil.which("gcc") is None:
        pytest.skip("stand-ins of libraries are built by gcc, which is not installed")
    target.parent.mkdir(parents=True, exist_ok=True)
    command = ["gcc", "-shared", "-fPIC", f"-Wl,-soname,{target.name}", "-o", str(target), "-x", "c", "-", *options]
    subprocess.run(command, input=source, text=True, check=True)


def build_wheels(folder):
    """Make the package `nvidia` as NVIDIA's wheels do; return `folder`, which belongs on the Python path."""
    (folder / "nvidia").mkdir(parents=True)
    (folder / "nvidia" / "__init__.py").touch()
    before = None
    for name, part in LIBRARIES:
        path = folder / "nvidia" / part / "lib" / name
        # Each needs the one before by its file name only, which is found when that one is loaded already.
        build(LIBRARY_SOURCE, path, *(["-x", "none", "-Wl,--no-as-needed", str(before)] if before else []))
        before = path
    return folder


def build_driver(folder, **definitions):
    """Make a driver, with `CUDA_VERSION` and `CAPABILITY` if wanted; return `folder`, which belongs on the loader's path."""
    build(DRIVER_SOURCE.read_text(), folder / DRIVER, *(f"-D{name}={value}" for name, value in definitions.items()))
    build(MANAGEMENT_SOURCE, folder / "libnvidia-ml.so.1")
    return folder


def break_library(folder, name):
    """Make a file that the loader finds and refuses, also on machines that have the library; return `folder`."""
    folder.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text("not a library, and longer than the header of one: " + "." * 100)
    return folder


def environment(python=(), loader=()):
    """Return the environment of a process with folders in front of Python's path and on the loader's."""
    changed = dict(os.environ)
    for name, folders in (("PYTHONPATH", python), ("LD_LIBRARY_PATH", loader)):
        path = os.pathsep.join([*map(str, folders), changed.get(name, "")]).strip(os.pathsep)
        # An empty path would be the current folder.
        changed.update({name: path} if path else {})
    return changed


def fake_packages(folder, **versions):
    """Make metadata of packages as pip installs it, without code; return `folder`, which belongs on Python's path."""
    for name, version in versions.items():
        info = folder / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n")
    return folder
