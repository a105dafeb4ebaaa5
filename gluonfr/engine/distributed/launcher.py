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
from gluonfr.engine.distributed.heartbeat import Watch
from gluonfr.engine.distributed.hosts import parse_hosts
from gluonfr.engine.distributed.rank_processes import kill, wait
from gluonfr.engine.distributed.start_methods import LEFT_ALONE, HorovodHere, HorovodRun, PsHere
from gluonfr.engine.options import LaunchOptions

logger = logging.getLogger(__name__)

HANG_TIMEOUT, START_TIMEOUT = 300, 120
# Exit status of a command for a mistake of its caller: restarting would repeat the mistake.
_REFUSED = 2
# Exit status of a command that was interrupted, as shells expect it.
_INTERRUPTED = 130
# By status; -1 for all signals.
_CAUSES = {-1: 0, _REFUSED: 1, LEFT_ALONE: 3}


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

    A rank that dies ends the others within 5 s, on other machines within 20 s; one that hangs ends all within `hang_timeout`
    more, and one that does not start within `start_timeout` more. No process is left behind, even when this one is killed.
    SIGTERM, SIGINT and SIGHUP are passed to the ranks as SIGTERM, and the ranks are waited for; a second signal kills them.

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
        How often all ranks are restarted, with the same command, after one failed.
    hang_timeout : float, default 300
        Seconds without an exchange between ranks or a `Group.beat` after which they are stuck.
    start_timeout : float, default 120
        Seconds in which the ranks have to start and meet, at least `hang_timeout`.

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
        raise UsageError(f"hosts= works with sync='horovod' only, got sync={sync!r}; leave one of the two out.")
    way = HorovodRun(hosts) if hosts else {"horovod": HorovodHere, "ps": PsHere}[sync](workers)
    logs = os.path.abspath(logs)
    folder = os.path.dirname(logs)
    new = not os.path.exists(folder)
    with _Signals() as signals:
        for attempt in range(max_restarts + 1):
            outcome = _attempt(way, command, logs, (hang_timeout, max(hang_timeout, start_timeout)), signals)
            outcome.restarts = attempt
            if outcome.status in (0, _REFUSED) or signals.count or attempt == max_restarts:
                break
            logger.warning("%s\nrestarting all ranks, %d of %d", outcome.message, attempt + 1, max_restarts)
    if outcome.status == _REFUSED and new and os.path.isdir(folder) and os.listdir(folder) == [os.path.basename(logs)]:
        # A run that is refused leaves nothing.
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


def _attempt(way: Any, command: Sequence[str], logs: str, timeouts: tuple[float, float], signals: _Signals) -> Outcome:
    members: list[Any] = []
    with Watch(way.workers, *timeouts, way.address) as watch:
        try:
            with way.start(members, command, watch.environment(), logs):
                return _follow(members, watch, way, signals)
        finally:
            watch.end()
            wait(members, 0 if signals.count > 1 else way.grace)
            kill(members)


def _follow(members: Any, watch: Watch, way: Any, signals: _Signals) -> Outcome:
    """Wait for the end of a run; the caller kills the processes that are left."""
    began = time.monotonic()
    while True:
        ended = [member for member in members if member.status is not None]
        # Of several that failed in one moment, the one that was killed or that refused is the cause.
        bad = sorted((member for member in ended if member.status), key=lambda member: _CAUSES.get(max(member.status, -1), 2))
        if signals.count:
            watch.stop_all()
            if signals.count > 1:
                return Outcome(_INTERRUPTED, "killed by a second request to stop")
            status = way.cause(bad[0]).status if bad else 0
            if status == -signal.SIGTERM:
                return Outcome(_INTERRUPTED, "stopped before the first step.")
            if status == _REFUSED:
                # The exit status of a rank that was asked to stop and wrote a checkpoint.
                if all(member.status is not None for member in members if member.works):
                    return Outcome(_INTERRUPTED)
                bad = []
        if bad:
            return _failed(bad[0], members, way, time.monotonic() - began)
        if all(member.status == 0 for member in members if member.works):
            return Outcome(0)
        stuck = watch.stuck()
        if stuck:
            rank, why = stuck
            named = [member for member in members if member.name == f"rank {rank}"]
            return Outcome(1, f"{why}; all ranks were ended." + "".join(_shown(member) for member in named))
        time.sleep(0.05)


def _failed(first: Any, members: Any, way: Any, seconds: float) -> Outcome:
    # Time for the other ranks to report what they saw, and for rank 0 to print its own message.
    wait([member for member in members if member.works], way.grace)
    first = way.cause(first)
    if first.status == _REFUSED and any(member.log is None and member.status == _REFUSED for member in (first, *members)):
        return Outcome(_REFUSED)
    message = f"{first.name} {first.fate()}, {seconds:.0f} s after the start; all ranks were ended.{_shown(first)}"
    return Outcome(_REFUSED if first.status == _REFUSED else 1, message)


def _shown(member: Any) -> str:
    lines = member.last_lines()
    return f" The end of {member.log}:{lines}" if lines else ""


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
