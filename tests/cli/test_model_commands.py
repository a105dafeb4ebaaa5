import json
import os
import re

import mxnet as mx
import pytest
from command_line import refused, run, succeeds
from mxnet import nd

from gluonfr.model_zoo import get_model, get_model_list
from gluonfr.weights.saved import save_network

SMALL = {"embedding_size": 16, "width": 0.25}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Folder of a small network with random weights."""
    net = get_model("mobilefacenet", **SMALL)
    net.initialize(mx.init.Xavier())
    net(nd.zeros((1, 3, 112, 112)))
    folder = tmp_path_factory.mktemp("network") / "model"
    folder.mkdir()
    save_network(net, str(folder), {"network": "mobilefacenet", "arguments": SMALL, "license": "CC0"})
    return folder


def test_models_are_stored_listed_and_removed(model, tmp_path):
    store = ["models", "--models", tmp_path / "models"]
    assert succeeds(*store, "--add", model, "--name", "mine").strip() == str(tmp_path / "models" / "mine")
    printed = succeeds(*store, "--json", tmp_path / "list.json")
    assert all(name in printed for name in get_model_list())
    assert any(line.split()[:3] == ["mine", "mobilefacenet", "16"] and line.endswith("CC0") for line in printed.splitlines())
    listed = json.loads((tmp_path / "list.json").read_text())
    assert set(listed["networks"]) == set(get_model_list())
    assert listed["stored"]["mine"]["license"] == "CC0"
    assert run(*store, "--remove", "mine")[0] == 0
    assert "No model is stored" in succeeds(*store)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--add", "x"], "--add requires --name NAME"),
        (["--name", "x"], "require --add PATH"),
        (["--remove", "x"], "no stored model 'x'"),
        (["--remove", "x", "--add", "y", "--name", "x"], "cannot be combined"),
        (["--add", "x.pt", "--name", "x"], "missing"),
    ],
)
def test_invalid_options_of_models_are_refused(tmp_path, arguments, words):
    assert words in refused("models", "--models", tmp_path / "models", *arguments)
    assert not (tmp_path / "models").exists()


def test_the_complexity_of_networks_is_listed_on_request(tmp_path, monkeypatch):
    monkeypatch.setattr("gluonfr.model_zoo.get_model_list", lambda: ["mobilefacenet"])
    assert "1,003,264        0.221 G" in succeeds("models", "--models", tmp_path, "--complexity")


def test_export_reports_the_difference_from_the_original(model, tmp_path):
    wrote, checked = succeeds("export", "--model", model, "--out", tmp_path / "out" / "x.onnx").splitlines()
    assert wrote.startswith(f"wrote {tmp_path}/out/x.onnx (")
    difference, cosine = re.fullmatch(
        r"largest difference from the original: (\S+); lowest cosine to it: (\S+)", checked
    ).groups()
    assert float(difference) < 1e-4
    assert float(cosine) > 1 - 1e-5
    refused("export", "--model", tmp_path / "out" / "x-symbol.json", "--out", tmp_path / "y")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dtype", "int8", "--out", "OUT/x.onnx"), "calibration"),
        (("--dtype", "int8", "--calibrate", "none", "--root", "OUT", "--out", "OUT/x.onnx"), "no data set 'none'"),
        (("--format", "symbol", "--out", "OUT/x.onnx"), "ends in .onnx"),
        (("--out", "OUT/face.pdf"), "face.pdf ends in .pdf: give X.onnx"),
        (("--model", "OUT/none", "--out", "OUT/x.onnx"), "none"),
    ],
)
def test_a_refused_export_leaves_no_files(model, tmp_path, arguments, words):
    arguments = [argument.replace("OUT", str(tmp_path)) for argument in arguments]
    assert words in refused("export", "--model", model, *arguments)
    assert not os.listdir(tmp_path)


def test_export_writes_below_the_home_folder_and_reads_a_prefix(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    wrote = succeeds("export", "--model", model, "--out", "~/out/x").splitlines()[0]
    named = [word for word in wrote.replace(",", "").split() if word.startswith("/")]
    assert sorted(named) == sorted(str(path) for path in (tmp_path / "out").iterdir())
    assert (tmp_path / "out" / "x-symbol.json").is_file()
    succeeds("export", "--model", tmp_path / "out" / "x", "--out", "~/out/again")
