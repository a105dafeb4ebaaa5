"""`gluonfr doctor` names every problem with its cure; conditions are faked where Python and the loader look for packages."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
import setuptools
from cuda_stubs import break_library, build_driver, build_wheels, environment

from gluonfr.apps.doctor import horovod, packages
from gluonfr.cli import main
from gluonfr.core import cores
from gluonfr.core.cuda import DRIVER, LIBRARIES

# Runs the command in a process in which some packages are not there, or have other versions.
COMMAND = """
import importlib.metadata, json, sys

versions, hidden, out = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
installed = importlib.metadata.version

def version(name):
    found = versions[name] if name in versions else installed(name)
    if found is None:
        raise importlib.metadata.PackageNotFoundError(name)
    return found

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

importlib.metadata.version = version
sys.meta_path.insert(0, Hidden())
sys.argv = ["gluonfr", "doctor", "--json", out]
from gluonfr.cli import main
sys.exit(main())
"""
# What the command reads of MXNet.
FAKE_MXNET = """
__version__ = "1.9.1"
class libinfo:
    find_lib_path = staticmethod(lambda: ["/somewhere/libmxnet.so"])
class runtime:
    class Features(dict):
        def __init__(self):
            self.update({name: type("Feature", (), {"enabled": name == "CUDA"}) for name in ("CUDA", "MKLDNN")})
"""
CUDA_BUILD = {"mxnet": None, "mxnet-cu112": "1.9.1"}
CPU_BUILD = {"mxnet": "1.9.1", "mxnet-cu112": None}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """Folder of NVIDIA's wheels, and of an MXNet that says that it was built with CUDA."""
    folder = build_wheels(tmp_path_factory.mktemp("wheels"))
    (folder / "mxnet.py").write_text(FAKE_MXNET)
    return folder


@pytest.fixture(scope="module")
def cpu_mxnet(tmp_path_factory):
    """Folder of an MXNet that says that it was built for CPUs."""
    folder = tmp_path_factory.mktemp("cpu")
    (folder / "mxnet.py").write_text(FAKE_MXNET.replace('name == "CUDA"', 'name == "MKLDNN"'))
    return folder


@pytest.fixture
def doctor(tmp_path):
    """Run `gluonfr doctor` in a process of its own; return its status, its lines and the JSON file."""

    def run(versions=(), hidden=(), python=(), loader=()):
        out = tmp_path / "found.json"
        command = [sys.executable, "-c", COMMAND, json.dumps(dict(versions)), json.dumps(list(hidden)), str(out)]
        done = subprocess.run(command, env=environment(python, loader), capture_output=True, text=True)
        # The log is there too.
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, done.stdout.splitlines(), json.loads(out.read_text())

    return run


def the_problem(status, lines, found):
    """Return the only problem, which is shown first."""
    assert status == 1
    (problem,) = found["problems"]
    assert lines[1] == f"problem 1: {problem}"
    return problem


