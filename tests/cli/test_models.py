"""`gluonfr models`."""

import json

from mxnet import nd

from gluonfr.cli import main
from gluonfr.model_zoo import get_model, get_model_list
from gluonfr.weights.saved import save_network

SMALL = {"units": (1, 1), "channels": (8, 8, 16), "embedding_size": 6}


def test_models_are_stored_listed_and_removed(tmp_path, capsys):
    net = get_model("lresnet10e_ir", **SMALL)
    net.initialize()
    net(nd.zeros((1, 3, 112, 112)))
    run, store = tmp_path / "run", ["models", "--models", str(tmp_path / "models")]
    run.mkdir()
    save_network(net, str(run), {"network": "lresnet10e_ir", "arguments": SMALL, "license": "CC0"})
    assert main([*store, "--add", str(run), "--name", "mine"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "models" / "mine")
    assert main([*store, "--json", str(tmp_path / "list.json")]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in get_model_list())
    assert any(line.split()[:3] == ["mine", "lresnet10e_ir", "6"] and line.endswith("CC0") for line in out.splitlines())
    listed = json.loads((tmp_path / "list.json").read_text())
    assert set(listed["networks"]) == set(get_model_list())
    assert listed["stored"]["mine"]["license"] == "CC0"
    assert main([*store, "--remove", "mine"]) == 0
    assert main(store) == 0
    assert "No model is stored" in capsys.readouterr().out


def test_mistakes_are_one_sentence(tmp_path, capsys):
    store = ["models", "--models", str(tmp_path / "models")]
    for arguments, words in (
        (["--add", "x"], "--name"),
        (["--name", "x"], "--add"),
        (["--remove", "x"], "no stored model 'x'"),
        (["--remove", "x", "--add", "y", "--name", "x"], "two commands"),
        (["--add", str(tmp_path / "x.pt"), "--name", "x"], "missing"),
    ):
        assert main([*store, *arguments]) == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1
        assert words in said[0]
    assert not (tmp_path / "models").exists()


def test_complexity_is_counted_when_asked_for(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("gluonfr.model_zoo.get_model_list", lambda: ["mobilefacenet"])
    assert main(["models", "--models", str(tmp_path), "--complexity"]) == 0
    assert "1,003,264        0.221 G" in capsys.readouterr().out
