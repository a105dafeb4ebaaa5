"""Make a virtual environment with this package in it: `python tools/make_venv.py FOLDER EXTRAS [PYTHON]`."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def make(folder, extras, python=sys.executable):
    """Create `folder` with `python` and install the package, editable, with its extras."""
    subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
    pip = [os.path.join(folder, "bin", "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--editable", f"{ROOT}[{extras}]"], check=True)


def usable(version):
    """Whether the package supports this (major, minor)."""
    return (3, 8) <= version < (3, 13)


if __name__ == "__main__":
    if not usable(sys.version_info[:2]):
        sys.exit(
            f"gluonfr needs Python 3.8 to 3.12, because MXNet 1.9.1 runs on no later one; this is {sys.version.split()[0]}. "
            "Name one with `make PYTHON=python3.11`."
        )
    make(*sys.argv[1:])