def test_doctor_reports_installed_components(tmp_path, capsys):
    status = main(["doctor", "--json", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["mxnet"]["version"], found["packages"]["numpy"]) == (mx.__version__, np.__version__)
    assert found["mxnet"]["path"] == mx.libinfo.find_lib_path()[0]
    assert ("MKLDNN" in found["mxnet"]["features"]) == mx.runtime.Features().is_enabled("MKLDNN")
    assert found["cpu"]["cores"] == cores()
    # MXNet was linked with GNU's OpenMP.
    assert any("libgomp" in path for path in found["cpu"]["openmp"])
    printed = capsys.readouterr().out
    if not mx.runtime.Features().is_enabled("CUDA") or mx.context.num_gpus():
        assert (status, found["problems"]) == (0, [])
        assert "no problems found" in printed
    assert re.search(rf"numpy +{re.escape(np.__version__)}", printed)


def test_without_mxnet_both_extras_are_named_and_the_rest_is_shown(doctor):
    absent = {"mxnet": None, "mxnet-cu112": None}
    status, lines, found = doctor(absent, ["mxnet"])
    problem = the_problem(status, lines, found)
    assert 'pip install "gluonfr[cpu]"' in problem
    assert 'pip install "gluonfr[cu112]"' in problem
    assert found["mxnet"]["version"] is found["horovod"] is found["cuda"] is None
    assert "MXNet: does not work (no package is installed)" in lines
    assert any(re.match(rf" +numpy +{re.escape(np.__version__)}", line) for line in lines)


def test_a_broken_mxnet_is_reported_with_the_command_to_reinstall_it(doctor, tmp_path):
    (tmp_path / "mxnet.py").write_text("raise OSError('libgfortran.so.3: cannot open shared object file')")
    problem = the_problem(*doctor(CPU_BUILD, python=[tmp_path]))
    assert problem == (
        "MXNet is installed but cannot be imported (libgfortran.so.3: cannot open shared object file): run "
        "`pip install --force-reinstall --no-deps mxnet==1.9.1`."
    )


def test_two_builds_of_mxnet_are_reported(doctor):
    problem = the_problem(*doctor({"mxnet": "1.9.1", "mxnet-cu112": "1.9.1"}))
    assert problem.startswith("mxnet and mxnet-cu112 are installed, but they overwrite each other's files")


def test_a_missing_cuda_library_is_reported(doctor, wheels, tmp_path):
    shutil.copytree(wheels, tmp_path / "wheels")
    break_library(tmp_path / "wheels" / "nvidia" / "cudnn" / "lib", "libcudnn.so.8")
    loader = [break_library(tmp_path / "broken", "libcudnn.so.8"), build_driver(tmp_path / "driver")]
    status, lines, found = doctor(CUDA_BUILD, python=[tmp_path / "wheels"], loader=loader)
    assert the_problem(status, lines, found).startswith("mxnet-cu112 needs libcudnn.so.8, which cannot be loaded")
    (cudnn,) = (library for library in found["cuda"]["libraries"] if library["name"] == "libcudnn.so.8")
    assert cudnn["path"] == ""
    assert any(line.startswith(f"  libcudnn.so.8       {cudnn['error']}") for line in lines)


def test_a_missing_driver_is_reported_to_users_of_a_cuda_build(doctor, wheels, tmp_path):
    status, lines, found = doctor(CUDA_BUILD, python=[wheels], loader=[break_library(tmp_path, DRIVER)])
    assert the_problem(status, lines, found).startswith("mxnet-cu112 needs NVIDIA's driver, and libcuda.so.1 cannot be loaded")
    assert found["driver"] is None
    assert "driver: none of NVIDIA" in lines


def test_an_old_driver_is_reported_to_users_of_a_cuda_build(doctor, wheels, tmp_path):
    status, lines, found = doctor(CUDA_BUILD, python=[wheels], loader=[build_driver(tmp_path, CUDA_VERSION=10020)])
    assert the_problem(status, lines, found).startswith("NVIDIA's driver supports CUDA 10.2 only and mxnet-cu112 needs 11")
    assert found["driver"] == {"version": "535.104.05", "cuda": "10.2", "path": str(tmp_path / DRIVER)}


def test_a_driver_without_a_gpu_is_reported(doctor, wheels, tmp_path):
    problem = the_problem(*doctor(CUDA_BUILD, python=[wheels], loader=[build_driver(tmp_path, CUDA_VERSION=12020)]))
    assert problem.startswith("NVIDIA's driver offers no GPU to this process: check that `nvidia-smi` lists one")


def test_a_working_gpu_is_listed_without_problems(doctor, wheels, tmp_path):
    driver = build_driver(tmp_path, CUDA_VERSION=12020, CAPABILITY=86)
    status, lines, found = doctor(CUDA_BUILD, python=[wheels], loader=[driver])
    assert (status, found["problems"]) == (0, [])
    assert "GPU 0: Stub GPU, 24.0 GiB, compute capability 8.6" in lines
    assert "CUDA: 11.8, cuDNN 8.9.6, NCCL 2.21.5" in lines
    assert f"driver: 535.104.05, supports CUDA 12.2, {driver / DRIVER}" in lines
    assert found["gpus"] == [{"index": 0, "name": "Stub GPU", "memory": 24 << 30, "capability": "8.6", "why": None}]
    for (name, part), library in zip(LIBRARIES, found["cuda"]["libraries"]):
        # Where this machine has CUDA, its libraries come first.
        assert library["name"] == name
        assert library["path"]
        assert str(wheels / "nvidia" / part / "lib" / name) == library["path"] or "nvidia" not in library["path"]


def test_a_gpu_without_code_in_mxnet_is_reported(doctor, wheels, tmp_path):
    driver = build_driver(tmp_path, CUDA_VERSION=12020, CAPABILITY=90)
    problem = the_problem(*doctor(CUDA_BUILD, python=[wheels], loader=[driver]))
    assert problem.startswith("GPU 0 (Stub GPU) has compute capability 9.0, and MXNet 1.9.1 runs on 5.0 to 8.9 only")


def test_a_cpu_build_on_a_machine_with_a_gpu_gives_a_hint(doctor, cpu_mxnet, tmp_path):
    driver = build_driver(tmp_path, CUDA_VERSION=12020, CAPABILITY=86)
    status, lines, found = doctor(CPU_BUILD, python=[cpu_mxnet], loader=[driver])
    assert (status, found["problems"]) == (0, [])
    (hint,) = found["hints"]
    assert '`pip uninstall -y mxnet`, then `pip install "gluonfr[cu112]"`' in hint
    assert lines[1] == f"hint 1: {hint}"
    assert found["cuda"] is None


def test_native_operators_that_are_turned_off(doctor, monkeypatch):
    monkeypatch.setenv("GLUONFR_OPS", "0")
    _, lines, found = doctor()
    assert found["operators"] == {"used": False, "reason": "GLUONFR_OPS=0", "path": None}
    assert "native operators: not used (GLUONFR_OPS=0)" in lines


def test_missing_required_packages_are_reported_with_the_command(doctor, cpu_mxnet):
    packages = "scipy scikit-learn opencv-python-headless matplotlib tqdm pillow jinja2"
    modules = ["scipy", "sklearn", "cv2", "matplotlib", "tqdm", "PIL", "jinja2"]
    versions = {**CPU_BUILD, **dict.fromkeys(["opencv-python", *packages.split()])}
    assert (
        the_problem(*doctor(versions, modules, [cpu_mxnet])) == f"Required packages are missing: run `pip install {packages}`."
    )


def test_missing_optional_packages_are_listed_with_their_extra(doctor, cpu_mxnet):
    absent = ["onnx", "onnxruntime", "pymilvus", "fastapi", "horovod"]
    status, lines, found = doctor({**CPU_BUILD, **dict.fromkeys(absent)}, absent, [cpu_mxnet])
    assert (status, found["problems"]) == (0, [])
    printed = "\n".join(lines)
    for extra in ("onnx", "milvus", "serve"):
        assert re.search(rf"^  {extra} .*missing.*`pip install \"gluonfr\[{extra}\]\"`$", printed, re.M)
    assert "ps-lite (--sync ps) works, Horovod does not" in printed


def test_required_packages_and_extras_are_those_of_the_installation(monkeypatch):
    declared = {}
    monkeypatch.setattr(setuptools, "setup", declared.update)
    runpy.run_path(str(Path(packages.__file__).parents[3] / "setup.py"))

    def names(requirements):
        return {re.match(r"[\w-]+", requirement).group().lower() for requirement in requirements}

    # setuptools replaces what Python 3.12 no longer has, for MXNet; argcomplete only completes words in a shell.
    assert set(packages.REQUIRED) == names(declared["install_requires"]) - {"setuptools", "argcomplete"}
    build_and_development = {"cpu", "cu112", "test", "test-system", "docs", "notebook"}
    assert set(packages.EXTRAS) == set(declared["extras_require"]) - build_and_development
    for extra, listed in packages.EXTRAS.items():
        assert set(listed) == names(declared["extras_require"][extra]) - {"protobuf"}, extra


def refuse():
    raise ImportError("mpi_lib is not there\nand more")


@pytest.mark.parametrize("cmake", [True, False])
def test_doctor_explains_how_to_build_horovod(monkeypatch, capsys, cmake):
    monkeypatch.setattr(horovod, "_import_horovod", refuse)
    monkeypatch.setattr(horovod.shutil, "which", lambda name: None if name == "cmake" and not cmake else "/usr/bin/" + name)
    main(["doctor"])
    printed = capsys.readouterr().out
    assert "Horovod does not (mpi_lib is not there)" in printed
    first, second = (line for line in printed.splitlines() if "pip install" in line and "gluonfr" not in line)
    assert "setuptools<70" in first
    assert ('"cmake<4"' in first) == (not cmake)
    assert "HOROVOD_WITH_MXNET=1" in second
    assert "--no-build-isolation" in second
    assert second.endswith("horovod==0.28.1")
    assert ("PATH=" in second) == (not cmake)
