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
SAMPLE += ["enroll", "people_move", "train", "train_distilled", "train_horovod"]
HERE = os.path.dirname(os.path.abspath(__file__))


class CommandServer:
    """Runs commands, each in a process of its own."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "command_server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout.readline() == "ready\n"
        self._runs = 0

    def close(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def run(self, arguments, log, root, environment, event=0, after=None, part=None):
        """Run a command, and kill it at its change `event` or `after` seconds; return (status, changes, seconds).

        With `part`, the number of a process, only that one of the processes that the command has started is killed.
        """
        self._runs += 1
        mark = f"GLUONFR_KILLED_RUN={os.getpid()}.{self._runs}"
        environment = {**environment, **dict([mark.split("=")])}
        job = {"arguments": arguments, "log": str(log), "root": str(root), "event": event, "environment": environment}
        started = time.monotonic()
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        child = int(self._process.stdout.readline())
        if after is not None and not select.select([self._process.stdout], [], [], after)[0]:
            others = [] if part is None else _marked(mark)
            with contextlib.suppress(ProcessLookupError):
                if others:
                    os.kill(others[part % len(others)], signal.SIGKILL)
                else:
                    # Like a power failure: all processes of the command at once.
                    os.killpg(child, signal.SIGKILL)
        status, changes = map(int, self._process.stdout.readline().split())
        seconds = time.monotonic() - started
        _wait_for_end(child, mark)
        return os.waitstatus_to_exitcode(status) if hasattr(os, "waitstatus_to_exitcode") else status, changes, seconds


def _wait_for_end(group, mark, longest=60):
    """Wait until the processes that a command has started have noticed its end."""
    end = time.monotonic() + longest
    while _is_group(group) or _marked(mark):
        if time.monotonic() > end:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            for process in _marked(mark):
                os.kill(process, signal.SIGKILL)
            raise AssertionError("processes are left")
        select.select([], [], [], 0.02)


def _is_group(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _marked(mark):
    """Return the processes that were started with a variable in their environment, the oldest first."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/environ", "rb") as file:
            if mark.encode() in file.read().split(b"\0"):
                found.append(int(name))
    return sorted(found)


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
        environment = {name: value.replace("OUT", names["OUT"]) for name, value in self._command.environment.items()}
        return self._server.run(words, self._folder / "log", out, environment, **kill)

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
        kill = {"after": generator.uniform(0, seconds)}
        if command.ranks and number % 2:
            kill["part"] = generator.randrange(100)
        elif changes and not number % 2 and not command.ranks:
            kill = {"event": generator.randint(1, changes)}
        status = trial.run(out, **kill)[0]
        # The launcher of ranks survives the end of one, and reports it.
        killed += status == -signal.SIGKILL or (status == 1 and "part" in kill)
        finished += status == 0
        assert status in (0, -signal.SIGKILL, *((1,) if "part" in kill else ())), trial.log()
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
