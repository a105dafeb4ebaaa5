"""One training run: step over devices, schedule, validation, checkpoints, log."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.engine.average import WeightAverage
from gluonfr.engine.contexts import devices
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.heads.plain import GatheringHead, PlainHead, make_head
from gluonfr.engine.heads.sharded import ShardedHead
from gluonfr.engine.options import TrainOptions
from gluonfr.engine.run import Run, TrainResult, train
from gluonfr.engine.schedule import make_schedule
from gluonfr.engine.step import TrainStep, recipe_multipliers
from gluonfr.engine.validate import validate

__all__ = [
    "GatheringHead",
    "Group",
    "PlainHead",
    "Run",
    "ShardedHead",
    "TrainOptions",
    "TrainResult",
    "TrainStep",
    "WeightAverage",
    "devices",
    "make_head",
    "make_schedule",
    "recipe_multipliers",
    "train",
    "validate",
]
