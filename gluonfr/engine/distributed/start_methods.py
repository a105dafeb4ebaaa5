"""Ways to start the ranks of a run: here on Horovod, here on ps-lite, or on several machines through `horovodrun`."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
from typing import TYPE_CHECKING, Any

from gluonfr.core import GluonFRError
from gluonfr.core.cpu import environment_for_processes
from gluonfr.engine.distributed.heartbeat import rank_environment
from gluonfr.engine.distributed.hosts import address_towards, check_hosts, is_here
from gluonfr.engine.distributed.rank_processes import Member, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Sequence

# Seconds in which Horovod connects its ranks, and after which it notices a link that is cut.
_CONNECT = 30
_SERVER = "import gluonfr, mxnet"
_KEEPER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "remote_watchdog.py")
# Exit status of a rank that ends because another one did.
LEFT_ALONE = 3
LOGS = "GLUONFR_RANK_LOGS"


class _Here:
    # `start(members, command, environment, logs)` appends what it starts to `members`, for the caller to end.

    # Seconds in which the other ranks can report what they saw of a failure.
    grace = 3
    address = "127.0.0.1"

    def cause(self, member: Any) -> Any:
        """Return the process that caused the end of the run, given one that failed."""
        return member


class HorovodHere(_Here):
    """Ranks on this machine, which find each other through a server in this process.

    Examples
    --------
    >>> method = HorovodHere(workers=2)  # doctest: +SKIP
    """

    def __init__(self, workers: int) -> None:
        _need_horovod()
        self.workers = workers

    @contextlib.contextmanager
    def start(self, members: Any, command: Sequence[str], environment: Any, logs: str) -> Iterator[Any]:
        """Start the ranks and append them to `members`; what they need is open for the time of the block."""
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
                members.append(_rank(command, {**environment, **shared, **own}, slot.rank, logs))
            yield
        finally:
            server.stop()
            server._httpd.server_close()


_SLOT = ("rank", "size", "local_rank", "local_size", "cross_rank", "cross_size")


class PsHere(_Here):
    """Ranks on this machine on ps-lite, with its scheduler and a server for every two ranks, up to four.

    Examples
    --------
    >>> PsHere(workers=2).workers
    2
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    @contextlib.contextmanager
    def start(self, members: Any, command: Sequence[str], environment: Any, logs: str) -> Iterator[Any]:
        """Start the ranks and append them to `members`; what they need is open for the time of the block."""
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
            members.append(start([sys.executable, "-c", _SERVER], own, f"{role} {number}", log, works=False))
        for rank in range(self.workers):
            own = {**shared, **rank_environment(rank), "DMLC_ROLE": "worker", "DMLC_WORKER_ID": str(rank)}
            members.append(_rank(command, own, rank, logs))
        yield


class HorovodRun:
    """Ranks on several machines, over ssh; each has to have this package at the same place.

    Parameters
    ----------
    hosts : list of (name, processes)

    Examples
    --------
    >>> method = HorovodRun([("a", 4), ("b", 4)])  # doctest: +SKIP
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
    def start(self, members: Any, command: Sequence[str], environment: Any, logs: str) -> Iterator[Any]:
        """Start the ranks and append them to `members`; what they need is open for the time of the block."""
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
        keep = [sys.executable, "-E", "-S", _KEEPER]
        own = {
            **environment,
            LOGS: os.path.abspath(logs),
            "HOROVOD_GLOO_TIMEOUT_SECONDS": os.environ.get("HOROVOD_GLOO_TIMEOUT_SECONDS", str(_CONNECT)),
            # Here as there: what is in this process's environment goes along.
            **environment_for_processes(max(count for _, count in self._hosts)),
        }
        log = os.path.join(logs, "horovodrun.log")
        # It marks every line with its rank; all but rank 0 write to files of their own.
        members.append(start([*run, *keep, *command], own, "horovodrun", log, relayed=rb"\[0\]<std(out|err)>:"))
        yield

    def cause(self, member: Any) -> Any:
        """Return the rank that `horovodrun` reports as the first to fail; `horovodrun` itself if it reports none."""
        reported = [
            tuple(map(int, found)) for found in re.findall(r"Process (\d+) exit with status code (\d+)", member.written())
        ]
        if not reported:
            return member
        rank, status = next((found for found in reported if found[1] != LEFT_ALONE), reported[0])
        log = os.path.join(os.path.dirname(member.log), f"{rank}.log") if rank else None
        return Member(f"rank {rank}", None, log, told=128 - status if status > 128 else status)


def _rank(command: Sequence[str], environment: Any, rank: int, logs: str) -> Any:
    return start(command, environment, f"rank {rank}", os.path.join(logs, f"{rank}.log") if rank else None)


def _need_horovod() -> None:
    try:
        import horovod.runner  # noqa: F401
    except ImportError as error:
        raise GluonFRError(
            "Horovod is not installed; `gluonfr doctor` prints the commands that build it; or use sync='ps', which does not "
            "need it."
        ) from error


def _free_port() -> Any:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
