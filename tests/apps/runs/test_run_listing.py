"""Runs read from their folders: of this version, older and newer ones, broken ones, killed ones; filters, sorting, tree."""

import fcntl
import json
import socket

import pytest

from gluonfr.apps.runs import listing
from gluonfr.apps.runs.records import find_runs, read_run
from gluonfr.cli import main
from gluonfr.core import UsageError
from gluonfr.engine.loop.options import RunOptions
from gluonfr.engine.tracking.status import StatusFile


def make_run(folder, status=None, log=(), **options):
    folder.mkdir(parents=True)
    (folder / "options.json").write_text(json.dumps({"network": "mobilefacenet", "loss": "arc", "dataset": "emore", **options}))
    if status is not None:
        known = {"format": 1, "state": "finished", "started": "2026-11-01T10:00:00+00:00", "seconds": 60, "step": 10}
        (folder / "status.json").write_text(json.dumps({**known, **status}))
    if log:
        (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    return folder


def test_a_run_is_listed_by_its_status_file(tmp_path):
    make_run(tmp_path / "a", {"best": {"lfw": 0.9}, "last": {"lfw": 0.8}, "images_per_second": 50.5}, lr=0.1)
    make_run(tmp_path / "sub" / "b", {"state": "failed", "reason": "the loss became nan"}, loss="cos")
    # Networks inside of a run are no runs.
    make_run(tmp_path / "a" / "best", {})
    first, second = find_runs(str(tmp_path))
    assert (first.name, first.state, first.best, first.last, first.seconds) == ("a", "finished", {"lfw": 0.9}, {"lfw": 0.8}, 60)
    assert (second.name, second.state, second.reason, second.loss) == ("sub/b", "failed", "the loss became nan", "cos")
    assert find_runs(str(tmp_path / "a"))[0].name == "a"
    with pytest.raises(UsageError, match="not a folder"):
        find_runs(str(tmp_path / "missing"))
    with pytest.raises(UsageError, match="holds no run"):
        read_run(str(tmp_path))


def test_a_run_without_a_status_file_is_read_from_its_log(tmp_path):
    rows = [
        {"step": 10, "loss": 2.0, "images_per_second": 40},
        {"step": 20, "lfw/accuracy": 0.9},
        {"step": 30, "lfw/accuracy": 0.7},
    ]
    folder = make_run(tmp_path / "old", log=rows)
    (folder / "results.json").write_text("{}")
    # The log of a run that was killed may end in the middle of a line.
    with open(folder / "log.jsonl", "a") as file:
        file.write('{"step": 40, "lo')
    run = read_run(str(folder))
    assert (run.state, run.step, run.best, run.last, run.images_per_second) == ("finished", 30, {"lfw": 0.9}, {"lfw": 0.7}, 40)


@pytest.mark.parametrize("live", [False, True])
def test_a_run_that_runs_holds_its_lock(tmp_path, live):
    folder = make_run(tmp_path / "a", {"state": "running", "host": socket.gethostname()})
    with open(folder / ".lock", "w") as lock:
        if live:
            fcntl.flock(lock, fcntl.LOCK_EX)
        assert read_run(str(folder)).state == ("running" if live else "killed")


def test_a_run_on_another_machine_is_believed(tmp_path):
    run = read_run(str(make_run(tmp_path / "a", {"state": "running", "host": "elsewhere"})))
    assert (run.state, run.note) == ("running", "on elsewhere")


def test_later_versions_and_damage_are_listed_with_a_note(tmp_path, capsys):
    make_run(tmp_path / "later", {"format": 99, "state": ["new"], "seconds": "long", "best": 7}, network={"name": "x"})
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "options.json").write_text('{"network": ')
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / "options.json").write_text("[1]")
    broken, later, no_object = find_runs(str(tmp_path))
    assert "later version" in later.note
    assert later.state == "unknown"
    assert broken.note
    assert "no object" in no_object.note
    assert main(["runs", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "written by a later version (format 99)" in printed


def test_filters_sorting_and_the_tree(tmp_path):
    make_run(tmp_path / "a", {"best": {"lfw": 0.8}}, lr=0.1, loss_args={"s": 30})
    make_run(tmp_path / "b", {"best": {"lfw": 0.9}}, parent=str(tmp_path / "a"), val=["lfw", "cfp_fp"], lr=0.05)
    make_run(tmp_path / "c", {}, loss="cos", parent=str(tmp_path / "gone"))
    runs = find_runs(str(tmp_path))

    def names(found):
        return [run.name for run in found]

    assert names(listing.filter_runs(runs, ["loss=ARC", "lr=0.10"])) == ["a"]
    assert names(listing.filter_runs(runs, ["s=30"])) == ["a"]
    assert names(listing.filter_runs(runs, ["val=lfw,cfp_fp"])) == ["b"]
    assert names(listing.sort_runs(runs, "lfw")) == ["b", "a", "c"]
    assert names(listing.sort_runs(runs, "-lfw")) == ["a", "b", "c"]
    assert names(listing.sort_runs(runs, "loss")) == ["a", "b", "c"]
    assert [(depth, run.name) for depth, run in listing.arrange_tree(runs)] == [(0, "a"), (1, "b"), (0, "c")]
    with pytest.raises(UsageError, match="NAME=VALUE"):
        listing.filter_runs(runs, ["loss"])
    with pytest.raises(UsageError, match="no column"):
        listing.sort_runs(runs, "nothing")


def test_runs_that_name_each_other_as_parents_are_listed(tmp_path):
    make_run(tmp_path / "a", {}, parent=str(tmp_path / "b"))
    make_run(tmp_path / "b", {}, parent=str(tmp_path / "a"))
    assert sorted(run.name for _, run in listing.arrange_tree(find_runs(str(tmp_path)))) == ["a", "b"]


def test_the_command_writes_a_table_json_and_csv(tmp_path, capsys):
    make_run(tmp_path / "a", {"best": {"lfw": 0.875}, "last": {"lfw": 0.75}})
    make_run(tmp_path / "b", {"state": "stopped", "reason": "stopped after step 10"}, parent=str(tmp_path / "a"))
    paths = [str(tmp_path / name) for name in ("runs.json", "runs.csv")]
    assert main(["runs", str(tmp_path), "--json", paths[0], "--csv", paths[1]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["run", "started", "state"]
    assert lines[1].split()[-2:] == ["0.87500", "0.75000"]
    assert lines[2].startswith("  b")
    assert lines[3] == "b: stopped after step 10"
    with open(paths[0]) as file:
        assert [run["state"] for run in json.load(file)] == ["finished", "stopped"]
    with open(paths[1]) as file:
        header, first, _ = file.read().splitlines()
    assert dict(zip(header.split(","), first.split(",")))["lfw best"] == "0.875"
    assert main(["runs", str(tmp_path), "--where", "loss=none"]) == 0
    assert "no runs" in capsys.readouterr().out
    assert main(["runs", str(tmp_path), str(tmp_path)]) == 2


def test_a_thousand_runs_are_listed_from_small_files_alone(tmp_path, monkeypatch):
    for number in range(1000):
        make_run(tmp_path / f"{number:04}", {"best": {"lfw": number / 1000}}, log=[{"step": 1, "loss": 2.0}])
    opened = []
    monkeypatch.setattr("gluonfr.apps.runs.records.log_rows", lambda *_: opened.append(1) or [])
    runs = find_runs(str(tmp_path))
    assert len(runs) == 1000
    # No log was read, so a long training is listed as fast as a short one.
    assert not opened
    assert listing.sort_runs(runs, "lfw")[0].name == "0999"


def test_a_finished_run_that_is_started_again_keeps_its_speed(tmp_path):
    folder = make_run(tmp_path / "a", {"images_per_second": 50.5})
    status = StatusFile(str(folder), json.loads((folder / "status.json").read_text()))
    status.started(RunOptions(out=str(folder)), 10, 10)
    status.ended("finished", "", {})
    assert read_run(str(folder)).images_per_second == 50.5
