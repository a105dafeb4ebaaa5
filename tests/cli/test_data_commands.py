import json
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import refused, succeeds
from record_sets import put_records

from gluonfr.cli import main
from gluonfr.data import get_recognition_dataset, synthetic


def crop(seed):
    image = cv2.resize(np.random.RandomState(seed).randint(0, 256, (4, 4, 3), np.uint8), (112, 112))
    return cv2.imencode(".jpg", image)[1].tobytes()


@pytest.fixture
def photos(tmp_path):
    for label in range(4):
        folder = tmp_path / "photos" / f"person {label} 张"
        folder.mkdir(parents=True)
        for i in range(5):
            (folder / f"{i}.jpg").write_bytes(crop(10 * label + i))
    return tmp_path / "photos"


def run(*arguments):
    return main([str(argument) for argument in arguments])


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_photos_are_packed_and_unpacked_unchanged(photos, tmp_path, capsys):
    assert run("pack", photos, tmp_path / "a", "--aligned", "--workers", "0") == 0
    assert "20 crops of 4 people" in capsys.readouterr().out
    assert run("inspect", tmp_path / "a", "--sheet", tmp_path / "a.png", "--json", tmp_path / "a.json") == 0
    out = capsys.readouterr().out
    assert "header and identity records" in out
    assert "5 to 5, median 5" in out
    assert json.loads((tmp_path / "a.json").read_text())["identities"] == 4
    assert cv2.imread(str(tmp_path / "a.png")) is not None
    assert run("unpack", tmp_path / "a", tmp_path / "files") == 0
    packed = {name: content for name, content in tree(tmp_path / "files").items() if name != "identities.csv"}
    assert sorted(packed.values()) == sorted(tree(photos).values())
    assert {os.path.dirname(name) for name in packed} == {path.name for path in photos.iterdir()}
    assert run("shuffle", tmp_path / "a", tmp_path / "shuffled", "--seed", 3) == 0
    assert run("split", tmp_path / "a", tmp_path / "b", tmp_path / "c", "--fraction", 0.5) == 0
    assert run("merge", tmp_path / "b", tmp_path / "c", tmp_path / "d", "--by-name") == 0
    assert run("pairs", tmp_path / "x.bin", "--draw", tmp_path / "d", "--count", 40) == 0
    assert "too few people" in capsys.readouterr().out
    assert run("inspect", tmp_path / "x.bin") == 0
    assert "2 2 2 2 2 2 2 2 2 2" in capsys.readouterr().out
    assert run("unpack", tmp_path / "x.bin", tmp_path / "pairs") == 0
    assert run("pairs", tmp_path / "y.bin", "--list", tmp_path / "pairs" / "pairs.csv", "--aligned", "--workers", 0) == 0
    assert (tmp_path / "x.bin").read_bytes() == (tmp_path / "y.bin").read_bytes()


@pytest.mark.parametrize("label", [-1, 0.5, float("nan"), float("inf"), 2.0**25])
def test_inspect_reports_a_set_without_usable_labels(tmp_path, capsys, label):
    put_records(tmp_path / "bad", [(label, crop(0))] * 3)
    assert run("inspect", tmp_path / "bad", "--json", tmp_path / "bad.json") == 1
    out = capsys.readouterr().out
    assert "warning: " in out
    assert "no label can be used" in out
    assert out.count("damaged: ") == 3
    assert json.loads((tmp_path / "bad.json").read_text())["identities"] == 0
    assert run("inspect", tmp_path / "bad", "--sheet", tmp_path / "bad.png") == 2
    assert "no image can be shown" in capsys.readouterr().err


def test_labels_with_gaps_are_reported_and_removed(tmp_path, capsys):
    put_records(tmp_path / "gaps", [(label, crop(label)) for label in (0, 0, 100_000, 400_000, 200_000)])
    assert run("inspect", tmp_path / "gaps") == 0
    out = capsys.readouterr().out
    assert "399,997 of 400,001 labels have no images" in out
    assert "gluonfr relabel" in out
    assert run("relabel", tmp_path / "gaps", tmp_path / "dense") == 0
    assert (tmp_path / "dense" / "property").read_text() == "4,112,112\n"
    assert (tmp_path / "dense" / "identities.csv").read_text().splitlines()[1:] == [
        "0,0,2",
        "1,100000,1",
        "2,200000,1",
        "3,400000,1",
    ]
    capsys.readouterr()
    assert run("inspect", tmp_path / "dense") == 0
    assert "warning" not in capsys.readouterr().out


