"""Install the package in a fresh environment of every Python on this machine and test it; 3.13 must be refused clearly.

Looks at pyenv's versions and at python3.8 to python3.13 on the PATH.
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))
from make_venv import is_supported, make_environment  # noqa: E402

TESTS = ("tests/core", "tests/nn", "tests/loss", "tests/metrics", "tests/engine/test_step.py")


def pythons():
    """(major, minor) -> path of an interpreter."""
    found = {}
    candidates = glob.glob(os.path.expanduser("~/.pyenv/versions/3.*/bin/python"))
    candidates += [path for minor in range(8, 14) for path in [shutil.which(f"python3.{minor}")] if path]
    for path in candidates:
        done = subprocess.run([path, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True)
        if done.returncode == 0:
            version = tuple(map(int, done.stdout.split()))
            if version >= (3, 8):
                found.setdefault(version, path)
    return dict(sorted(found.items()))


def refused(path):
    """Whether pip refuses to install with the reason."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([path, "-m", "venv", folder], check=True)
        done = subprocess.run([os.path.join(folder, "bin", "pip"), "install", str(ROOT)], capture_output=True, text=True)
    return done.returncode != 0 and "requires a different Python" in done.stderr + done.stdout


def tried(path):
    """Whether the package installs and its tests pass."""
    with tempfile.TemporaryDirectory() as folder:
        make_environment(folder, "cpu,test", path)
        command = [os.path.join(folder, "bin", "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
        return subprocess.run(command, cwd=ROOT).returncode == 0


def main():
    failed = []
    for version, path in pythons().items():
        name = "%d.%d" % version
        try:
            good = tried(path) if is_supported(version) else refused(path)
        except subprocess.CalledProcessError as error:
            print(error)
            good = False
        outcome = "works" if is_supported(version) else "refused with a reason"
        print(f"Python {name}: {outcome if good else 'FAILED'}", flush=True)
        if not good:
            failed.append(name)
    if not pythons():
        print("no Python from 3.8 on was found")
    return 1 if failed or not pythons() else 0


if __name__ == "__main__":
    sys.exit(main())
