"""Make a virtual environment with this package in it: `python tools/make_venv.py FOLDER EXTRAS`."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def version_of(python):
    """Return (major, minor) of an interpreter; None when it does not run."""
    done = subprocess.run([python, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True)
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else None


def make_environment(folder, extras, python=sys.executable):
    """Create `folder` with `python` unless it is there, and install the package, editable, with its extras.

    A folder of another Python version is left alone: RuntimeError.
    """
    own = os.path.join(folder, "bin", "python")
    if os.path.exists(own):
        versions = version_of(own), version_of(python)
        if versions[0] and versions[0] != versions[1]:
            raise RuntimeError(
                f"{folder} is an environment of Python {'.'.join(map(str, versions[0]))}, not of "
                f"{'.'.join(map(str, versions[1]))}: name another folder with `make VENV=...`, or remove it."
            )
    elif os.path.exists(folder) and os.listdir(folder):
        raise RuntimeError(f"{folder} exists and is not a virtual environment: name another folder with `make VENV=...`.")
    subprocess.run([python, "-m", "venv", folder], check=True)
    pip = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--editable", f"{ROOT}[{extras}]"], check=True)


def is_supported(version):
    """Whether the package supports this (major, minor)."""
    return (3, 8) <= version < (3, 13)


if __name__ == "__main__":
    if not is_supported(sys.version_info[:2]):
        sys.exit(
            f"gluonfr needs Python 3.8 to 3.12, because MXNet 1.9.1 runs on no later one; this is {sys.version.split()[0]}. "
            "Name one with `make PYTHON=python3.11`."
        )
    try:
        make_environment(*sys.argv[1:])
    except RuntimeError as error:
        sys.exit(str(error))