def test_the_status_is_1_when_something_is_left_out(photos, tmp_path, capsys):
    (photos / "person 0 张" / "x.jpg").write_bytes(b"nothing")
    assert run("pack", photos, tmp_path / "a", "--aligned", "--workers", "0") == 1
    assert "1 left out (1 no image)" in capsys.readouterr().out
    list_ = tmp_path / "list.csv"
    list_.write_text("person 0 张/0.jpg,person 0 张/1.jpg,1\nperson 0 张/x.jpg,person 0 张/1.jpg,1\n", encoding="utf-8")
    assert run("pairs", tmp_path / "x.bin", "--list", list_, "--folder", photos, "--aligned", "--workers", 0) == 1
    assert "1 pairs left out (1 no image)" in capsys.readouterr().out
    raw = bytearray((tmp_path / "a" / "train.rec").read_bytes())
    place = raw.find(crop(2))
    raw[place : place + 400] = bytes(400)
    (tmp_path / "a" / "train.rec").write_bytes(raw)
    assert run("inspect", tmp_path / "a") == 1
    assert "damaged: " in capsys.readouterr().out
    assert run("unpack", tmp_path / "a", tmp_path / "files") == 2
    assert not (tmp_path / "files").exists()
    assert run("unpack", tmp_path / "a", tmp_path / "files", "--skip-damaged") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("pack", "NOWHERE", "OUT"), "No such file"),
        (("pack", "PHOTOS", "OUT", "--template", "none"), "none"),
        (("pack", "PHOTOS", "PHOTOS/out"), "lies in the folder of photos"),
        (("pairs", "OUT.bin", "--list", "NOWHERE"), "missing"),
        (("pairs", "OUT.bin", "--draw", "NOWHERE"), "is missing"),
        (("inspect", "NOWHERE"), "is missing"),
        (("inspect", "NOWHERE.bin"), "is missing"),
        (("unpack", "NOWHERE", "OUT"), "is missing"),
        (("shuffle", "NOWHERE", "OUT"), "is missing"),
        (("relabel", "NOWHERE", "OUT"), "is missing"),
        (("merge", "NOWHERE", "OUT"), "two sets"),
        (("split", "NOWHERE", "OUT", "OUT2", "--fraction", "0.5"), "is missing"),
        (("fetch", "nothing"), "lfw_dev"),
    ],
)
def test_invalid_arguments_exit_with_2_and_leave_no_files(photos, tmp_path, capsys, arguments, words):
    places = {"NOWHERE": "nowhere", "OUT": "out", "PHOTOS": "photos"}
    arguments = [
        next(
            (str(tmp_path / (to + argument[len(name) :])) for name, to in places.items() if argument.startswith(name)), argument
        )
        for argument in arguments
    ]
    assert run(*arguments) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert errors[-1].startswith(f"gluonfr {arguments[0]}: ")
    assert words in errors[-1]
    assert sorted(os.listdir(tmp_path)) == ["photos"]


@pytest.mark.system
def test_pack_runs_in_processes_and_handles_undecodable_names(photos, tmp_path):
    strange = os.fsdecode(b"\xff\xfe'\"")
    (photos / strange).mkdir()
    (photos / strange / "a b.jpg").write_bytes(crop(99))
    command = [sys.executable, "-m", "gluonfr", "pack", str(photos), str(tmp_path / "out"), "--aligned", "--workers", "2"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "21 crops of 5 people" in done.stdout
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "--overwrite" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--draw", "set", "--aligned"), "--aligned belongs to --list"),
        (("--draw", "set", "--min-face", "3"), "--min-face belongs to --list"),
        (("--list", "pairs.csv", "--seed", "0"), "--seed belongs to --draw"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(tmp_path, capsys, arguments, words):
    assert main(["pairs", str(tmp_path / "x.bin"), *arguments]) == 2
    assert words in capsys.readouterr().err


def test_sets_are_found_by_name_and_by_path_alike(tmp_path, monkeypatch):
    root, here = tmp_path / "root", tmp_path / "here"
    here.mkdir()
    synthetic.make_dataset(str(root / "mine"), 12, 2, 20, 40, progress=False)
    monkeypatch.chdir(here)
    for number, source in enumerate(("mine", root / "mine", root / "mine" / "train.rec", "../root/mine")):
        words = ("--root", root)
        assert "identities                      12" in succeeds("inspect", source, *words)
        succeeds("split", source, f"a{number}", f"b{number}", "--fraction", "0.5", *words)
        succeeds("shuffle", source, f"s{number}", *words)
        succeeds("relabel", source, f"r{number}", *words)
        succeeds("merge", source, f"a{number}", f"m{number}", *words)
        succeeds("unpack", source, f"u{number}", *words)
        succeeds("pairs", f"p{number}.bin", "--draw", source, "--count", "20", *words)
        assert len(get_recognition_dataset(str(source), root=str(root))) == 24
    for source in ("mine/val_data", root / "mine" / "val_data.bin"):
        assert re.search(r"^pairs +40$", succeeds("inspect", source, "--root", root), re.MULTILINE)
    assert "did you mean 'mine'?" in refused("inspect", "mne", "--root", root)
    assert "nothing.rec is missing" in refused("inspect", here / "nothing.rec")
