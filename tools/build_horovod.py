"""Build Horovod for the MXNet of this Python, unless it works already: `python tools/build_horovod.py`."""

import os
import subprocess
import sys

from gluonfr.apps.doctor import build_commands

_CHECK = "import gluonfr; from gluonfr.engine.distributed.horovod_group import load_horovod; load_horovod()"


def works():
    """Return whether Horovod works in another process; this one would not find a package that was just installed."""
    return subprocess.run([sys.executable, "-c", _CHECK], stderr=subprocess.DEVNULL).returncode == 0


if __name__ == "__main__":
    if not works():
        # Inherited from a calling make, these variables would limit the build to one core.
        environment = {
            name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES")
        }
        for line in build_commands():
            print(line, flush=True)
            subprocess.run(line, shell=True, check=True, env=environment)
        if not works():
            sys.exit("Horovod was built and does not work; `gluonfr doctor` says why.")
