import json
import re

import mxnet as mx
import numpy as np
import pytest

from gluonfr.apps import doctor
from gluonfr.cli import main
from gluonfr.core import GluonFRError, cores


def refuse():
    raise GluonFRError("it does not work.") from ImportError("mpi_lib is not there\nand more")


def test_doctor_says_what_is_there(tmp_path, capsys):
    status = main(["doctor", "--json", str(tmp_path / "found.json")])
    found = json.loads((tmp_path / "found.json").read_text())
    assert (found["mxnet"], found["packages"]["numpy"]) == (mx.__version__, np.__version__)
    assert (found["cores"], found["gpus"], found["missing"]) == (cores(), mx.context.num_gpus(), [])
    assert status == (0 if found["horovod"]["works"] else 1)
    printed = capsys.readouterr().out
    assert mx.__version__ in printed
    assert re.search(rf"numpy +{re.escape(np.__version__)}", printed)


@pytest.mark.parametrize("cmake", [True, False])
def test_doctor_says_how_to_build_horovod(monkeypatch, capsys, cmake):
    monkeypatch.setattr(doctor, "load_horovod", refuse)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None if name == "cmake" and not cmake else "/usr/bin/" + name)
    assert main(["doctor"]) == 1
    printed = capsys.readouterr().out
    assert "Horovod does not (mpi_lib is not there)" in printed
    first, second = (line for line in printed.splitlines() if "pip install" in line)
    assert "setuptools<70" in first
    assert ('"cmake<4"' in first) == (not cmake)
    assert "HOROVOD_WITH_MXNET=1" in second
    assert "--no-build-isolation" in second
    assert second.endswith("horovod==0.28.1")
    assert ("PATH=" in second) == (not cmake)


def test_doctor_says_what_is_missing(monkeypatch, capsys):
    there = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "scipy" else there(name))
    assert main(["doctor"]) == 1
    assert re.search(r"scipy +- \(required\)", capsys.readouterr().out)
