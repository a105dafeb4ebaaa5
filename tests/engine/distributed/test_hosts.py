"""Machines are asked by ssh before anything is started there: with programs that answer as ssh does."""

import os
import re
import sys

import pytest

import gluonfr
from gluonfr.core import GluonFRError
from gluonfr.engine.distributed import hosts

PACKAGE = os.path.dirname(gluonfr.__file__)
# Runs what it is told, as the other machine's shell would.
THERE = 'for last; do :; done; exec sh -c "$last"'


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """`asked(body)` is what is wrong with a machine where ssh does `body`, or None; `arguments` are what ssh was given."""
    monkeypatch.setattr(hosts, "_address", lambda name: "10.97.31.2")
    monkeypatch.setattr(hosts, "check_own_name", lambda: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def ask(body):
        program = tmp_path / "ssh"
        program.write_text(f'#!/bin/sh\nfor each; do echo "$each"; done >>"{tmp_path}/arguments"\n{body}\n')
        program.chmod(0o755)
        try:
            hosts.check_hosts([("other", 2), ("more", 1)])
        except GluonFRError as error:
            return str(error)

    ask.arguments = lambda: (tmp_path / "arguments").read_text().split("\n")
    return ask


def test_a_complete_machine_is_accepted(asked):
    assert asked(f"echo welcome; echo a banner >&2; {THERE}") is None
    assert {"BatchMode=yes", "ConnectTimeout=5", "ControlMaster=no", "other", "more"} <= set(asked.arguments())


@pytest.mark.parametrize("lacks", [PACKAGE, sys.executable])
def test_a_machine_without_this_python_or_package_is_refused(asked, lacks):
    # The same shell on a machine where that is elsewhere.
    there = f"""for last; do :; done; exec sh -c "$(printf %s "$last" | sed 's,{lacks}$,/nowhere,; s,{lacks} ,/nowhere ,')\""""
    assert re.fullmatch(
        rf"hosts: other \(10.97.31.2\) has no {re.escape(sys.executable)} or no {re.escape(PACKAGE)}; install .*",
        asked(there),
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo first >&2; echo 'other: Permission denied (publickey).' >&2; exit 255", "other: Permission denied (publickey)."),
        ("printf 'caf\\351\\n' >&2; exit 255", "caf\ufffd"),
        ("exit 255", "status 255"),
        ("kill -9 $$", "status -9"),
    ],
)
def test_a_machine_that_refuses_the_login_is_reported_with_the_message_of_ssh(asked, body, said):
    assert f"other (10.97.31.2) refuses ssh ({said}); make `ssh other true` work" in asked(body)


def test_ssh_that_never_ends_or_cannot_be_started_is_refused(asked, monkeypatch):
    monkeypatch.setattr(hosts, "_LIMIT", 0.5)
    assert "other (10.97.31.2) lets ssh wait for more than 0.5 s" in asked("exec sleep 30")
    monkeypatch.setenv("PATH", "/nowhere")
    assert "hosts= needs ssh, which cannot be started here (No such file or directory)" in asked("exit 0")


def test_ssh_does_not_consume_the_input_of_a_script(asked, tmp_path, monkeypatch):
    (tmp_path / "lines").write_text("one\ntwo\n")
    with open(tmp_path / "lines") as lines:
        kept = os.dup(0)
        os.dup2(lines.fileno(), 0)
        try:
            assert asked(f'cat >>"{tmp_path}/read"; {THERE}') is None
        finally:
            os.dup2(kept, 0)
            os.close(kept)
    assert (tmp_path / "read").read_text() == ""
