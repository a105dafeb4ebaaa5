"""`python parent_death.py PARENT COMMAND...` becomes COMMAND, which the kernel kills when the process PARENT ends.

A stopped process cannot react when its launcher is killed, but the kernel can. The program is run as a file, because it has to
start fast.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform.startswith("linux"):
        # The setting remains in effect after exec.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the launcher has ended")
    os.execvp(command[0], command)
