"""Start methods of the ranks of a run: Horovod or ps-lite on this machine, or `horovodrun` on several machines."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
from typing import TYPE_CHECKING, Any

from gluonfr.core import GluonFRError
from gluonfr.core.cpu import environment_for_processes
from gluonfr.core.paths import python_command
from gluonfr.engine.distributed.heartbeat import rank_environment
from gluonfr.engine.distributed.hosts import address_towards, check_hosts, is_here
from gluonfr.engine.distributed.rank_processes import RunProcess, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Sequence

# Seconds in which Horovod connects its ranks, and after which it notices a broken connection.
_CONNECT = 30
_SERVER = "import gluonfr, mxnet"
_WATCHDOG = os.path.join(os.path.dirname(os.path.abspath(__file__)), "remote_watchdog.py")
# Exit status of a rank that ends because another one did.
ENDED_WITH_ANOTHER = 3
LOGS = "GLUONFR_RANK_LOGS"


class _LocalRanks:
    # `start(processes, command, environment, logs)` appends the started processes to `processes`; the caller ends them.

    # Seconds that the other ranks have to report a failure.
    grace = 3
    address = "127.0.0.1"

    def cause(self, process: RunProcess) -> RunProcess:
        """Return the process that caused the end of the run, given one that failed."""
        return process


class LocalHorovod(_LocalRanks):
    """Ranks on this machine that use Horovod, with its rendezvous server in this process.

    Examples
    --------
    >>> method = LocalHorovod(workers=2)  # doctest: +SKIP
    """

    def __init__(self, workers: int) -> None:
        _need_horovod()
        self.workers = workers

    @contextlib.contextmanager
    def start(
        self, processes: list[RunProcess], command: Sequence[str], environment: dict[str, str], logs: str
    ) -> Iterator[None]:
        """Start the ranks and append them to `processes`; servers that they need run until the block ends."""
        from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts
        from horovod.runner.http.http_server import RendezvousServer

        server = RendezvousServer()
        port = server.start()
        slots = get_host_assignments(parse_hosts(f"localhost:{self.workers}"), self.workers)
        server.init(slots)
        shared = {
            "HOROVOD_GLOO_RENDEZVOUS_ADDR": self.address,
            "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port),
            "HOROVOD_GLOO_IFACE": "lo" if sys.platform.startswith("linux") else "lo0",
            "HOROVOD_CONTROLLER": "gloo",
            "HOROVOD_CPU_OPERATIONS": "gloo",
            "HOROVOD_GLOO_TIMEOUT_SECONDS": os.environ.get("HOROVOD_GLOO_TIMEOUT_SECONDS", str(_CONNECT)),
        }
        try:
            for slot in slots:
                own = {f"HOROVOD_{name.upper()}": str(getattr(slot, name)) for name in _SLOT}
                own.update(rank_environment(slot.rank), HOROVOD_HOSTNAME=slot.hostname)
                processes.append(_rank(command, {**environment, **shared, **own}, slot.rank, logs))
            yield
        finally:
            server.stop()
            server._httpd.server_close()


_SLOT = ("rank", "size", "local_rank", "local_size", "cross_rank", "cross_size")


class LocalPs(_LocalRanks):
    """Ranks on this machine that use ps-lite, with its scheduler and one server per two ranks, at most four.

    Examples
    --------
    >>> LocalPs(workers=2).workers
    2
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    @contextlib.contextmanager
    def start(
        self, processes: list[RunProcess], command: Sequence[str], environment: dict[str, str], logs: str
    ) -> Iterator[None]:
        """Start the ranks and append them to `processes`; servers that they need run until the block ends."""
        servers = min(-(-self.workers // 2), 4)
        shared = {
            **environment,
            "DMLC_PS_ROOT_URI": self.address,
            "DMLC_PS_ROOT_PORT": str(_free_port()),
            "DMLC_NUM_WORKER": str(self.workers),
            "DMLC_NUM_SERVER": str(servers),
            "DMLC_NODE_HOST": self.address,
        }
        for role, number in [("scheduler", 0), *(("server", i) for i in range(servers))]:
            log = os.path.join(logs, f"{role}-{number}.log")
            own = {**shared, "DMLC_ROLE": role}
            processes.append(start(python_command(_SERVER), own, f"{role} {number}", log, ends_run=False))
        for rank in range(self.workers):
            own = {**shared, **rank_environment(rank), "DMLC_ROLE": "worker", "DMLC_WORKER_ID": str(rank)}
            processes.append(_rank(command, own, rank, logs))
        yield


class RemoteHorovod:
    """Ranks on several machines, over ssh; this package must have the same path on each of them.

    Parameters
    ----------
    hosts : list of (name, processes)

    Examples
    --------
    >>> method = RemoteHorovod([("a", 4), ("b", 4)])  # doctest: +SKIP
    """

    # horovodrun kills its ranks after five seconds.
    grace = 15

    def __init__(self, hosts: Any) -> None:
        _need_horovod()
        check_hosts(hosts)
        self._hosts = hosts
        self.workers = sum(count for _, count in hosts)
        there = [name for name, _ in hosts if not is_here(name)]
        self.address = address_towards(there[0] if there else hosts[0][0])

    @contextlib.contextmanager
    def start(
        self, processes: list[RunProcess], command: Sequence[str], environment: dict[str, str], logs: str
    ) -> Iterator[None]:
        """Start the ranks and append them to `processes`; servers that they need run until the block ends."""
        hosts = ",".join(f"{name}:{count}" for name, count in self._hosts)
        run = [
            sys.executable,
            "-m",
            "horovod.runner.launch",
            "--gloo",
            "--disable-cache",
            "-np",
            str(self.workers),
            "-H",
            hosts,
        ]
        keep = [sys.executable, "-E", "-S", _WATCHDOG]
        own = {
            **environment,
            LOGS: os.path.abspath(logs),
            "HOROVOD_GLOO_TIMEOUT_SECONDS": os.environ.get("HOROVOD_GLOO_TIMEOUT_SECONDS", str(_CONNECT)),
            # horovodrun passes the environment of this process to all machines.
            **environment_for_processes(max(count for _, count in self._hosts)),
        }
        log = os.path.join(logs, "horovodrun.log")
        # horovodrun marks every line with its rank; all ranks but rank 0 write to their own files.
        processes.append(start([*run, *keep, *command], own, "horovodrun", log, relayed=rb"\[0\]<std(out|err)>:"))
        yield

    def cause(self, process: RunProcess) -> RunProcess:
        """Return the rank that `horovodrun` reports as the first to fail; `horovodrun` itself if it reports none."""
        reported = [
            tuple(map(int, found)) for found in re.findall(r"Process (\d+) exit with status code (\d+)", process.output())
        ]
        if not reported:
            return process
        rank, status = next((found for found in reported if found[1] != ENDED_WITH_ANOTHER), reported[0])
        log = os.path.join(os.path.dirname(str(process.log)), f"{rank}.log") if rank else None
        return RunProcess(f"rank {rank}", None, log, reported_status=128 - status if status > 128 else status)


def _rank(command: Sequence[str], environment: dict[str, str], rank: int, logs: str) -> RunProcess:
    return start(command, environment, f"rank {rank}", os.path.join(logs, f"{rank}.log") if rank else None)


def _need_horovod() -> None:
    try:
        import horovod.runner  # noqa: F401
    except ImportError as error:
        raise GluonFRError(
            "Horovod is not installed: run the commands that `gluonfr doctor` prints to build it, or use sync='ps', which "
            "does not need it."
        ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
