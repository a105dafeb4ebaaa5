"""What MXNet's CUDA build needs is loaded from NVIDIA's wheels, and what is missing is one sentence."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cuda_stubs import break_library, build_driver, build_wheels, environment, fake_packages

from gluonfr.core.cuda import DRIVER, LIBRARIES, installed_builds
from gluonfr.core.cuda_devices import Gpu, gpu_problem, list_gpus

# Under the name of the command, importing gluonfr does not raise the problem of the MXNet that is really installed.
REPORT = """
import sys
packages = sys.argv[1].split(",")
sys.argv[0] = "gluonfr"
from gluonfr.core import cuda, cuda_devices
cuda._is_installed = lambda package: package in packages
print(cuda.cuda_problem())
print({library.name: library.source for library in cuda.load_libraries()})
print({name: cuda_devices.loaded_from(name) for name, _ in cuda.LIBRARIES})
print(cuda_devices.library_versions(), cuda_devices.driver_version(), cuda_devices.list_gpus())
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    return build_wheels(tmp_path_factory.mktemp("wheels"))


@pytest.fixture(scope="module")
def drivers(tmp_path_factory):
    """Folders with a driver of no version, of CUDA 10.2, and of CUDA 11.4 with a GPU."""
    made = {"": {}, "10020": {"CUDA_VERSION": 10020}, "11040": {"CUDA_VERSION": 11040, "CAPABILITY": 86}}
    return {name: build_driver(tmp_path_factory.mktemp("driver"), **definitions) for name, definitions in made.items()}


def report(packages, python=(), loader=()):
    """Return what a fresh process finds: the problem, the source and path of each library, versions and GPUs."""
    command = [sys.executable, "-c", REPORT, packages]
    done = subprocess.run(command, env=environment(python, loader), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    problem, sources, paths, rest = done.stdout.splitlines()
    return problem, eval(sources), eval(paths), rest


@pytest.mark.parametrize("version", ["", "11040"])
def test_libraries_of_the_wheels_are_loaded_in_the_order_of_their_dependencies(wheels, drivers, version):
    problem, sources, paths, _ = report("mxnet-cu112", [wheels], [drivers[version]])
    assert problem == "None"
    for name, part in LIBRARIES:
        path = str(wheels / "nvidia" / part / "lib" / name)
        # Where this machine has CUDA, its libraries come first.
        assert sources[name] == "system" or (sources[name], paths[name]) == (path, path)
    assert sources[DRIVER] == "system"


def test_a_library_of_the_system_is_used_and_its_file_is_found(wheels, drivers, tmp_path):
    # As a system installation does it: a link to the file of a full version.
    shutil.copy(wheels / "nvidia" / "cudnn" / "lib" / "libcudnn.so.8", tmp_path / "libcudnn.so.8.9.6")
    (tmp_path / "libcudnn.so.8").symlink_to("libcudnn.so.8.9.6")
    _, sources, paths, _ = report("mxnet-cu112", [wheels], [tmp_path, drivers[""]])
    assert sources["libcudnn.so.8"] == "system"
    assert paths["libcudnn.so.8"] == str(tmp_path / "libcudnn.so.8.9.6")


def test_versions_and_gpus_are_asked_of_the_libraries(wheels, drivers):
    rest = report("mxnet-cu112", [wheels], [wheels / "nvidia" / part / "lib" for _, part in LIBRARIES] + [drivers["11040"]])[3]
    assert rest == (
        "{'cuda': '11.8', 'cudnn': '8.9.6', 'nccl': '2.21.5'} 535.104.05 "
        "[Gpu(index=0, name='Stub GPU', memory=25769803776, capability=(8, 6))]"
    )


def test_a_missing_library_is_named_with_both_remedies(wheels, drivers, tmp_path):
    shutil.copytree(wheels / "nvidia", tmp_path / "nvidia")
    break_library(tmp_path / "nvidia" / "cudnn" / "lib", "libcudnn.so.8")
    broken = break_library(tmp_path / "broken", "libcudnn.so.8")
    problem, sources, *_ = report("mxnet-cu112", [tmp_path], [broken, drivers[""]])
    assert sources["libcudnn.so.8"] == ""
    assert problem.startswith("mxnet-cu112 needs libcudnn.so.8, which cannot be loaded")
    assert 'pip install "gluonfr[cu112]"' in problem
    assert 'pip install "gluonfr[cpu]"' in problem


def test_a_missing_driver_is_reported(wheels, tmp_path):
    problem, *_, rest = report("mxnet-cu112", [wheels], [break_library(tmp_path, DRIVER)])
    assert problem.startswith("mxnet-cu112 needs NVIDIA's driver, and libcuda.so.1 cannot be loaded")
    assert "450.80.02" in problem
    assert rest.endswith(" []")


def test_a_driver_that_is_too_old_is_reported(wheels, drivers):
    problem, *_ = report("mxnet-cu112", [wheels], [drivers["10020"]])
    assert problem.startswith("NVIDIA's driver supports CUDA 10.2 only and mxnet-cu112 needs 11")


def test_two_builds_of_mxnet_are_reported_with_the_command_that_removes_them():
    problem, *_ = report("mxnet,mxnet-cu112")
    assert "they overwrite each other's files" in problem
    assert "pip uninstall -y mxnet mxnet-cu112" in problem


def test_a_cpu_build_needs_nothing():
    assert report("mxnet")[0] == "None"


@pytest.mark.parametrize(
    ("capability", "works"),
    [((3, 7), False), ((5, 0), True), ((7, 5), True), ((8, 9), True), ((9, 0), False), ((12, 0), False)],
)
def test_gpus_that_the_machine_code_of_mxnet_does_not_cover_are_reported(capability, works):
    problem = gpu_problem(Gpu(1, "Some GPU", 1 << 30, capability))
    if works:
        assert problem is None
    else:
        number = ".".join(map(str, capability))
        assert problem.startswith(f"GPU 1 (Some GPU) has compute capability {number}, and MXNet 1.9.1 runs on 5.0 to 8.9 only")


def test_the_tests_that_the_documentation_names_exist():
    root = Path(__file__).resolve().parents[2]
    named = re.findall(r"`(tests/\S+\.py)::(\w+)`", (root / "docs" / "gpu.md").read_text())
    assert len(named) > 5
    for file, test in named:
        assert f"def {test}(" in (root / file).read_text(), (file, test)


def test_the_installed_build_is_found_by_its_package():
    cpu, cuda = installed_builds()
    assert len(cpu) + len(cuda) == 1


def test_gpus_have_consecutive_numbers():
    assert [gpu.index for gpu in list_gpus()] == list(range(len(list_gpus())))


def test_the_command_line_reports_a_problem_in_one_sentence(tmp_path):
    both = environment([fake_packages(tmp_path, mxnet="1.9.1", mxnet_cu112="1.9.1")])
    train = [sys.executable, "-m", "gluonfr", "train", "--dataset", "x"]
    done = subprocess.run(train, env=both, capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("gluonfr train: mxnet and mxnet-cu112 are installed, but they overwrite each other's files")
    help_page = subprocess.run([sys.executable, "-m", "gluonfr", "--help"], env=both, capture_output=True, text=True)
    assert help_page.returncode == 0
    library = subprocess.run([sys.executable, "-c", "import gluonfr"], env=both, capture_output=True, text=True)
    assert library.stderr.splitlines()[-1].startswith("ImportError: mxnet and mxnet-cu112 are installed")
