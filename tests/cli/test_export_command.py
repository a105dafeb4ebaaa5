import os
import subprocess
import sys

import mxnet as mx
import pytest
from mxnet import nd

from gluonfr.model_zoo import get_model
from gluonfr.weights.saved import save_network


@pytest.fixture
def model(tmp_path):
    arguments = {"embedding_size": 16, "width": 0.25}
    net = get_model("mobilefacenet", **arguments)
    net.initialize(mx.init.Xavier())
    net(nd.zeros((1, 3, 112, 112)))
    (tmp_path / "model").mkdir()
    save_network(net, str(tmp_path / "model"), {"network": "mobilefacenet", "arguments": arguments})
    return tmp_path / "model"


def export(*arguments):
    return subprocess.run([sys.executable, "-m", "gluonfr", "export", *map(str, arguments)], capture_output=True, text=True)


def test_export_prints_its_check(tmp_path, model):
    done = export("--model", model, "--out", tmp_path / "out" / "x.onnx")
    assert done.returncode == 0, done.stderr
    wrote, checked = done.stdout.splitlines()
    assert wrote.startswith(f"wrote {tmp_path}/out/x.onnx (")
    assert float(checked.split(": ")[1]) < 1e-4
    # What was exported is a model like any other.
    done = export("--model", tmp_path / "out" / "x-symbol.json", "--out", tmp_path / "y")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_mistakes_leave_nothing_behind(tmp_path, model):
    for arguments, words in (
        (("--dtype", "int8", "--out", tmp_path / "x.onnx"), "calibration"),
        (("--dtype", "int8", "--calibrate", "none", "--root", tmp_path, "--out", tmp_path / "x.onnx"), "no data set 'none'"),
        (("--format", "symbol", "--out", tmp_path / "x.onnx"), "ends in .onnx"),
        (("--model", tmp_path / "none", "--out", tmp_path / "x.onnx"), "none"),
    ):
        done = export("--model", model, *arguments)
        assert done.returncode == 2, done.stdout
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("gluonfr export: ")
        assert words in last
        assert "Traceback" not in done.stderr
    assert os.listdir(tmp_path) == ["model"]


def test_home_folder_and_prefix_name_files(tmp_path, model, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    done = export("--model", model, "--out", "~/out/x")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "x-symbol.json").is_file()
    done = export("--model", tmp_path / "out" / "x", "--out", "~/out/again")
    assert done.returncode == 0, done.stderr
