from __future__ import annotations

import logging
import os
import shutil
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any, Sequence

from gluonfr.core import UsageError
from gluonfr.engine.distributed.agreement import check_devices
from gluonfr.engine.distributed.heartbeat import HeartbeatServer
from gluonfr.engine.distributed.hosts import parse_hosts
from gluonfr.engine.distributed.rank_processes import RunProcess, kill, wait
from gluonfr.engine.distributed.start_methods import ENDED_WITH_ANOTHER, LocalHorovod, LocalPs, RemoteHorovod
from gluonfr.engine.launch_options import LaunchOptions

logger = logging.getLogger(__name__)

HANG_TIMEOUT, START_TIMEOUT = 300, 120
# Exit status of a command for a mistake of its caller: restarting would repeat the mistake.
_REFUSED = 2
# Exit status of a command that was interrupted, as shells expect it.
_INTERRUPTED = 130
# Order of the causes of a failure by exit status, most likely cause first; -1 represents all signals.
_CAUSES = {-1: 0, _REFUSED: 1, ENDED_WITH_ANOTHER: 3}


@dataclass
class Outcome:
    """The result of a run of several processes.

    Attributes
    ----------
    status : int
        Exit status: 0; 2 when a rank refused its arguments; 130 after a request to stop; 1 for all other failures.
    message : str
        Reason of a failure, unless rank 0 has printed it on the terminal.
    restarts : int

    Examples
    --------
    >>> Outcome(0).message
    ''
    """

    status: int
    message: str = ""
    restarts: int = 0


def launch(
    command: Sequence[str],
    workers: int = 1,
    sync: str = "horovod",
    hosts: Any = None,
    logs: str = "ranks",
    max_restarts: int = 0,
    hang_timeout: float = HANG_TIMEOUT,
    start_timeout: float = START_TIMEOUT,
) -> Outcome:
    """Run a command as several ranks that form a group, until the last one has ended.

    When a rank dies, the others are ended within 5 s, on other machines within 20 s. When a rank hangs or does not start, all
    are ended after `hang_timeout` or `start_timeout`. No process is left behind, even when this one is killed. SIGTERM, SIGINT
    and SIGHUP are passed to the ranks as SIGTERM, and this function waits for them to end; a second signal kills them.

    Parameters
    ----------
    command : list of str
        The command of every rank; it calls `make_group`.
    workers : int
        Ranks on this machine; ignored with `hosts`.
    sync : 'horovod' or 'ps'
    hosts : list of (name, processes), optional
        Machines, for 'horovod'.
    logs : str
        Folder for the output of all ranks except 0, which prints on the terminal.
    max_restarts : int, default 0
        How often all ranks are restarted with the same command after one failed.
    hang_timeout : float, default 300
        Ranks without an exchange or a `Group.beat` for this many seconds are stuck.
    start_timeout : float, default 120
        Seconds in which the ranks have to start and connect to each other; at least `hang_timeout`.

    Returns
    -------
    Outcome

    Raises
    ------
    GluonFRError
        Before anything is started: arguments out of range, Horovod is missing, or a host does not answer.

    Examples
    --------
    >>> launch(["python", "train.py"], workers=2).status  # doctest: +SKIP
    0
    """
    for name, value, least in (("workers", workers, 1), ("max_restarts", max_restarts, 0)):
        if value < least:
            raise UsageError(f"{name}={value} is too small: it must be at least {least}.")
    if not 0 < hang_timeout < float("inf"):
        raise UsageError(f"hang_timeout={hang_timeout} is not a positive number of seconds.")
    if hosts and sync != "horovod":
        raise UsageError(f"hosts= works with sync='horovod' only, got sync={sync!r}; leave out one of them.")
    method = RemoteHorovod(hosts) if hosts else {"horovod": LocalHorovod, "ps": LocalPs}[sync](workers)
    logs = os.path.abspath(logs)
    folder = os.path.dirname(logs)
    new = not os.path.exists(folder)
    with _Signals() as signals:
        for attempt in range(max_restarts + 1):
            outcome = _attempt(method, command, logs, (hang_timeout, max(hang_timeout, start_timeout)), signals)
            outcome.restarts = attempt
            if outcome.status in (0, _REFUSED) or signals.count or attempt == max_restarts:
                break
            logger.warning("%s\nrestarting all ranks, %d of %d", outcome.message, attempt + 1, max_restarts)
    if outcome.status == _REFUSED and new and os.path.isdir(folder) and os.listdir(folder) == [os.path.basename(logs)]:
        # A refused run leaves no files.
        shutil.rmtree(folder)
    return outcome


