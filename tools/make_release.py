"""Build the source archive and the wheel, check them, and try the wheel in a clean environment."""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
# What users look for in the source archive, and what the wheel needs besides Python.
IN_SOURCE = (
    *("CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "Makefile", "NOTICE", "README.md", "SECURITY.md"),
    *("docs/losses.md", "docs/gpu.md", "examples/README.md", "examples/face_recognition/train_arcloss.py"),
    *("examples/notebooks/", "tests/conftest.py", "tools/gpu_smoke.py", "docker/Dockerfile.cu112"),
)
IN_WHEEL = (
    *("gluonfr/py.typed", "gluonfr/ops/softmax.cc", "gluonfr/evaluation/report/html/", "gluonfr/apps/serve/page/"),
    ".dist-info/licenses/LICENSE",
)
# A newcomer's first minutes, with an empty home, outside of the checkout.
TRIAL = (
    "gluonfr --version",
    "gluonfr doctor",
    "gluonfr synthesize faces --identities 12 --images 6 --pairs 100",
    "gluonfr train --dataset faces --val val_data --root . --steps 4 --batch-size 16 --val-every 0 --out run",
    "gluonfr verify --model run/best --data faces/val_data --root .",
)


def run(*command, **options):
    """Run a command, and stop where it fails."""
    print("$", *map(str, command), flush=True)
    subprocess.run(list(map(str, command)), check=True, **options)


def new_environment(folder, *packages):
    """Make a virtual environment with some packages; return its folder of programs."""
    run(sys.executable, "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    return folder / "bin"


def build(work):
    """Build both archives from the commit that is checked out; return them."""
    shutil.rmtree(DIST, ignore_errors=True)
    tools = new_environment(work / "tools", "build", "twine")
    # Files that are not part of the commit must not get into a release.
    source = work / "source"
    source.mkdir()
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", "HEAD"], check=True, stdout=subprocess.PIPE).stdout
    run("tar", "-x", "-C", source, input=archive)
    run(tools / "python", "-m", "build", "--outdir", DIST, source)
    archives = sorted(DIST.iterdir())
    run(tools / "twine", "check", "--strict", *archives)
    return archives


def check_contents(wheel, source):
    """Stop where an archive lacks a file."""
    with tarfile.open(source) as archive:
        in_source = {name.partition("/")[2] for name in archive.getnames()}
    with zipfile.ZipFile(wheel) as archive:
        in_wheel = archive.namelist()
    missing = [name for name in IN_SOURCE if not any(file.startswith(name) for file in in_source)]
    missing += [name for name in IN_WHEEL if not any(name in file for file in in_wheel)]
    if missing:
        sys.exit(f"missing in the archives: {', '.join(missing)}")
    strange = [name for name in in_wheel if not re.match(r"gluonfr[-/]", name)]
    if strange:
        sys.exit(f"the wheel contains files outside of the package: {', '.join(strange)}")


def try_wheel(work, wheel):
    """Install the wheel in a clean environment and run a newcomer's first commands."""
    programs = new_environment(work / "clean", f"{wheel}[cpu]")
    home = work / "home"
    home.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GLUONFR", "VIRTUAL_ENV"))
    }
    environment.update(HOME=str(home), PATH=os.pathsep.join([str(programs), environment["PATH"]]))
    for line in TRIAL:
        run(*line.split(), cwd=home, env=environment)


def main():
    """Run all steps."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        source, wheel = sorted(build(work), key=lambda path: path.suffix != ".gz")
        check_contents(wheel, source)
        try_wheel(work, wheel)
    print(f"{source} and {wheel} are ready to be uploaded.")


if __name__ == "__main__":
    main()
