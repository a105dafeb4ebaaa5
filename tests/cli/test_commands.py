import argparse
import contextlib
import io
import logging
import os
import subprocess
import sys
from argparse import ArgumentParser

import cv2
import numpy as np
import pytest
from command_line import refused, run, succeeds, usage_error

from gluonfr import __version__
from gluonfr.cli import main
from gluonfr.cli.arguments import image_size, keywords, names, numbers
from gluonfr.cli.commands import COMMANDS, GROUPS
from gluonfr.core import TrainingInterrupted, UsageError
from gluonfr.evaluation.embedding_files import read_embeddings
from gluonfr.loss import list_losses


def help_of(capsys, *command):
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_help_lists_the_commands_by_task(capsys):
    text = help_of(capsys)
    positions = [text.index(f"\n{group}:\n") for group in GROUPS]
    assert positions == sorted(positions)
    for group, following in zip(GROUPS, [*positions[1:], len(text)]):
        section = text[text.index(f"\n{group}:\n") : following]
        for command in GROUPS[group]:
            assert f"  {command.name} " in section
            assert command.summary in section


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_has_an_example_and_explains_every_option(name, capsys, monkeypatch):
    parsers = []
    monkeypatch.setattr(ArgumentParser, "print_help", lambda parser, file=None: parsers.append(parser))
    help_of(capsys, name)
    (parser,) = parsers
    text = parser.format_help()
    assert f"example:\n  gluonfr {name}" in text
    for action in parser._actions:
        assert action.help, action.dest
        flag = action.nargs == 0
        if action.option_strings and not flag and not action.required and action.default not in (None, "", (), {}):
            assert "(default: " in parser._get_formatter()._get_help_string(action), action.dest


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_a_command_is_accepted_by_its_parser(name, monkeypatch):
    import importlib
    import shlex

    command = COMMANDS[name]
    module = importlib.import_module(f"gluonfr.cli.{command.module}")
    seen = []
    monkeypatch.setattr(module, "run", lambda options: seen.append(options) or 0)
    assert main(shlex.split(command.example)[1:]) == 0
    assert seen[0].command == name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_sets_its_own_value(name, capsys, monkeypatch):
    parsers = []
    monkeypatch.setattr(ArgumentParser, "print_help", lambda parser, file=None: parsers.append(parser))
    help_of(capsys, name)
    (parser,) = parsers
    actions = [action for action in parser._actions if action.dest != "help"]
    names = [action.dest for action in actions]
    assert len(set(names)) == len(names)
    groups = parser._mutually_exclusive_groups
    for action in actions:
        if not action.option_strings:
            continue
        needed = [other for other in actions if other.required and other is not action]
        needed += [group._group_actions[0] for group in groups if group.required and action not in group._group_actions]
        words = [word for other in [*needed, action] for word in sample(other)]
        parsed = vars(parser.parse_args(words))
        assert parsed[action.dest] != action.default, words
        for other in needed:
            if not other.option_strings:
                assert parsed[other.dest] in ("1", ["1"]), words


def sample(action):
    """Return words of the command line that set an argument to a value other than its default."""
    value = "1" if action.choices is None else next(choice for choice in action.choices if choice != action.default)
    for text in (value, "7", "0.7", "7,7", "a=1"):
        kind = action.type or str
        try:
            if kind(text) != action.default and kind(text) is not None:
                value = text
                break
        except (ValueError, argparse.ArgumentTypeError):
            continue
    count = {None: 1, 0: 0, "?": 1, "+": 1, "*": 1}.get(action.nargs, action.nargs)
    return [*action.option_strings[:1], *([value] * count)]