def launch_training(arguments: Sequence[str], gpus: Sequence[int], cpus: int, out: str, options: LaunchOptions) -> Outcome:
    """Run `gluonfr train` as several ranks; every rank gets the same arguments, and a restart resumes from the checkpoints.

    Parameters
    ----------
    arguments : list of str
        The command line, from 'train' on.
    gpus : sequence of int
    cpus : int
        See `check_devices`.
    out : str
        The run folder; the output of the ranks goes to `out/ranks`.
    options : LaunchOptions

    Returns
    -------
    Outcome

    Examples
    --------
    >>> launch_training(["train", "--dataset", "emore"], (), 1, "runs/a", LaunchOptions(workers=2))  # doctest: +SKIP
    """
    hosts = parse_hosts(options.hosts) if options.hosts else None
    check_devices(gpus, cpus, max(count for _, count in hosts) if hosts else options.workers)
    logs = os.path.join(os.path.abspath(os.path.expanduser(out)), "ranks")
    command = [sys.executable, "-m", "gluonfr", *arguments]
    return launch(command, options.workers, options.sync, hosts, logs, options.max_restarts, options.hang_timeout)


def _attempt(method: Any, command: Sequence[str], logs: str, timeouts: tuple[float, float], signals: _Signals) -> Outcome:
    processes: list[RunProcess] = []
    with HeartbeatServer(method.workers, *timeouts, method.address) as server:
        try:
            with method.start(processes, command, server.environment(), logs):
                return _follow(processes, server, method, signals)
        finally:
            server.end()
            wait(processes, 0 if signals.count > 1 else method.grace)
            kill(processes)


def _follow(processes: list[RunProcess], server: HeartbeatServer, method: Any, signals: _Signals) -> Outcome:
    """Wait for the end of a run; the caller kills the processes that are left."""
    began = time.monotonic()
    while True:
        ended = [process for process in processes if process.status is not None]
        # When several failed at the same moment, the one that was killed or that refused its arguments is the cause.
        bad = sorted(
            (process for process in ended if process.status), key=lambda process: _CAUSES.get(max(process.status, -1), 2)
        )
        if signals.count:
            server.stop_all()
            if signals.count > 1:
                return Outcome(_INTERRUPTED, "killed by a second request to stop")
            status = method.cause(bad[0]).status if bad else 0
            if status == -signal.SIGTERM:
                return Outcome(_INTERRUPTED, "stopped before the first step.")
            if status == _REFUSED:
                # The exit status of a rank that was asked to stop and wrote a checkpoint.
                if all(process.status is not None for process in processes if process.ends_run):
                    return Outcome(_INTERRUPTED)
                bad = []
        if bad:
            return _failed(bad[0], processes, method, time.monotonic() - began)
        if all(process.status == 0 for process in processes if process.ends_run):
            return Outcome(0)
        stuck = server.stuck()
        if stuck:
            rank, why = stuck
            named = [process for process in processes if process.name == f"rank {rank}"]
            return Outcome(1, f"{why}; all ranks were ended." + "".join(_last_output(process) for process in named))
        time.sleep(0.05)


def _failed(first: RunProcess, processes: list[RunProcess], method: Any, seconds: float) -> Outcome:
    # Give the other ranks time to report the failure, and rank 0 time to print its message.
    wait([process for process in processes if process.ends_run], method.grace)
    first = method.cause(first)
    if first.status == _REFUSED and any(process.log is None and process.status == _REFUSED for process in (first, *processes)):
        return Outcome(_REFUSED)
    message = (
        f"{first.name} {first.describe_end()}, {seconds:.0f} s after the start; all ranks were ended.{_last_output(first)}"
    )
    return Outcome(_REFUSED if first.status == _REFUSED else 1, message)


def _last_output(process: RunProcess) -> str:
    lines = process.last_lines()
    return f" The end of {process.log}:{lines}" if lines else ""


class _Signals:
    """Counts the signals that request a stop."""

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Any:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: Any) -> None:
        self.count += 1
