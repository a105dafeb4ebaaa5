import argparse
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from gluonfr import __version__
from gluonfr.cli import COMMANDS, main
from gluonfr.cli.arguments import keywords, names, numbers
from gluonfr.cli.tables import print_table
from gluonfr.evaluation.embedding_files import read_embeddings


def gluonfr(*arguments):
    return subprocess.run([sys.executable, "-m", "gluonfr", *map(str, arguments)], capture_output=True, text=True)


def test_help_of_every_command(capsys):
    for arguments in ([], *([name] for name, _, _ in COMMANDS)):
        with pytest.raises(SystemExit) as stopped:
            main([*arguments, "--help"])
        assert stopped.value.code == 0
        text = capsys.readouterr().out
        if not arguments:
            assert all(name in text for name, _, _ in COMMANDS)
    assert "--gpus" in gluonfr("train", "--help").stdout
    assert gluonfr("--version").stdout.strip() == f"gluonfr {__version__}"


@pytest.mark.system
def test_real_weights_compare_and_embed_real_photos(faces, tmp_path):
    pairs, model = os.path.join(faces, "photos", "pairs"), os.path.join(faces, "weights", "mobilefacenet-y1-symbol.json")
    with open(os.path.join(pairs, "pairs.csv"), encoding="utf-8") as file:
        rows = [line.strip().split(",") for line in file][1:]
    similarity = {}
    for same in "10":
        first, second = next(row[:2] for row in rows if row[2] == same)
        photos = [os.path.join(pairs, each) for each in (first, second)]
        done = gluonfr("compare", *photos, "--model", model, "--json", tmp_path / "verdict.json")
        assert done.returncode == 0, done.stderr
        verdict = json.loads((tmp_path / "verdict.json").read_text())
        assert done.stdout.startswith(f"similarity {verdict['similarity']:.4f} (mobilefacenet-y1)")
        assert [each["accepted"] for each in verdict["thresholds"]] == [same == "1"] * 3
        similarity[same] = verdict["similarity"], photos
    (tmp_path / "no face.png").write_bytes(cv2.imencode(".png", np.full((200, 200, 3), 90, np.uint8))[1].tobytes())
    out = tmp_path / "embeddings.npz"
    done = gluonfr("embed", *similarity["1"][1], tmp_path / "no face.png", "--model", model, "--out", out)
    assert done.returncode == 1
    assert "no face.png shows no face" in done.stderr
    embeddings, files, card = read_embeddings(str(out))
    assert files == similarity["1"][1]
    assert card.network == "mobilefacenet"
    assert embeddings[0] @ embeddings[1] == pytest.approx(similarity["1"][0], abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--dataset", "none", "--root", "NOWHERE"), "missing"),
        (("verify", "--model", "NOWHERE", "--data", "x.bin"), "is neither a stored model"),
        (("synthesize", "OUT", "--identities", "1"), "identities"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(tmp_path, arguments, words):
    arguments = [str(tmp_path / "missing") if each in ("NOWHERE", "OUT") else each for each in arguments]
    done = gluonfr(*arguments)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"gluonfr {arguments[0]}: ")
    assert "Traceback" not in done.stderr
    assert words in last
    assert not (tmp_path / "missing").exists()


def test_no_command_and_an_unknown_one():
    assert gluonfr().returncode == 2
    done = gluonfr("trian")
    assert done.returncode == 2
    assert "train" in done.stderr


def test_lists_and_keywords():
    assert names("lfw, cfp_fp,") == ["lfw", "cfp_fp"]
    assert numbers(int)("0,1") == [0, 1]
    assert keywords("s=30,units=(1,2),name=arc,flag=True,x=-0.5,t='a b'") == {
        "s": 30,
        "units": (1, 2),
        "name": "arc",
        "flag": True,
        "x": -0.5,
        "t": "a b",
    }
    assert keywords("") == {}
    for bad in ("s", "3", "s=1)+(2", "s=", "__import__('os')", "s=open('x')", "**{}", "a b"):
        with pytest.raises(argparse.ArgumentTypeError):
            keywords(bad)
    with pytest.raises(argparse.ArgumentTypeError):
        numbers(int)("a,b")


def test_table_is_aligned(capsys):
    print_table([["a", 1], ["long", 22]], ["set", "n"])
    assert capsys.readouterr().out == "set    n\na      1\nlong  22\n"


def test_synthetic_set_trains_and_verifies(tmp_path):
    data = tmp_path / "data"
    done = gluonfr("synthesize", data / "people", "--identities", 12, "--images", 6, "--pairs", 40)
    assert done.returncode == 0, done.stderr
    network = "units=(1,1),channels=(8,8,16),embedding_size=16,input_size=32,input_crop=96"
    run = tmp_path / "run"
    common = ["--root", data]
    done = gluonfr(
        *("train", *common, "--dataset", "people", "--val", "val_data", "--network", "lresnet10e_ir"),
        *("--network-args", network, "--loss", "softmax", "--epochs", 2, "--batch-size", 24, "--cpus", 2, "--out", run),
    )
    assert done.returncode == 0, done.stderr
    for name in ("curves.png", "roc.png", "scores_val_data.png"):
        assert str(run / name) in done.stdout
    assert "val_data     40" in done.stdout
    trained = done.stdout.splitlines()[1].split()
    done = gluonfr("verify", "--model", run / "last", "--data", data / "people" / "val_data.bin", "--json", tmp_path / "r.json")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[1:] == trained[1:]
    assert (tmp_path / "r.json").exists()
    # InsightFace lays test sets beside the records: the network's card says which folder that is.
    done = gluonfr("verify", "--model", run / "last", "--root", data, "--data", "val_data")
    assert done.stdout.splitlines()[1].split()[1:] == trained[1:], done.stderr
    done = gluonfr("verify", "--model", run / "last", "--root", data, "--data", "nothing")
    assert done.returncode == 2
    assert "no data set 'nothing'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_one_sentence(monkeypatch, tmp_path, capsys):
    from gluonfr.cli import embed

    def full(*_):
        with open("/dev/full", "w") as file:
            file.write("x" * 100000)

    monkeypatch.setattr(embed, "run", full)
    assert main(["embed", "x.jpg", "--out", str(tmp_path / "e.npz")]) == 2
    assert capsys.readouterr().err == "gluonfr embed: No space left on device; no partial files were left.\n"
