"""Heartbeat between launcher and ranks: one line per second over TCP, the same on one machine and on many."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import socketserver
import threading
import time
from typing import Any

from gluonfr.core import GluonFRError

_ADDRESS, _TOKEN, _TIMEOUT, _RANK = (f"GLUONFR_HEARTBEAT_{name}" for name in ("ADDRESS", "TOKEN", "TIMEOUT", "RANK"))


_GOOD, _STOP = b"+", b"-"


def _interval(timeout: float) -> float:
    return min(1.0, timeout / 10)


class HeartbeatServer(socketserver.ThreadingTCPServer):
    """Server of the launcher: records which ranks are connected and when each made progress.

    Parameters
    ----------
    ranks : int
    timeout : float
        A rank without a heartbeat for this many seconds is lost; ranks without progress for this many seconds are stuck.
    start_timeout : float
        Seconds in which all ranks have to start and connect to each other.
    address : str, default '127.0.0.1'
        Address of this machine at which the ranks can reach it.

    Examples
    --------
    >>> with HeartbeatServer(ranks=2, timeout=10, start_timeout=60) as server:
    ...     server.stuck() is None
    True
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, ranks: int, timeout: float, start_timeout: float, address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), _Listener)
        self.ranks, self.token = ranks, secrets.token_hex(16)
        self.timeout: float = timeout
        self._start_timeout, self._began = start_timeout, time.monotonic()
        self._lock = threading.Lock()
        self._open: set[Any] = set()
        self._beats: dict[int, int] = {}
        self._heard: dict[int, float] = {}
        self._gone: set[int] = set()
        # There is no progress before all ranks are connected.
        self._moved: float | None = None
        # The answer to every heartbeat of a rank.
        self.answer = _GOOD
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    def environment(self) -> dict[str, str]:
        """Return the environment variables of a rank, except its number, which `rank_environment` or Horovod sets."""
        return {_ADDRESS: ":".join(map(str, self.server_address[:2])), _TOKEN: self.token, _TIMEOUT: str(self.timeout)}

    def record_beats(self, rank: int, beats: int) -> None:
        """Record how many exchanges a rank has finished; negative ranks are watchdogs on other machines."""
        if rank < 0:
            return
        with self._lock:
            now = self._heard[rank] = time.monotonic()
            if self._beats.get(rank, 0) != beats:
                self._beats[rank], self._moved = beats, now

    def add_connection(self, connection: Any) -> None:
        """Record a connection."""
        with self._lock:
            self._open.add(connection)

    def remove_connection(self, connection: Any, rank: int) -> None:
        """Record that a connection ended; `rank` is given when the rank ended in an orderly way."""
        with self._lock:
            self._open.discard(connection)
            if rank is not None and rank >= 0:
                self._gone.add(rank)

    def stuck(self) -> tuple[int | None, str] | None:
        """Return (rank or None, description of the problem) when ranks make no progress, else None."""
        with self._lock:
            now = time.monotonic()
            for rank, heard in sorted(self._heard.items()):
                if rank not in self._gone and now - heard > self.timeout:
                    return (
                        rank,
                        f"no heartbeat of rank {rank} for {self.timeout:g} s: it is stopped, or its machine or link is down",
                    )
            if self._moved is not None:
                return (None, f"no rank made progress for {self.timeout:g} s") if now - self._moved > self.timeout else None
            if now - self._began <= self._start_timeout:
                return None
            missing = [rank for rank in range(self.ranks) if rank not in self._heard]
            if missing:
                return missing[0], f"rank {missing[0]} did not start within {self._start_timeout:g} s"
            return None, f"the ranks did not connect to each other within {self._start_timeout:g} s"

    def stop_all(self) -> None:
        """Ask the ranks on all machines to stop, as SIGTERM does; ranks that connect later are asked too."""
        self.answer = _STOP

    def end(self) -> None:
        """End the connections, which ends the ranks on all machines."""
        self.shutdown()
        self.server_close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        self.end()


class _Listener(socketserver.StreamRequestHandler):
    """One connection: `token rank`, then one number per line; each line gets an answer."""

    def handle(self) -> None:
        server: Any = self.server
        rank: int | None = None
        self.connection.settimeout(server.timeout)
        server.add_connection(self.connection)
        try:
            token, number = self.rfile.readline(100).decode("ascii").split()
            if not secrets.compare_digest(token, server.token):
                return
            rank = int(number)
            for line in iter(lambda: self.rfile.readline(100), b""):
                server.record_beats(rank, int(line))
                self.connection.sendall(server.answer)
        except socket.timeout:
            # The rank did not end in an orderly way: it counts as silent.
            rank = None
        except (OSError, ValueError):
            pass
        finally:
            server.remove_connection(self.connection, rank)


class HeartbeatClient:
    """Client of a rank: `beat` reports progress.

    When the launcher has ended, or is silent for the timeout, this process ends at once, whatever it is waiting for.

    Examples
    --------
    >>> HeartbeatClient(rank=0).beat()  # doctest: +SKIP
    """

    def __init__(self, rank: int) -> None:
        self.beats = 0
        host, port = os.environ[_ADDRESS].rsplit(":", 1)
        self._timeout = float(os.environ[_TIMEOUT])
        try:
            self._connection = socket.create_connection((host, int(port)), min(self._timeout, 30))
            self._connection.settimeout(self._timeout)
            self._connection.sendall(f"{os.environ[_TOKEN]} {rank}\n".encode("ascii"))
        except OSError as error:
            raise GluonFRError(
                f"rank {rank} cannot reach the launcher at {host}:{port} ({error}); check the network."
            ) from error
        threading.Thread(target=self._talk, daemon=True).start()

    def beat(self) -> None:
        """Report progress."""
        self.beats += 1

    def _talk(self) -> None:
        why, stopped = "the launcher ended the run, or has ended itself", False
        try:
            while True:
                self._connection.sendall(b"%d\n" % self.beats)
                answer = self._connection.recv(1)
                if not answer:
                    break
                if answer == _STOP and not stopped:
                    stopped = True
                    os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(_interval(self._timeout))
        except socket.timeout:
            why = f"no answer of the launcher for {self._timeout:g} s"
        except OSError:
            pass
        with contextlib.suppress(OSError):
            # The reader of the output may have stopped, and this must not wait for it.
            os.set_blocking(2, False)
            os.write(2, f"this rank ends, because {why}.\n".encode())
        os._exit(1)


_heartbeat: HeartbeatClient | None = None


def rank_environment(rank: int) -> dict[str, str]:
    """Return the environment variable with the number of a rank, where no library sets one.

    Examples
    --------
    >>> list(rank_environment(1).values())
    ['1']
    """
    return {_RANK: str(rank)}


def heartbeat_client() -> HeartbeatClient | None:
    """Return the `HeartbeatClient` of this rank, started on first use; None without a launcher.

    Examples
    --------
    >>> heartbeat_client() is None
    True
    """
    global _heartbeat
    if _heartbeat is None and _ADDRESS in os.environ:
        rank = next(os.environ[name] for name in (_RANK, "HOROVOD_RANK") if name in os.environ)
        _heartbeat = HeartbeatClient(int(rank))
    return _heartbeat
