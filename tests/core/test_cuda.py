"""What MXNet's CUDA build needs is loaded from NVIDIA's wheels, and what is missing is one sentence."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gluonfr.core.cuda import DRIVER, LIBRARIES, installed_builds

STUB = Path(__file__).resolve().parents[2] / "tools" / "stub_libcuda.c"
REPORT = """
import sys
from gluonfr.core import cuda
cuda._is_installed = lambda package: package in sys.argv[1].split(",")
print(cuda.cuda_problem())
print({library.name: library.source for library in cuda.load_libraries()})
"""


def build(source, target, *options):
    target.parent.mkdir(parents=True, exist_ok=True)
    soname = f"-Wl,-soname,{target.name}"
    subprocess.run(["gcc", "-shared", "-fPIC", soname, "-o", str(target), "-x", "c", str(source), *options], check=True)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """A folder with the namespace package `nvidia` as NVIDIA's wheels make it, of libraries that hold nothing."""
    if shutil.which("gcc") is None:
        pytest.skip("building stand-ins of the libraries needs gcc")
    folder = tmp_path_factory.mktemp("wheels")
    empty = folder / "empty.c"
    empty.write_text("int nothing;\n")
    before = None
    for name, part in LIBRARIES:
        path = folder / "nvidia" / part / "lib" / name
        # Each needs the one before by its file name only, which is found when that one is loaded already.
        needs = ["-x", "none", "-Wl,--no-as-needed", str(before)] if before else []
        build(empty, path, *needs)
        before = path
    return folder


@pytest.fixture(scope="module")
def drivers(tmp_path_factory, wheels):
    """Folders with a driver of no version, of CUDA 10.2 and of CUDA 11.4."""
    folders = {}
    for version in ("", "10020", "11040"):
        folders[version] = tmp_path_factory.mktemp("driver")
        build(STUB, folders[version] / DRIVER, *([f"-DCUDA_VERSION={version}"] if version else []))
    return folders


def report(packages, wheels="", driver=""):
    """Return what a fresh process says: the problem and the source of each library."""
    paths = [str(path) for path in (wheels, os.environ.get("PYTHONPATH", "")) if path]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "LD_LIBRARY_PATH": str(driver)}
    command = [sys.executable, "-c", REPORT, packages]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    problem, sources = done.stdout.splitlines()
    return problem, eval(sources)


@pytest.mark.parametrize("version", ["", "11040"])
def test_libraries_of_the_wheels_are_loaded_in_the_order_of_their_dependencies(wheels, drivers, version):
    problem, sources = report("mxnet-cu112", wheels, drivers[version])
    assert problem == "None"
    for name, part in LIBRARIES:
        # Where this machine has CUDA, its libraries come first.
        assert sources[name] in ("system", str(wheels / "nvidia" / part / "lib" / name))
    assert sources[DRIVER] == "system"


def test_a_missing_library_is_named_with_both_remedies(wheels, drivers, tmp_path):
    shutil.copytree(wheels / "nvidia", tmp_path / "nvidia")
    (tmp_path / "nvidia" / "cudnn" / "lib" / "libcudnn.so.8").unlink()
    problem, sources = report("mxnet-cu112", tmp_path, drivers[""])
    if sources["libcudnn.so.8"] == "system":
        pytest.skip("this machine has cuDNN 8")
    assert problem.startswith("mxnet-cu112 needs libcudnn.so.8, which cannot be loaded")
    assert 'pip install "gluonfr[cu112]"' in problem
    assert 'pip install "gluonfr[cpu]"' in problem


def test_a_missing_driver_is_reported(wheels):
    problem, sources = report("mxnet-cu112", wheels)
    if sources[DRIVER] == "system":
        pytest.skip("this machine has NVIDIA's driver")
    assert problem.startswith("mxnet-cu112 needs NVIDIA's driver, and libcuda.so.1 cannot be loaded")
    assert "450.80.02" in problem


def test_a_driver_that_is_too_old_is_reported(wheels, drivers):
    problem, _ = report("mxnet-cu112", wheels, drivers["10020"])
    assert problem.startswith("NVIDIA's driver supports CUDA 10.2 only and mxnet-cu112 needs 11")


def test_two_builds_of_mxnet_are_reported_with_the_command_that_removes_them():
    problem, _ = report("mxnet,mxnet-cu112")
    assert "they overwrite each other's files" in problem
    assert "pip uninstall -y mxnet mxnet-cu112" in problem


def test_a_cpu_build_needs_nothing():
    assert report("mxnet")[0] == "None"


def test_the_installed_build_is_found_by_its_package():
    cpu, cuda = installed_builds()
    assert len(cpu) + len(cuda) == 1


def test_a_problem_is_one_sentence_on_the_command_line(tmp_path):
    fake = tmp_path / "mxnet_cu112-1.9.1.dist-info"
    fake.mkdir()
    (fake / "METADATA").write_text("Metadata-Version: 2.1\nName: mxnet-cu112\nVersion: 1.9.1\n")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    train = [sys.executable, "-m", "gluonfr", "train", "--dataset", "x"]
    done = subprocess.run(train, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("gluonfr train: mxnet and mxnet-cu112 are installed, but they overwrite each other's files")
    help_page = subprocess.run([sys.executable, "-m", "gluonfr", "--help"], env=environment, capture_output=True, text=True)
    assert help_page.returncode == 0
    library = subprocess.run([sys.executable, "-c", "import gluonfr"], env=environment, capture_output=True, text=True)
    assert library.stderr.splitlines()[-1].startswith("ImportError: mxnet and mxnet-cu112 are installed")
