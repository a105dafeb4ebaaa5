"""`python remote_watchdog.py COMMAND...` runs COMMAND as a rank on another machine.

The rank is killed when the launcher is gone or silent.

A stopped rank cannot end itself, and processes that ssh started continue after ssh has ended. The program is run as a file,
because it has to start fast.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

_PARENT_DEATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "parent_death.py")


def _follow(child: Any) -> None:
    address = os.environ["GLUONFR_HEARTBEAT_ADDRESS"]
    host, _, port = address.rpartition(":")
    timeout = float(os.environ["GLUONFR_HEARTBEAT_TIMEOUT"])
    try:
        with socket.create_connection((host, int(port)), min(timeout, 30)) as connection:
            connection.settimeout(timeout)
            # -1: this is not the rank, which reports its progress itself.
            connection.sendall(f"{os.environ['GLUONFR_HEARTBEAT_TOKEN']} -1\n".encode("ascii"))
            while True:
                connection.sendall(b"0\n")
                if not connection.recv(1):
                    break
                time.sleep(min(1.0, timeout / 10))
        why = "has ended"
    except OSError as error:
        why = f"cannot be reached ({error})"
    # Before printing, because nothing may read the output any more.
    child.kill()
    print(f"{socket.gethostname()}: the launcher at {address} {why}.", file=sys.stderr, flush=True)


if __name__ == "__main__":
    rank = subprocess.Popen([sys.executable, "-E", "-S", _PARENT_DEATH, str(os.getpid()), *sys.argv[1:]])
    threading.Thread(target=_follow, args=(rank,), daemon=True).start()
    status = rank.wait()
    sys.exit(status if status >= 0 else 128 - status)
