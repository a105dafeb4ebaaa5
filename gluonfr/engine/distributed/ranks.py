"""How a process takes part in a run as a rank."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from mxnet.base import MXNetError

from gluonfr.core import GluonFRError, describe_os_error
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.distributed.start_methods import ENDED_WITH_ANOTHER, LOGS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Sequence

# Errors of files that a restart does not fix.
_LASTING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.EFBIG)


def is_rank() -> bool:
    """Return whether a launcher started this process as one of several.

    Examples
    --------
    >>> is_rank()
    False
    """
    return "HOROVOD_SIZE" in os.environ or os.environ.get("DMLC_ROLE") == "worker"


def make_group() -> Group:
    """Return the group of this process according to its environment: Horovod, ps-lite, or a group of one.

    Raises
    ------
    GluonFRError
        The launcher cannot be reached, or Horovod does not work here.

    Examples
    --------
    >>> make_group().size
    1
    """
    if not is_rank():
        return Group()
    _redirect()
    if "HOROVOD_SIZE" in os.environ:
        from gluonfr.engine.distributed.horovod_group import HorovodGroup

        return HorovodGroup()
    from gluonfr.engine.distributed.ps_group import PsGroup

    return PsGroup()


@contextlib.contextmanager
def joined(name: str = "gluonfr train") -> Iterator[Any]:
    """Join the group of this process for the time of the block.

    A rank that fails prints the reason as the command `name` and exits at once, because an orderly end would wait for the
    other ranks, which wait for this one.

    Examples
    --------
    >>> with joined() as group:
    ...     group.rank
    0
    """
    group = make_group()
    if group.size == 1:
        yield group
        return
    try:
        yield group
        group.close()
    except GluonFRError as error:
        _leave(f"{name}: {error}", 2)
    except OSError as error:
        if error.errno in _LASTING:
            _leave(f"{name}: rank {group.rank}: {describe_os_error(error)}", 2)
        _leave(traceback.format_exc(), 1)
    except MXNetError as error:
        if "Horovod has been shut down" in str(error):
            _leave(f"{name}: rank {group.rank} ends, because another one ended or cannot be reached.", ENDED_WITH_ANOTHER)
        _leave(traceback.format_exc(), 1)
    except BaseException:
        _leave(traceback.format_exc(), 1)


def own_gpus(gpus: Sequence[int]) -> Any:
    """Return the GPU of this rank among those of the machine; all GPUs when this process is not a rank.

    Examples
    --------
    >>> own_gpus((0, 1))
    (0, 1)
    """
    local = int(os.environ.get("HOROVOD_LOCAL_RANK", os.environ.get("DMLC_WORKER_ID", 0)))
    return gpus[local : local + 1] if is_rank() and len(gpus) > 1 else gpus


def _leave(message: str, status: Any) -> None:
    try:
        print(message, file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        # Also where printing fails because the disk of the log is full.
        os._exit(status)


def _redirect() -> None:
    """Redirect the output of all ranks except 0 to files, because all share the terminal under `horovodrun`."""
    folder, rank = os.environ.get(LOGS), os.environ.get("HOROVOD_RANK", "0")
    if folder and rank != "0":
        os.makedirs(folder, exist_ok=True)
        file = os.open(os.path.join(folder, f"{rank}.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        for number in (1, 2):
            os.dup2(file, number)
