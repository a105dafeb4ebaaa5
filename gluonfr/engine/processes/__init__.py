"""Several processes and machines that train together: groups of ranks, and the launcher that owns them."""

import os

from gluonfr.engine.group import Group
from gluonfr.engine.processes.hosts import parse_hosts
from gluonfr.engine.processes.launcher import HANG_TIMEOUT, Outcome, launch
from gluonfr.engine.processes.starts import LOGS

__all__ = ["HANG_TIMEOUT", "Group", "Outcome", "is_rank", "launch", "make_group", "own_gpus", "parse_hosts"]


def is_rank():
    """Whether a launcher started this process as one of several."""
    return "HOROVOD_SIZE" in os.environ or os.environ.get("DMLC_ROLE") == "worker"


def make_group():
    """The group that this process was started in, as its environment has it: on Horovod, on ps-lite, or alone.

    Raises
    ------
    GluonFRError
        The launcher or the other ranks cannot be reached.
    """
    if not is_rank():
        return Group()
    _redirect()
    if "HOROVOD_SIZE" in os.environ:
        from gluonfr.engine.processes.horovod_group import HorovodGroup

        return HorovodGroup()
    from gluonfr.engine.processes.ps_group import PsGroup

    return PsGroup()


def own_gpus(gpus):
    """This rank's part of the GPUs that were given for the ranks of a machine: its own one, or what all share."""
    local = int(os.environ.get("HOROVOD_LOCAL_RANK", os.environ.get("DMLC_WORKER_ID", 0)))
    return gpus[local : local + 1] if is_rank() and len(gpus) > 1 else gpus


def _redirect():
    """Under `horovodrun` all ranks share the terminal: all but rank 0 write to files of their own instead."""
    folder, rank = os.environ.get(LOGS), os.environ.get("HOROVOD_RANK", "0")
    if folder and rank != "0":
        os.makedirs(folder, exist_ok=True)
        file = os.open(os.path.join(folder, f"{rank}.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        for number in (1, 2):
            os.dup2(file, number)
