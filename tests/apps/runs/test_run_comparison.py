"""Runs compared: differences, intervals and paired tests against independent values, the page."""

import contextlib
import fcntl
import json
import math
import os
import pty
import re
import struct
import sys
import termios

import numpy as np
import pytest
from test_run_listing import make_run

from gluonfr.apps.runs.comparison import compare_runs
from gluonfr.apps.runs.live import watch_run
from gluonfr.apps.runs.paired import evaluate, paired_test, read_results
from gluonfr.cli import main
from gluonfr.core import UsageError


def store_pairs(folder, wrong, pairs=200):
    """Pairs that any threshold near 1 decides, except the first `wrong` ones of each kind."""
    issame = np.arange(pairs) % 2 == 0
    distances = np.where(issame, 0.4, 1.6)
    distances[: 2 * wrong] = np.where(issame, 1.6, 0.4)[: 2 * wrong]
    np.savez(folder / "pairs.npz", **{"lfw/distances": distances.astype(np.float32), "lfw/issame": issame})


@pytest.fixture
def runs(tmp_path):
    found = []
    for name, wrong, options in (("arc", 4, {"lr": 0.1, "loss_args": {"s": 30}}), ("cos", 14, {"loss": "cos", "lr": 0.1})):
        log = [{"step": step, "loss": 10 / step, "lr": 0.1, "lfw/accuracy": 0.8} for step in (1, 2, 3)]
        folder = make_run(tmp_path / name, {"best": {"lfw": 0.96}}, log, **options)
        session = {"gluonfr": "2.0.0", "mxnet": "1.9.1", "environment": {"OMP_NUM_THREADS": "1" if name == "arc" else "2"}}
        data = [
            {"path": "/data/emore/property", "size": 10, "sha256": name * 10},
            {"path": "/data/emore/train.rec", "size": 99},
        ]
        (folder / "provenance.json").write_text(json.dumps({"format": 1, "data": data, "sessions": [session]}))
        store_pairs(folder, wrong)
        found.append(str(folder))
    return found


def test_only_what_differs_is_shown(runs):
    comparison = compare_runs(runs)
    assert comparison.options == {"loss": ["arc", "cos"], "loss s": [30, None]}
    assert comparison.programs == {"$OMP_NUM_THREADS": ["1", "2"]}
    assert list(comparison.data) == ["emore/property"]


def test_mcnemar_and_the_interval_of_the_difference():
    first = np.arange(500) >= 10
    second = np.arange(500) >= 30
    test = paired_test(first, second)
    assert (test.first_only, test.second_only, test.difference) == (20, 0, 0.04)
    # Twenty of twenty fall on one side: 2 / 2 ** 20.
    assert test.p_value == pytest.approx(2 / 2**20)
    assert test.is_real
    # The difference has the standard deviation sqrt(p (1 - p) / n) with p = 0.04.
    spread = 1.96 * math.sqrt(0.04 * 0.96 / 500)
    assert test.low == pytest.approx(0.04 - spread, abs=0.004)
    assert test.high == pytest.approx(0.04 + spread, abs=0.004)
    mixed = paired_test(np.arange(10) < 6, np.arange(10) % 2 == 0)
    # Right in the first only: 1, 3, 5; in the second only: 6, 8. Binomial with n = 5: P(X >= 3) doubled is 1.
    assert (mixed.first_only, mixed.second_only, mixed.p_value) == (3, 2, 1)


def test_accuracy_with_wilsons_interval():
    issame = np.arange(200) % 2 == 0
    distances = np.where(issame, 0.4, 1.6)
    distances[:10] = np.where(issame, 1.6, 0.4)[:10]
    result = evaluate(distances, issame)
    assert result.accuracy == 0.95
    assert result.right.sum() == 190
    z, n, p = 1.959964, 200, 0.95
    middle, reach = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    assert (result.low, result.high) == pytest.approx([(middle + side * reach) / (1 + z * z / n) for side in (-1, 1)], rel=1e-5)


def test_the_test_of_two_runs_uses_their_own_pairs(runs):
    ((name, first, second, test),) = compare_runs(runs).tests
    assert (name, first, second) == ("lfw", 0, 1)
    assert (test.first_only, test.second_only) == (20, 0)


def test_runs_on_different_pairs_are_not_tested(runs, tmp_path):
    folder = make_run(tmp_path / "other", {})
    store_pairs(folder, 4, pairs=100)
    assert not compare_runs([runs[0], str(folder)]).tests
    whole = (folder / "pairs.npz").read_bytes()
    for damaged in (b"PK damaged", whole[:100], b""):
        (folder / "pairs.npz").write_bytes(damaged)
        assert compare_runs([runs[0], str(folder)]).results[1] == {}


def test_mistakes_are_named(runs):
    for folders in ([runs[0]], [runs[0], runs[0]]):
        with pytest.raises(UsageError, match="two or more different runs"):
            compare_runs(folders)


def test_the_command_prints_and_writes_the_comparison(runs, tmp_path, capsys):
    out = tmp_path / "page"
    assert main(["runs", "compare", *runs, "--out", str(out), "--title", "<b>Two</b>"]) == 0
    printed = capsys.readouterr().out
    assert "lfw: arc - cos = +10.00 %" in printed
    assert "real" in printed
    page = (out / "compare.html").read_text()
    assert "&lt;b&gt;Two&lt;/b&gt;" in page
    assert "arc is better" in page
    # The page loads nothing.
    assert not re.search(r"(src|href)=.(?!data:|#)", page)
    assert (out / "compare.png").read_bytes()[:4] == b"\x89PNG"
    numbers = json.loads((out / "compare.json").read_text())
    assert numbers["tests"][0]["first_only"] == 20
    assert numbers["options"]["loss"] == ["arc", "cos"]


