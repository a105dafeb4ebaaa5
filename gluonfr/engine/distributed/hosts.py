"""The machines of a run, checked before processes are started on them."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gluonfr import version
from gluonfr.core import GluonFRError

# Seconds that ssh has to connect, and for all that it does.
_PATIENCE, _LIMIT = 5, 20


def parse_hosts(text: str) -> Any:
    """Parse 'a:4,b:4' as [('a', 4), ('b', 4)]; a host without a number has one process.

    Raises
    ------
    GluonFRError
        Something else, or a host twice.

    Examples
    --------
    >>> parse_hosts("a:4,b")
    [('a', 4), ('b', 1)]
    """
    hosts = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*([A-Za-z0-9._-]+)(?::([1-9][0-9]{0,3}))?\s*", part)
        if not found:
            raise GluonFRError(f"hosts={text}: {part!r} is not NAME:PROCESSES, such as a:4,b:4.")
        hosts.append((found.group(1), int(found.group(2) or 1)))
    names = [name for name, _ in hosts]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise GluonFRError(f"hosts={text}: {twice} is listed twice; list it once, with all its processes.")
    return hosts


def check_hosts(hosts: Any) -> None:
    """Check that every host has an address that others can use, and this Python and package; takes at most 20 s.

    Parameters
    ----------
    hosts : list of (name, processes)

    Raises
    ------
    GluonFRError
        With the first host of which that is not true.

    Examples
    --------
    >>> check_hosts([("a", 4), ("b", 4)])  # doctest: +SKIP
    """
    with ThreadPoolExecutor(len(hosts)) as pool:
        wrong = [problem for problem in pool.map(lambda host: _wrong(host[0]), hosts) if problem]
    if wrong:
        raise GluonFRError(wrong[0])
    if len(hosts) > 1:
        check_own_name()


def check_own_name() -> None:
    """Check that other machines can reach this one by its name, which must not resolve to a loopback address.

    Examples
    --------
    >>> check_own_name()  # doctest: +SKIP
    """
    name = socket.gethostname()
    address = _address(name)
    if address is None or address.startswith("127."):
        raise GluonFRError(
            f"this machine's name {name} resolves to {address or 'nothing'}, where other machines cannot reach it; give it its "
            "address of the network in /etc/hosts."
        )


def address_towards(host: str) -> str:
    """Return the address under which `host` sees this machine.

    Examples
    --------
    >>> address_towards("127.0.0.1")
    '127.0.0.1'
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Connecting a datagram socket chooses the address and sends nothing.
        probe.connect((socket.gethostbyname(host), 22))
        return probe.getsockname()[0]


def is_here(host: str) -> bool:
    """Return whether a host is this machine.

    Examples
    --------
    >>> is_here("127.0.0.1")
    True
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((socket.gethostbyname(host), 0))
        except OSError:
            return False
    return True


def _wrong(name: str) -> Any:
    address = _address(name)
    if address is None:
        return f"hosts: {name} cannot be resolved; add its name to DNS or /etc/hosts."
    if address.startswith("127."):
        return (
            f"hosts: {name} resolves to {address}, which only this machine can reach; put its network address into /etc/hosts, "
            "or train on this machine alone (workers=)."
        )
    if is_here(name):
        return None
    return _login_problem(name, address)


def _login_problem(name: str, address: str) -> str | None:
    """Return the problem when ssh cannot log in without a prompt, or this Python and package are missing there."""
    needed = [sys.executable, os.path.dirname(version.__file__)]
    question = " && ".join(f"test -e {shlex.quote(path)}" for path in needed)
    command = ["ssh"]
    # A control master would outlive the check and keep its output open.
    for option in ("BatchMode=yes", "StrictHostKeyChecking=no", "ControlMaster=no", f"ConnectTimeout={_PATIENCE}"):
        command += ["-o", option]
    host = f"hosts: {name} ({address})"
    try:
        asked = subprocess.run(
            [*command, name, question],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=_LIMIT,
        )
    except subprocess.TimeoutExpired:
        return f"{host} lets ssh wait for more than {_LIMIT} s; see to it there, or leave it out."
    except OSError as error:
        return f"hosts= needs ssh, which cannot be started here ({error.strerror}); install OpenSSH's client."
    if asked.returncode == 1:
        return f"{host} has no {' or no '.join(needed)}; install the package there at the same place as here."
    if asked.returncode:
        reason = (asked.stderr.decode("utf-8", "replace").strip().splitlines() or [f"status {asked.returncode}"])[-1]
        return f"{host} refuses ssh ({reason}); make `ssh {name} true` work without a prompt, or remove the host."
    return None


def _address(name: str) -> Any:
    try:
        return socket.gethostbyname(name)
    except OSError:
        return None
