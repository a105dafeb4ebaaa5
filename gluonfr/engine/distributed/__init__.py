"""Several processes and machines that train together: groups of ranks, and the launcher that owns them."""

from __future__ import annotations

from gluonfr.engine.distributed.agreement import check_agreement, check_devices
from gluonfr.engine.distributed.launcher import Outcome, launch, launch_training
from gluonfr.engine.distributed.ranks import is_rank, joined, make_group, own_gpus

__all__ = [
    "Outcome",
    "check_agreement",
    "check_devices",
    "is_rank",
    "joined",
    "launch",
    "launch_training",
    "make_group",
    "own_gpus",
]