def test_the_program_starts_as_a_module():
    done = subprocess.run([sys.executable, "-m", "gluonfr", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, f"gluonfr {__version__}")


def test_a_missing_command_is_an_error(capsys):
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_a_mistyped_command_is_answered_with_the_nearest_one():
    status, _, errors = run("trian")
    assert status == 2
    assert errors == "gluonfr: unknown command 'trian': did you mean 'train'? `gluonfr --help` lists all commands.\n"


@pytest.mark.parametrize(
    ("words", "nearest"), [(("train", "--los-args", "s=1"), "--loss-args"), (("embed", "a.jpg", "--uot=x"), "--out")]
)
def test_a_mistyped_option_is_answered_with_the_nearest_one(words, nearest):
    message = usage_error(*words)
    assert f"did you mean {nearest}?" in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_shows_the_kind_of_every_value(name, capsys, monkeypatch):
    parsers = []
    monkeypatch.setattr(ArgumentParser, "print_help", lambda parser, file=None: parsers.append(parser))
    help_of(capsys, name)
    formatter = parsers[0]._get_formatter()
    for action in parsers[0]._actions:
        if action.option_strings and action.nargs != 0 and action.metavar is None and action.choices is None:
            kind = formatter._get_default_metavar_for_optional(action)
            # "--model MODEL" and the like say it with the name.
            assert kind != action.dest.upper() or kind in ("MODEL", "NAME"), action.dest


def test_defaults_of_zero_are_shown(capsys):
    assert "seed of the order (default: 0)" in " ".join(help_of(capsys, "shuffle").split())


def test_the_amount_of_output_is_an_option_of_every_command(monkeypatch):
    from gluonfr.cli.models import embed

    seen = []

    def report(_):
        seen.append((logging.getLogger("gluonfr").level, sys.stderr.isatty()))
        raise UsageError("no")

    monkeypatch.setattr(embed, "run", report)
    words = ("embed", "x.jpg", "--out", "e.npz")
    with contextlib.redirect_stderr(Terminal()):
        for option in ("--quiet", "--verbose"):
            assert main([*words, option]) == 2
    assert seen == [(logging.WARNING, False), (logging.DEBUG, True)]
    assert "in report" in run(*words, "--verbose")[2]
    assert "in report" not in run(*words)[2]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("line", "offered"), [("gluonfr tra", ["train", "train-detector"]), ("gluonfr train --loss-", ["--loss-args"])]
)
@pytest.mark.system
def test_the_shell_completes_commands_and_options(line, offered, tmp_path):
    # What bash sets when the Tab key is pressed; the answer goes to a file.
    variables = {
        "_ARGCOMPLETE": "1",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "answer"),
        "_ARGCOMPLETE_IFS": "\n",
    }
    subprocess.run([sys.executable, "-m", "gluonfr"], env={**os.environ, **variables}, timeout=60)
    assert [word.strip() for word in (tmp_path / "answer").read_text().splitlines()] == offered


def test_losses_are_listed_and_described():
    listed = succeeds("losses")
    assert all(name in listed for name in list_losses())
    described = succeeds("losses", "arcface")
    assert described.startswith("ArcLoss(classes, m=0.5, s=64.0, ")
    assert "1801.07698" in described
    assert "did you mean 'arcface'?" in refused("losses", "arcfac")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "--dataset", "none", "--root", "MISSING"), "missing"),
        (("verify", "--model", "MISSING", "--data", "x.bin"), "is neither a stored model"),
        (("synthesize", "MISSING", "--identities", "1"), "identities"),
    ],
)
def test_invalid_arguments_exit_with_2_and_one_sentence(tmp_path, arguments, words):
    arguments = [str(tmp_path / "missing") if argument == "MISSING" else argument for argument in arguments]
    assert words in refused(*arguments)
    assert not (tmp_path / "missing").exists()


def test_an_error_names_the_options_of_the_arguments_in_the_message(monkeypatch):
    from gluonfr.cli.data import unpack

    def fail(_):
        raise UsageError("train.rec: record 3 is damaged. Pass skip_damaged=True or copy the file again, other=1.")

    monkeypatch.setattr(unpack, "run", fail)
    assert refused("unpack", "a", "b").endswith("other=1. On the command line: --skip-damaged.")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no /dev/full")
def test_a_full_disk_is_reported_in_one_sentence(monkeypatch):
    from gluonfr.cli.models import embed

    def full(_):
        with open("/dev/full", "w") as file:
            file.write("x" * 100000)

    monkeypatch.setattr(embed, "run", full)
    assert refused("embed", "x.jpg", "--out", "e.npz").startswith("gluonfr embed: No space left on device;")


def test_an_interruption_exits_with_130(monkeypatch):
    from gluonfr.cli.models import embed

    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(embed, "run", interrupted)
    status, _, errors = run("embed", "x.jpg", "--out", "e.npz")
    assert status == 130
    assert errors.endswith("gluonfr embed: interrupted; no partial files were left.\n")