def test_runs_without_log_and_pairs_make_a_page(tmp_path):
    folders = [str(make_run(tmp_path / name, {"state": "failed", "reason": "out of memory"})) for name in ("a", "b")]
    assert main(["runs", "compare", *folders, "--out", str(tmp_path / "page")]) == 0
    page = (tmp_path / "page" / "compare.html").read_text()
    assert "nothing to draw" in page
    assert not (tmp_path / "page" / "compare.png").exists()


def test_the_accuracy_of_an_unfinished_run_is_compared_too(runs, tmp_path, capsys):
    status = {"state": "stopped", "reason": "stopped after step 10.", "last": {"lfw": 0.97}}
    folder = make_run(tmp_path / "stopped", status)
    assert main(["runs", "compare", *runs, str(folder), "--out", str(tmp_path / "page")]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("stopped  "))
    assert row.split() == ["stopped", "lfw", "97.00", "%", "not", "finished", "-"]
    page = (tmp_path / "page" / "compare.html").read_text()
    # It is the highest one, so it is marked, and its reason repeats its state.
    assert re.findall(r'class="best">([^<]*)<', page) == ["97.00 %"]
    assert "<dd>stopped after step 10</dd>" in page


def test_mistyped_actions_are_reported(runs, capsys):
    assert main(["runs", "compare", runs[0]]) == 2
    assert main(["runs", "watch"]) == 2
    assert main(["runs", "wacth", runs[0]]) == 2
    assert main(["runs", "watch", "missing"]) == 2
    two, one, mistyped, missing = capsys.readouterr().err.splitlines()
    assert "two or more runs" in two
    assert "one run" in one
    assert "did you mean 'watch'?" in mistyped
    assert "does not exist" in missing


def test_the_view_follows_a_run_to_its_end(tmp_path, capsys):
    rows = [{"step": step, "loss": 1.0 / step, "lr": 0.1} for step in range(1, 21)]
    folder = make_run(tmp_path / "a", {"state": "running", "host": "elsewhere", "step": 20, "total_steps": 30}, rows)

    def go_on(seconds):
        with open(folder / "log.jsonl", "a") as file:
            file.write(json.dumps({"step": 30, "lfw/accuracy": 0.9}) + "\n")
        (folder / "status.json").write_text(json.dumps({"format": 1, "state": "finished", "step": 30, "total_steps": 30}))

    assert watch_run(str(folder), sleep=go_on).state == "finished"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a: mobilefacenet with arc on emore, step 20 of 30"
    assert lines[1].startswith("step 16  loss")
    assert lines[-1] == "step 30  lfw 90.00 %"
    assert len(lines) == 7


def _read_all(terminal):
    """All that was written to a terminal whose other end is closed; it arrives in pieces and ends with an error."""
    data = b""
    with os.fdopen(terminal, "rb", buffering=0) as stream, contextlib.suppress(OSError):
        while piece := stream.read(1 << 12):
            data += piece
    return data


def test_the_bar_shows_loss_and_remaining_time_and_fits_the_terminal(tmp_path, monkeypatch):
    rows = [{"step": 10, "loss": 2.5, "lr": 0.1, "images_per_second": 40.0}]
    status = {"state": "running", "host": "elsewhere", "step": 10, "total_steps": 40, "seconds": 20.0}
    status.update(images_per_second=40.0, last={"lfw": 0.9, "cfp_fp": 0.8})
    folder = make_run(tmp_path / "a", status, rows)
    terminal, ours = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def end(seconds):
        (folder / "status.json").write_text(json.dumps({**status, "format": 1, "state": "stopped"}))

    with os.fdopen(ours, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        watch_run(str(folder), sleep=end)
    drawn = _read_all(terminal).decode()
    # 10 steps took 20 seconds, so 30 more take a minute.
    assert "| 10/40, 1 min 0 s left, loss 2.5000" in drawn
    assert all(len(line) <= 80 for line in re.split(r"[\r\n]+", drawn))


def test_ctrl_c_ends_the_view_alone(tmp_path, monkeypatch, capsys):
    folder = make_run(tmp_path / "a", {"state": "running", "host": "elsewhere"})

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gluonfr.apps.runs.live.watch_run", interrupted)
    assert main(["runs", "watch", str(folder)]) == 130
    assert "the run continues" in capsys.readouterr().err


def test_damaged_pairs_are_no_results(tmp_path):
    distances, issame = np.linspace(0.2, 3.8, 20), np.arange(20) < 10
    damaged = {
        "object": {"lfw/distances": distances, "lfw/issame": np.array(["1"] * 20)},
        "nan": {"lfw/distances": np.where(issame, np.nan, distances), "lfw/issame": issame},
        "few": {"lfw/distances": distances[:9], "lfw/issame": issame[:9]},
    }
    for name, arrays in damaged.items():
        (tmp_path / name).mkdir()
        np.savez(tmp_path / name / "pairs.npz", **arrays)
        assert read_results(tmp_path / name) == {}
    (tmp_path / "pairs.npz").write_bytes(b"PK\x03\x04 damaged")
    assert read_results(tmp_path) == {}
    store_pairs(tmp_path, wrong=0)
    assert read_results(tmp_path)["lfw"].accuracy == 1


def test_names_in_a_log_cannot_control_the_terminal(tmp_path, capfd):
    row = {"step": 2, "loss": 1.0, "\x1b[31m\u202elfw/accuracy": 0.5, "\ud800/accuracy": 0.5}
    watch_run(str(make_run(tmp_path / "a", log=[row])))
    output = "".join(capfd.readouterr())
    assert "\\x1b[31m\\u202elfw 50.00 %" in output
    assert "\x1b[31m" not in output
    assert "\u202e" not in output
