"""Training: options, step over devices, heads, learning rate, checkpoints, distributed runs."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gluonfr.core.compat import mxnet_problem, prepare_mxnet

# Before any module of this room imports MXNet; the help of the command line works without it.
if mxnet_problem() is None:
    prepare_mxnet()

if TYPE_CHECKING:
    from gluonfr.engine.detector.options import DetectorOptions as DetectorOptions
    from gluonfr.engine.detector.run import DetectorRun as DetectorRun
    from gluonfr.engine.detector.run import train_detector as train_detector
    from gluonfr.engine.distributed.group import Group as Group
    from gluonfr.engine.heads.plain import GatheringHead as GatheringHead
    from gluonfr.engine.heads.plain import PlainHead as PlainHead
    from gluonfr.engine.heads.plain import make_head as make_head
    from gluonfr.engine.heads.sharded import ShardedHead as ShardedHead
    from gluonfr.engine.lr_schedule import make_schedule as make_schedule
    from gluonfr.engine.options import TrainOptions as TrainOptions
    from gluonfr.engine.run import Run as Run
    from gluonfr.engine.run import train as train
    from gluonfr.engine.step import TrainStep as TrainStep
    from gluonfr.engine.step import recipe_multipliers as recipe_multipliers
    from gluonfr.engine.tracking.derived_options import options_from_run as options_from_run
    from gluonfr.engine.tracking.observer import TrainingObserver as TrainingObserver
    from gluonfr.engine.train_result import TrainResult as TrainResult
    from gluonfr.engine.validation import validate as validate
    from gluonfr.engine.weight_average import WeightAverage as WeightAverage

# Loaded on first use: the command line reads `options` before MXNet may be imported.
_MODULES = {
    "DetectorOptions": "detector.options",
    "DetectorRun": "detector.run",
    "GatheringHead": "heads.plain",
    "Group": "distributed.group",
    "PlainHead": "heads.plain",
    "Run": "run",
    "ShardedHead": "heads.sharded",
    "TrainOptions": "options",
    "TrainResult": "train_result",
    "TrainStep": "step",
    "TrainingObserver": "tracking.observer",
    "WeightAverage": "weight_average",
    "make_head": "heads.plain",
    "make_schedule": "lr_schedule",
    "options_from_run": "tracking.derived_options",
    "recipe_multipliers": "step",
    "train": "run",
    "train_detector": "detector.run",
    "validate": "validation",
}
__all__ = list(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
