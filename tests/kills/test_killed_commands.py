"""Commands that are killed at any moment lose nothing, and the same command afterwards leaves what an unbroken one does."""

import contextlib
import json
import os
import random
import select
import signal
import subprocess
import sys
import time

import pytest
from writing_commands import COMMANDS, make_inputs, tree

# One of every way of writing; `make test-full` kills all commands.
SAMPLE = [
    "pack_workers",
    "pairs_list",
    "synthesize",
    "split",
    "clean_apply",
    "cluster",
    "embed",
    "export_onnx",
    "models_remove",
]
SAMPLE += ["enroll", "people_move", "train"]
HERE = os.path.dirname(os.path.abspath(__file__))


class CommandServer:
    """Runs commands, each in a process of its own."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "command_server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout.readline() == "ready\n"

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(self, arguments, log, root, event=0, after=None):
        """Run a command, and kill it at its change `event` or `after` seconds; return (status, changes, seconds)."""
        job = {"arguments": arguments, "log": str(log), "root": str(root), "event": event}
        started = time.monotonic()
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        if after is not None and not select.select([self._process.stdout], [], [], after)[0]:
            # Like a power failure: all processes of the command at once.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        status, changes = map(int, self._process.stdout.readline().split())
        seconds = time.monotonic() - started
        _wait_for_group(child)
        return os.waitstatus_to_exitcode(status) if hasattr(os, "waitstatus_to_exitcode") else status, changes, seconds


def _wait_for_group(group, longest=60):
    """Wait until the processes that a command has started have noticed its end."""
    end = time.monotonic() + longest
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.killpg(group, 0)
            select.select([], [], [], 0.02)
        os.killpg(group, signal.SIGKILL)
        raise AssertionError("processes are left")


@pytest.fixture(scope="module")
def server():
    started = CommandServer()
    yield started
    started.close()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(str(folder))
    return str(folder)


class Trial:
    """One command with a folder for every run of it."""

    def __init__(self, server, command, inputs, folder):
        self._server, self._command, self._inputs, self._folder, self._number = server, command, inputs, folder, 0

    def new(self):
        self._number += 1
        out = self._folder / f"out{self._number}"
        out.mkdir()
        self._command.start(self._inputs, str(out))
        return out

    def run(self, out, **kill):
        names = {"IN": self._inputs, "OUT": str(out)}
        words = [word.replace("IN/", names["IN"] + "/").replace("OUT", names["OUT"]) for word in self._command.arguments]
        words = [names["IN"] if word == "IN" else word for word in words]
        return self._server.run(words, self._folder / "log", out, **kill)

    def log(self):
        return (self._folder / "log").read_text(errors="replace")

    def state(self, out):
        return (self._command.state or tree)(str(out))


def given_files(inputs):
    """Return the inputs without the files that SQLite adds while a gallery is open, which the next process removes."""
    return {name: content for name, content in tree(inputs).items() if not name.startswith("g.db-")}


def kill_often(server, name, inputs, folder, kills, seed):
    """Kill a command at changes of files and at random times; return the numbers of kills, and of runs that were finished."""
    command, generator = COMMANDS[name], random.Random(f"{name}{seed}")
    trial, given = Trial(server, command, inputs, folder), given_files(inputs)
    out = trial.new()
    status, changes, seconds = trial.run(out)
    assert status == 0, trial.log()
    expected, killed, finished = trial.state(out), 0, 0
    for number in range(kills):
        out = trial.new()
        by_event = changes > 0 and number % 2 == 0
        kill = {"event": generator.randint(1, changes)} if by_event else {"after": generator.uniform(0, seconds)}
        status = trial.run(out, **kill)[0]
        killed += status == -signal.SIGKILL
        finished += status == 0
        assert status in (0, -signal.SIGKILL), trial.log()
        assert given_files(inputs) == given, "an input has changed"
        again = trial.run(out)[0]
        assert again == 0 or (again == 2 and command.done in trial.log()), f"{kill}: {trial.log()}"
        assert trial.state(out) == expected, kill
    return killed, finished


@pytest.mark.system
@pytest.mark.parametrize("name", SAMPLE)
def test_a_killed_command_loses_nothing(name, server, inputs, tmp_path):
    kill_often(server, name, inputs, tmp_path, 1, 0)


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_commands_killed_at_many_moments_lose_nothing(name, server, inputs, tmp_path):
    killed, finished = kill_often(server, name, inputs, tmp_path, 4, 1)
    print(f"\n{name}: {killed} kills, {finished} finished before", flush=True)
