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
    from typing import Sequence

_BOUND = os.path.join(os.path.dirname(__file__), "parent_death.py")
_LAST_LINES = 15


@dataclass
class Member:
    """A process of a run, in a process group of its own.

    Attributes
    ----------
    name : str
        Such as 'rank 1'.
    process : Popen or None
        None for a process on another machine that has ended.
    log : str or None
        File of its output; None for the terminal.
    begin : int
        Where the output of this start begins in the file.
    works : bool
        Whether the run is over when it has ended, with others of this kind.
    told : int
        Status of what has no process here.
    relay : Thread, optional
        Writes its log.

    Examples
    --------
    >>> Member("rank 1", None).name
    'rank 1'
    """

    name: str
    process: subprocess.Popen | None
    log: str | None = None
    begin: int = 0
    works: bool = True
    told: int = 0
    relay: threading.Thread | None = None

    @property
    def status(self) -> Any:
        """Exit status, negative for a signal; None while it runs."""
        return self.told if self.process is None else self.process.poll()

    def fate(self) -> str:
        """Describe how it ended, as the predicate of a sentence."""
        if self.status >= 0:
            return f"ended with status {self.status}"
        return f"was killed by {signal.Signals(-self.status).name}"

    def written(self) -> Any:
        """Return the end of its output; empty where that went to the terminal."""
        if self.log is None or not os.path.exists(self.log):
            return ""
        if self.relay is not None:
            self.relay.join(2)
        with open(self.log, "rb") as file:
            file.seek(self.begin)
            return file.read()[-20000:].decode("utf-8", "replace")

    def last_lines(self) -> str:
        """Return the last lines of its output, indented."""
        lines = [line for line in self.written().splitlines() if line.strip()][-_LAST_LINES:]
        return "".join(f"\n  {line}" for line in lines)


def start(
    command: Sequence[str], environment: Any, name: str, log: str | None = None, works: bool = True, relayed: Any = None
) -> Any:
    """Start a process of a run; it is killed when this process ends, for whatever reason.

    Parameters
    ----------
    command : list of str
    environment : dict
        On top of this process's own.
    name, log, works
        See `Member`.
    relayed : bytes, optional
        Regular expression of how lines begin that go to the terminal without that beginning, instead of the log.

    Examples
    --------
    >>> member = start(["sleep", "0"], {}, "rank 0")  # doctest: +SKIP
    """
    file, begin, relay = None, 0, None
    if log is not None:
        os.makedirs(os.path.dirname(log), exist_ok=True)
        # The output of an earlier start is kept.
        file = open(log, "ab")  # noqa: SIM115
        begin = file.tell()
    try:
        process = subprocess.Popen(
            [sys.executable, "-E", "-S", _BOUND, str(os.getpid()), *command],
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
    return Member(name, process, log, begin, works, relay=relay)


def _relay(lines: Any, log: str, relayed: Any) -> None:
    with open(log, "ab", buffering=0) as file:
        for line in lines:
            begin = re.match(relayed, line)
            if begin:
                sys.stderr.write(line[begin.end() :].decode("utf-8", "replace"))
                sys.stderr.flush()
            else:
                file.write(line)


def wait(members: Any, seconds: float) -> bool:
    """Wait until all processes have ended, at most `seconds`; return whether they have.

    Examples
    --------
    >>> wait([], 0)
    True
    """
    deadline = time.monotonic() + seconds
    while any(member.status is None for member in members):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def kill(members: Any) -> None:
    """Kill all processes and their process groups, and wait for their end.

    Examples
    --------
    >>> kill([])
    """
    for member in members:
        try:
            # Also after its leader has ended: others of the group may be there.
            os.killpg(member.process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
    for member in members:
        member.process.wait()
