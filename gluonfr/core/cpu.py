"""Settings that make MXNet fast on CPUs; see docs/cpu.md."""

from __future__ import annotations

import os
import sys

_THREADS = "MXNET_OMP_MAX_THREADS"
_threads_are_ours = False


def cores() -> int:
    """Return the number of cores that this process may use.

    Examples
    --------
    >>> cores() >= 1
    True
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_info() -> dict[str, str]:
    """Return what Linux tells about the first CPU in /proc/cpuinfo, such as 'model name' and 'flags'; empty elsewhere.

    Examples
    --------
    >>> isinstance(cpu_info(), dict)
    True
    """
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            lines = file.read().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def tune_cpu() -> None:
    """Set the environment variables that make MXNet fast on CPUs, before MXNet is loaded.

    Rooms that use MXNet call this before they import it. Call it yourself where your program imports MXNet first. Variables
    that are set already are not changed, ``GLUONFR_TUNE=0`` turns the function off, and it has no effect once MXNet is loaded.

    Examples
    --------
    >>> tune_cpu()
    """
    global _threads_are_ours
    if "mxnet" in sys.modules or _is_off():
        return
    # MXNet uses half of the cores, on the assumption that the others are hyperthreads; on virtual machines they are not.
    # OMP_NUM_THREADS would have the same effect but slows down the forked workers of a DataLoader.
    if not _threads_are_chosen():
        os.environ[_THREADS] = str(cores())
        _threads_are_ours = True
    # libgomp puts idle threads to sleep after about a hundred checks when several engine threads have teams of their own, and
    # waking them takes longer than most layers of a small network: a single image takes up to five times as long. With an
    # active policy they check longer; the second number bounds the time that an idle thread wastes.
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ.update({"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "10000"})


def share_cores(devices: int) -> None:
    """Divide the cores among several CPU contexts of this process, before MXNet is loaded.

    With more threads than cores, threads wait for others that do not run, which is several times slower. Variables of the user
    are not changed.

    Parameters
    ----------
    devices : int
        Number of CPU contexts.

    Examples
    --------
    >>> share_cores(2)
    """
    global _threads_are_ours
    if "mxnet" not in sys.modules:
        environment = environment_for_processes(devices)
        os.environ.update(environment)
        _threads_are_ours = _threads_are_ours or bool(environment)


def environment_for_processes(processes: int) -> dict[str, str]:
    """Return the environment variables for each of several processes that share the cores.

    The dict is empty where the user has set the number of threads, or has turned the tuning off.

    Parameters
    ----------
    processes : int
        Number of processes.

    Examples
    --------
    >>> set(environment_for_processes(2)) <= {"MXNET_OMP_MAX_THREADS"}
    True
    """
    if _is_off() or (_threads_are_chosen() and not _threads_are_ours):
        return {}
    return {_THREADS: str(max(1, cores() // max(1, processes)))}


def _is_off() -> bool:
    return os.environ.get("GLUONFR_TUNE") == "0"


def _threads_are_chosen() -> bool:
    return "OMP_NUM_THREADS" in os.environ or _THREADS in os.environ
