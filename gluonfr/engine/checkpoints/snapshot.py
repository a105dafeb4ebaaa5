"""The state of a run as arrays: copied from a training step, and restored into one."""

from __future__ import annotations

import logging
import os
import re
from typing import Any, Iterator, Mapping, Sequence

import numpy as np
from mxnet import gluon, nd

from gluonfr.core import DataError, UsageError
from gluonfr.core.mxnet_internals import optimizer_states, parameters_by_path, start_optimizer
from gluonfr.engine.checkpoints.format import read_arrays
from gluonfr.engine.checkpoints.meta import check_meta
from gluonfr.engine.checkpoints.writer import ArrayCache
from gluonfr.engine.heads.class_shard import ClassShard
from gluonfr.engine.step import TrainStep
from gluonfr.engine.weight_average import WeightAverage

logger = logging.getLogger(__name__)

_CLASSES = re.compile(r"classes(\d+)_(.+)\.npy$")


def take_snapshot(
    step: TrainStep, average: WeightAverage | None = None, cache: ArrayCache | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return copies of everything that training changes.

    Running statistics are stored for every device, because they differ between devices.

    Parameters
    ----------
    step : TrainStep
    average : WeightAverage, optional
    cache : ArrayCache, optional
        Memory for the copies; what an earlier call copied there is overwritten. By default new memory.

    Returns
    -------
    arrays : dict
        For `CheckpointManager.save`: what all ranks share, on rank 0, and what a rank has alone, on every rank.
    meta : dict

    Examples
    --------
    >>> arrays, meta = take_snapshot(step)  # doctest: +SKIP
    """
    nd.waitall()
    copy = (cache or ArrayCache()).copy
    rank = step.group.rank
    arrays: dict[str, Any] = {f"statistics{rank}": {name: copy(name, array) for name, array in _statistics(step)}}
    if rank == 0:
        arrays["parameters"] = {name: copy(name, p.list_data()[0]) for name, p in _shared(step) if p.grad_req != "null"}
        arrays["optimizer"] = {name: copy(f"optimizer.{name}", state) for name, state in optimizer_states(step.trainer)}
        if average is not None:
            arrays["average"] = average.state(copy)
    for trainer, parameters in zip(step.own_trainers, step.head.own_parameters):
        states = dict(optimizer_states(trainer))
        for place, parameter in enumerate(parameters):
            arrays[parameter.name] = copy(parameter.name, parameter.list_data()[0])
            for key, state in states.items():
                if key.startswith(f"{place}|"):
                    name = f"{parameter.name}.{key.split('|')[1]}"
                    arrays[name] = copy(name, state)
    meta = {
        "devices": len(step.contexts),
        "ranks": step.group.size,
        "average": average is not None,
        "updates": step.updates,
        "classifier": "sharded" if step.own else "plain",
    }
    if step.loss_scale is not None:
        meta["loss_scale"] = step.loss_scale.state()
    return arrays, meta


def restore_snapshot(path: str, meta: Mapping[str, Any], step: TrainStep, average: WeightAverage | None = None) -> None:
    """Restore a training step from the checkpoint at `path`; the number of devices and ranks may differ.

    Raises
    ------
    DataError
        The checkpoint is of another network, optimizer or number of classes, or its meta is invalid.
    UsageError
        It was written with weight averaging and the run has none, or the other way around.

    Examples
    --------
    >>> path, meta = checkpoints.latest()  # doctest: +SKIP
    >>> restore_snapshot(path, meta, step)  # doctest: +SKIP
    """
    check_meta(path, meta, step.loss_scale is not None)
    if meta["average"] != (average is not None):
        kind = "with" if meta["average"] else "without"
        raise UsageError(f"{path} was written {kind} weight averaging (average=); resume with the same options.")
    shared = dict(_shared(step))
    stored = read_arrays(path, "parameters")
    _check_parameters(path, stored, {name: p for name, p in shared.items() if p.grad_req != "null"})
    for name, array in stored.items():
        shared[name].set_data(nd.array(array, dtype=array.dtype))
    _restore_statistics(path, meta, step)
    _restore_optimizer(path, step.trainer, read_arrays(path, "optimizer"), meta["updates"])
    for trainer, shard in zip(step.own_trainers, step.head.shards):
        _restore_classes(path, trainer, shard, step.head.classes, meta["updates"])
    if average is not None:
        stored = read_arrays(path, "average")
        for name, array in average.state(lambda _, array: array).items():
            _stored(path, stored, name, array.shape)
        average.restore(stored)
    if step.loss_scale is not None:
        step.loss_scale.restore(meta["loss_scale"])
    step.step_number, step.updates = meta["step"], meta["updates"]
    nd.waitall()


def _shared(step: TrainStep) -> Iterator[tuple[str, gluon.Parameter]]:
    """Iterate over the parameters that are on every device: those of the network, and of the head without its classes."""
    for part, block in (("net", step.net), ("head", step.head), ("distiller", step.distiller)):
        if block is None:
            continue
        parameters = block.shared_parameters() if hasattr(block, "shared_parameters") else parameters_by_path(block)
        for name, parameter in parameters.items():
            yield f"{part}.{name}", parameter


def _statistics(step: TrainStep) -> Iterator[tuple[str, Any]]:
    for name, parameter in _shared(step):
        if parameter.grad_req == "null":
            for device, array in enumerate(parameter.list_data()):
                yield f"{name}|{device}", array


def _check_parameters(path: str, stored: Mapping[str, np.ndarray], here: Mapping[str, gluon.Parameter]) -> None:
    different = [name for name in sorted(set(stored) | set(here)) if name not in stored or name not in here]
    different += [name for name in here if name in stored and tuple(here[name].shape) != stored[name].shape]
    if different:
        raise DataError(
            f"{path} is of another network or number of classes: {different[0]} differs; start in another folder (out=)."
        )


def _restore_statistics(path: str, meta: Mapping[str, Any], step: TrainStep) -> None:
    devices, ranks = len(step.contexts), step.group.size
    same = (meta["devices"], meta["ranks"]) == (devices, ranks)
    if not same:
        logger.warning(
            "%s was written on %d devices of %d processes, this run has %d of %d: it resumes with the mean of their running "
            "statistics, which is not bit-exact",
            path,
            meta["devices"],
            meta["ranks"],
            devices,
            ranks,
        )
    stored = [read_arrays(path, f"statistics{rank}") for rank in ([step.group.rank] if same else range(meta["ranks"]))]
    for name, parameter in _shared(step):
        if parameter.grad_req == "null":
            for device, array in enumerate(parameter.list_data()):
                devices_of = [device] if same else range(meta["devices"])
                values = [_stored(path, part, f"{name}|{k}", array.shape) for part in stored for k in devices_of]
                value = values[0] if same else np.mean(values, axis=0, dtype=np.float64).astype(values[0].dtype)
                array[:] = nd.array(value, ctx=array.context, dtype=value.dtype)


def _stored(path: str, arrays: Mapping[str, np.ndarray], name: str, shape: Sequence[int]) -> np.ndarray:
    array = arrays.get(name)
    if array is None or array.shape != tuple(shape):
        raise DataError(
            f"{path} is of another network: {name} is missing or has another shape; start in another folder (out=)."
        )
    return array


def _restore_optimizer(path: str, trainer: gluon.Trainer, stored: Mapping[str, np.ndarray], updates: int) -> None:
    for name, array in start_optimizer(trainer, updates):
        value = stored.get(name)
        if value is None or tuple(value.shape) != array.shape:
            raise DataError(f"{path} is of another optimizer; resume with the same options.")
        array[:] = nd.array(value, ctx=array.context, dtype=value.dtype)


def _restore_classes(path: str, trainer: gluon.Trainer, shard: ClassShard, classes: int, updates: int) -> None:
    stored = {}
    for place, parameter in enumerate(shard.own_parameters):
        name = parameter.name.split("_", 1)[1]
        parameter.set_data(nd.array(_read_rows(path, name, shard, parameter.shape, classes)))
        number = 0
        while _stored_parts(path, f"{name}.state{number}"):
            stored[f"{place}|state{number}"] = _read_rows(path, f"{name}.state{number}", shard, parameter.shape, classes)
            number += 1
    _restore_optimizer(path, trainer, stored, updates)


def _read_rows(path: str, name: str, shard: ClassShard, shape: Sequence[int], classes: int) -> np.ndarray:
    """Return a shard's rows of an array from the stored parts, which may begin and end at other classes."""
    parts, width = _stored_parts(path, name), shape[0] // shard.classes
    if any(part.shape[1:] != tuple(shape[1:]) or not part.ndim for _, part in parts):
        raise DataError(f"{path} is of another embedding size; start in another folder (out=).")
    ends = [first * width + len(part) for first, part in parts]
    if not parts or ends != [first * width for first, _ in parts[1:]] + [classes * width]:
        raise DataError(f"{path} is of another number of classes than {classes}; start in another folder (out=).")
    begin, end = shard.first * width, shard.first * width + shape[0]
    pieces = [part[max(0, begin - first * width) : max(0, end - first * width)] for first, part in parts]
    return np.concatenate([piece for piece in pieces if len(piece)])


def _stored_parts(path: str, name: str) -> list[tuple[int, np.ndarray]]:
    """Return first class and array of every stored part of the classifier, ascending."""
    matches = (_CLASSES.match(file) for file in os.listdir(path))
    firsts = sorted(int(match.group(1)) for match in matches if match and match.group(2) == name)
    return [(first, read_arrays(path, f"classes{first}_{name}")) for first in firsts]