@pytest.mark.parametrize(
    ("command", "place", "words"),
    [
        (("pack", "photos", "out"), "gluonfr.photos.packing.pack", "finished photos are saved"),
        (("cluster", "photos", "out"), "gluonfr.apps.curation.clustering.sorted_folder.cluster_photos", "faces found"),
        (("train", "--dataset", "mine"), "gluonfr.engine.run.train", "stopped after step 7 with a checkpoint"),
    ],
)
def test_interrupted_work_that_is_saved_exits_with_130_too(command, place, words, monkeypatch, tmp_path):
    import importlib

    from gluonfr.cli.data import cluster

    def interrupted(*_, **__):
        raise TrainingInterrupted(f"{words}.") if command[0] == "train" else KeyboardInterrupt

    module, name = place.rsplit(".", 1)
    monkeypatch.setattr(importlib.import_module(module), name, interrupted)
    monkeypatch.setattr(cluster, "make_face_embedder", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    status, _, errors = run(*command)
    assert status == 130
    assert f"interrupted; {words}" in errors or f"interrupted; the {words}" in errors


def test_lists_sizes_and_keywords_are_parsed():
    assert names("lfw, cfp_fp,") == ["lfw", "cfp_fp"]
    assert numbers(int)("0,1") == [0, 1]
    assert image_size("112,96") == (112, 96)
    assert keywords("s=30,units=(1,2),name=arc,flag=True,x=-0.5,t='a b'") == {
        "s": 30,
        "units": (1, 2),
        "name": "arc",
        "flag": True,
        "x": -0.5,
        "t": "a b",
    }
    assert keywords("") == {}


@pytest.mark.parametrize("text", ["s", "3", "s=1)+(2", "s=", "__import__('os')", "s=open('x')", "**{}", "a b"])
def test_invalid_keywords_are_rejected(text):
    with pytest.raises(argparse.ArgumentTypeError):
        keywords(text)


def test_invalid_numbers_and_sizes_are_rejected():
    for read, text in ((numbers(int), "a,b"), (image_size, "112"), (image_size, "1,2,3")):
        with pytest.raises(argparse.ArgumentTypeError):
            read(text)


def test_compare_and_embed_real_photos(faces, y1, tmp_path):
    pairs = os.path.join(faces, "photos", "pairs")
    with open(os.path.join(pairs, "pairs.csv"), encoding="utf-8") as file:
        rows = [line.strip().split(",") for line in file][1:]
    similarity = {}
    for same in "10":
        photos = [os.path.join(pairs, name) for name in next(row[:2] for row in rows if row[2] == same)]
        printed = succeeds("compare", *photos, "--model", y1)
        assert printed.count("not the same person") == (0 if same == "1" else 3)
        assert printed.count("same person") == 3
        similarity[same] = float(printed.split()[1]), photos
    (tmp_path / "wall.png").write_bytes(cv2.imencode(".png", np.full((200, 200, 3), 90, np.uint8))[1].tobytes())
    out = tmp_path / "embeddings.npz"
    status, _, errors = run("embed", *similarity["1"][1], tmp_path / "wall.png", "--model", y1, "--out", out)
    assert status == 1
    assert "wall.png shows no face" in errors
    embeddings, files, card = read_embeddings(str(out))
    assert files == similarity["1"][1]
    assert card.network == "mobilefacenet"
    assert embeddings[0] @ embeddings[1] == pytest.approx(similarity["1"][0], abs=1e-3)


def test_a_synthetic_set_is_rendered_trained_and_verified(tmp_path):
    data, trained = tmp_path / "data", tmp_path / "run"
    succeeds("synthesize", data / "people", "--identities", 6, "--images", 4, "--pairs", 20)
    network = "units=(1,1),channels=(8,8,16),embedding_size=16,input_size=32,input_crop=96"
    printed = succeeds(
        *("train", "--root", data, "--dataset", "people", "--val", "val_data", "--network", "lresnet10e_ir"),
        *("--network-args", network, "--loss", "softmax", "--epochs", 1, "--batch-size", 12, "--cpus", 2, "--out", trained),
    )
    for name in ("curves.png", "roc.png", "scores_val_data.png"):
        assert str(trained / name) in printed
    expected = next(line.split() for line in printed.splitlines() if line.startswith("val_data"))
    verify = ["verify", "--model", trained / "last", "--bootstrap", 0]
    printed = succeeds(*verify, "--data", data / "people" / "val_data.bin", "--json", tmp_path / "r.json")
    assert printed.splitlines()[1].split() == expected
    assert (tmp_path / "r.json").exists()
    # InsightFace stores test sets next to the records, in the folder of the training set that the network's card names.
    assert succeeds(*verify, "--root", data, "--data", "val_data").splitlines()[1].split() == expected
    assert "no data set 'nothing'" in refused(*verify, "--root", data, "--data", "nothing")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["models", "extra"], "gluonfr models: unexpected argument 'extra'; see `gluonfr models --help`."),
        (["inspect", "notes.txt"], "{file} is not a training or verification set: give the name of a set"),
        (["report", "--data", "set", "--out", "{file}"], "{file} is a file, but a report needs a folder; choose another name."),
        # Only their dashes resemble each other.
        (["cluster", "photos", "--out", "x"], "gluonfr cluster: unknown option --out; see `gluonfr cluster --help`."),
    ],
)
def test_wrong_arguments_are_reported_with_what_they_are(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = str(tmp_path / "notes.txt")
    with open(file, "w") as stream:
        stream.write("text")
    try:
        status = main([word.format(file=file) for word in words])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert sentence.format(file=file) in capsys.readouterr().err
