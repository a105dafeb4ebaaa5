from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Iterable, Sequence

_PARENT_DEATH = os.path.join(os.path.dirname(__file__), "parent_death.py")
_LAST_LINES = 15


@dataclass
class RunProcess:
    """A process of a run, in a process group of its own.

    Attributes
    ----------
    name : str
        Such as 'rank 1'.
    popen : Popen or None
        None for a process on another machine that has ended.
    log : str or None
        File of its output; None for the terminal.
    begin : int
        Position in the file at which the output of this start begins.
    ends_run : bool
        Whether the run is over once this process, and the others with this flag, have ended.
    reported_status : int
        Exit status of a process without `popen`.
    relay : Thread, optional
        Thread that writes the log.

    Examples
    --------
    >>> RunProcess("rank 1", None).name
    'rank 1'
    """

    name: str
    popen: subprocess.Popen | None
    log: str | None = None
    begin: int = 0
    ends_run: bool = True
    reported_status: int = 0
    relay: threading.Thread | None = None

    @property
    def status(self) -> Any:
        """Exit status, negative for a signal; None while it runs."""
        return self.reported_status if self.popen is None else self.popen.poll()

    def describe_end(self) -> str:
        """Describe how the process ended, as the predicate of a sentence."""
        if self.status >= 0:
            return f"ended with status {self.status}"
        return f"was killed by {signal.Signals(-self.status).name}"

    def output(self) -> str:
        """Return the end of the output; empty where that went to the terminal."""
        if self.log is None or not os.path.exists(self.log):
            return ""
        if self.relay is not None:
            self.relay.join(2)
        with open(self.log, "rb") as file:
            file.seek(self.begin)
            return file.read()[-20000:].decode("utf-8", "replace")

    def last_lines(self) -> str:
        """Return the last lines of the output, indented."""
        lines = [line for line in self.output().splitlines() if line.strip()][-_LAST_LINES:]
        return "".join(f"\n  {line}" for line in lines)


def start(
    command: Sequence[str], environment: Any, name: str, log: str | None = None, ends_run: bool = True, relayed: Any = None
) -> Any:
    """Start a process of a run, which is killed when this process ends.

    Parameters
    ----------
    command : list of str
    environment : dict
        Variables that are added to the environment of this process.
    name, log, ends_run
        See `RunProcess`.
    relayed : bytes, optional
        Regular expression of a prefix: lines that start with it are printed on the terminal without the prefix, instead of
        written to the log.

    Examples
    --------
    >>> process = start(["sleep", "0"], {}, "rank 0")  # doctest: +SKIP
    """
    file, begin, relay = None, 0, None
    if log is not None:
        os.makedirs(os.path.dirname(log), exist_ok=True)
        # The output of an earlier start is kept.
        file = open(log, "ab")  # noqa: SIM115
        begin = file.tell()
    try:
        process = subprocess.Popen(
            [sys.executable, "-E", "-S", _PARENT_DEATH, str(os.getpid()), *command],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=file if relayed is None else subprocess.PIPE,
            stderr=file if relayed is None else subprocess.STDOUT,
            start_new_session=True,
        )
        if relayed is not None:
            relay = threading.Thread(target=_relay, args=(process.stdout, log, relayed), daemon=True)
            relay.start()
    finally:
        if file is not None:
            file.close()
    return RunProcess(name, process, log, begin, ends_run, relay=relay)


def _relay(lines: Any, log: str, relayed: Any) -> None:
    with open(log, "ab", buffering=0) as file:
        for line in lines:
            begin = re.match(relayed, line)
            if begin:
                sys.stderr.write(line[begin.end() :].decode("utf-8", "replace"))
                sys.stderr.flush()
            else:
                file.write(line)


def wait(processes: Iterable[RunProcess], seconds: float) -> bool:
    """Wait until all processes have ended, at most `seconds`; return whether they have.

    Examples
    --------
    >>> wait([], 0)
    True
    """
    deadline = time.monotonic() + seconds
    while any(process.status is None for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def kill(processes: Iterable[RunProcess]) -> None:
    """Kill all processes and their process groups, and wait for their end.

    Examples
    --------
    >>> kill([])
    """
    started = [process.popen for process in processes if process.popen is not None]
    for popen in started:
        try:
            # The leader of the group may have ended while others of the group still run.
            os.killpg(popen.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    for popen in started:
        popen.wait()
