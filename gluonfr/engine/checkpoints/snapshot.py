"""All that a run needs to go on, as arrays: taken from a step in no time, and put back into one."""

from __future__ import annotations

import logging
import os
import re

import numpy as np
from mxnet import nd

from gluonfr.core import GluonFRError
from gluonfr.core.mxnet_internals import optimizer_states, parameters_by_path, start_optimizer
from gluonfr.engine.checkpoints.files import Memory, read

logger = logging.getLogger(__name__)

_CLASSES = re.compile(r"classes(\d+)_(.+)\.npy$")


def take(step, average=None, memory=None):
    """Copies of everything that training changes.

    Running statistics differ from device to device, so they are taken of each.

    Parameters
    ----------
    step : TrainStep
    average : WeightAverage, optional
    memory : Memory, optional
        What an earlier call made in it is overwritten, so nobody may be writing that any more; new memory by default.

    Returns
    -------
    arrays : dict
        What `Checkpoints.save` takes; of rank 0 what all share, of every rank what it has alone.
    meta : dict
    """
    nd.waitall()
    copy = (memory or Memory()).copy
    rank, scale = step.group.rank, {} if step.loss_scale is None else {"loss_scale": step.loss_scale.state()}
    arrays = {f"statistics{rank}": {name: copy(name, each) for name, each in _statistics(step)}}
    if rank == 0:
        arrays["parameters"] = {name: copy(name, p.list_data()[0]) for name, p in _shared(step) if p.grad_req != "null"}
        arrays["optimizer"] = {name: copy(f"optimizer.{name}", each) for name, each in optimizer_states(step.trainer)}
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
    meta = {"devices": len(step.contexts), "ranks": step.group.size, "average": average is not None, "updates": step.updates}
    return arrays, {**meta, "classifier": "sharded" if step.own else "plain", **scale}


def put_back(path, meta, step, average=None) -> None:
    """Bring a step to where it was when `take` was called; devices and ranks may be others than then.

    Raises
    ------
    GluonFRError
        The checkpoint is of another network or class count, or with another kind of averaging.
    """
    if meta["average"] != (average is not None):
        kind = "with" if meta["average"] else "without"
        raise GluonFRError(f"{path} was written {kind} weight averaging; resume with the same options.")
    shared = dict(_shared(step))
    stored = read(path, "parameters")
    _compare(path, stored, {name: p for name, p in shared.items() if p.grad_req != "null"})
    for name, array in stored.items():
        shared[name].set_data(nd.array(array, dtype=array.dtype))
    _put_statistics(path, meta, step)
    _put_states(path, step.trainer, read(path, "optimizer"), meta["updates"])
    for trainer, shard in zip(step.own_trainers, step.head.shards):
        _put_classes(path, trainer, shard, step.head.classes, meta["updates"])
    if average is not None:
        average.restore(read(path, "average"))
    if step.loss_scale is not None:
        step.loss_scale.restore(meta["loss_scale"])
    step.step_number, step.updates = meta["step"], meta["updates"]
    nd.waitall()


def _shared(step):
    """Name and parameter of what is on every device: the network and what the head has beside its classes."""
    for part, block in (("net", step.net), ("head", step.head)):
        for name, parameter in parameters_by_path(block).items():
            yield f"{part}.{name}", parameter


def _statistics(step):
    for name, parameter in _shared(step):
        if parameter.grad_req == "null":
            for device, array in enumerate(parameter.list_data()):
                yield f"{name}|{device}", array


def _compare(path, stored, here) -> None:
    different = [name for name in sorted(set(stored) | set(here)) if name not in stored or name not in here]
    different += [name for name in here if name in stored and tuple(here[name].shape) != stored[name].shape]
    if different:
        raise GluonFRError(
            f"{path} belongs to another network or class count: {different[0]} differs; start with another --out."
        )


def _put_statistics(path, meta, step) -> None:
    devices, ranks = len(step.contexts), step.group.size
    same = (meta["devices"], meta["ranks"]) == (devices, ranks)
    if not same:
        logger.warning(
            "%s was written on %d devices of %d processes, this run has %d of %d: it goes on from the mean of their running "
            "statistics, and not bit for bit",
            path,
            meta["devices"],
            meta["ranks"],
            devices,
            ranks,
        )
    stored = [read(path, f"statistics{rank}") for rank in ([step.group.rank] if same else range(meta["ranks"]))]
    for name, parameter in _shared(step):
        if parameter.grad_req == "null":
            for device, array in enumerate(parameter.list_data()):
                wanted = [each[f"{name}|{k}"] for each in stored for k in ([device] if same else range(meta["devices"]))]
                value = wanted[0] if same else np.mean(wanted, axis=0, dtype=np.float64).astype(wanted[0].dtype)
                array[:] = nd.array(value, ctx=array.context, dtype=value.dtype)


def _put_states(path, trainer, stored, updates) -> None:
    for name, array in start_optimizer(trainer, updates):
        _fill(path, array, stored.get(name))


def _fill(path, array, value) -> None:
    if value is None or tuple(value.shape) != array.shape:
        raise GluonFRError(f"{path} belongs to another optimizer; resume with the same options.")
    array[:] = nd.array(value, ctx=array.context, dtype=value.dtype)


def _put_classes(path, trainer, shard, classes, updates) -> None:
    stored = {}
    for place, parameter in enumerate(shard.own_parameters):
        name = parameter.name.split("_", 1)[1]
        parameter.set_data(nd.array(_rows(path, name, shard, parameter, classes)))
        number = 0
        while _parts(path, f"{name}.state{number}"):
            stored[f"{place}|state{number}"] = _rows(path, f"{name}.state{number}", shard, parameter, classes)
            number += 1
    _put_states(path, trainer, stored, updates)


def _rows(path, name, shard, parameter, classes):
    """A shard's rows of an array, from the parts in which it was stored, which may begin and end elsewhere."""
    parts, width = _parts(path, name), parameter.shape[0] // shard.classes
    ends = [first * width + len(part) for first, part in parts]
    if not parts or ends != [first * width for first, _ in parts[1:]] + [classes * width]:
        raise GluonFRError(f"{path} belongs to another class count than {classes}; start with another --out.")
    begin, end = shard.first * width, shard.first * width + parameter.shape[0]
    wanted = [part[max(0, begin - first * width) : max(0, end - first * width)] for first, part in parts]
    rows = np.concatenate([each for each in wanted if len(each)])
    if rows.shape != tuple(parameter.shape):
        raise GluonFRError(f"{path} belongs to another embedding size; start with another --out.")
    return rows


def _parts(path, name):
    """First class and array of each part of the classifier that was stored, ascending."""
    found = (_CLASSES.match(each) for each in os.listdir(path))
    firsts = sorted(int(each.group(1)) for each in found if each and each.group(2) == name)
    return [(first, read(path, f"classes{first}_{name}")) for first in firsts]
