"""The moving average of a network's weights, and the mean of running statistics over devices and processes."""

from __future__ import annotations

from contextlib import AbstractContextManager, contextmanager
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from mxnet import nd
from mxnet.gluon import HybridBlock, Parameter

from gluonfr.engine.distributed.group import Group


def _means(parameters: Sequence[Parameter], group: Group) -> list[Any]:
    """Return the mean of each parameter over the devices of all processes, on the first device of this one."""
    means = [_mean(parameter) for parameter in parameters]
    if group.size > 1:
        means = [mean.copy() if mean is p.list_data()[0] else mean for mean, p in zip(means, parameters)]
        group.sum_gradients(means)
        means = [mean / group.size for mean in means]
    return means


def _mean(parameter: Parameter) -> Any:
    first, *others = parameter.list_data()
    if not others:
        return first
    return sum((array.as_in_context(first.context) for array in others), first) / (1 + len(others))


@contextmanager
def _replaced(parameters: Sequence[Parameter], values: Iterable[Any]) -> Iterator[None]:
    """Set the parameters to these values on all devices for the time of the block."""
    # Running statistics are written without the engine's knowledge, so the devices must be idle when they are accessed.
    nd.waitall()
    own = [[array.copy() for array in parameter.list_data()] for parameter in parameters]
    for parameter, value in zip(parameters, values):
        parameter.set_data(value)
    nd.waitall()
    try:
        yield
    finally:
        nd.waitall()
        for copies, parameter in zip(own, parameters):
            for copy, array in zip(copies, parameter.list_data()):
                copy.copyto(array)
        nd.waitall()


def shared_statistics(net: HybridBlock, group: Group | None = None) -> AbstractContextManager[None]:
    """Return a context in which every device has the mean of the running statistics of all devices and processes.

    A saved network contains this mean. Otherwise the statistics of a network in training differ between its devices.

    Parameters
    ----------
    net : HybridBlock
    group : Group, optional
        Processes that train together.

    Examples
    --------
    >>> import mxnet as mx
    >>> net = mx.gluon.nn.BatchNorm(in_channels=1)
    >>> net.initialize(ctx=[mx.cpu(0), mx.cpu(1)])
    >>> net.running_mean.list_data()[1][:] = 2
    >>> with shared_statistics(net):
    ...     net.running_mean.data(mx.cpu(0)).asscalar()
    1.0
    """
    statistics = [p for p in net.collect_params().values() if p.grad_req == "null"]
    nd.waitall()
    return _replaced(statistics, _means(statistics, group or Group()))


class WeightAverage:
    """Exponential moving average of a network's parameters and running statistics.

    The averaged network usually verifies better than that of the last step, above all with few images and a high learning
    rate.

    Parameters
    ----------
    net : HybridBlock
        Initialized, with known shapes.
    decay : float, default 0.999
        Weight of the past per step. Step t uses at most (1 + t) / (10 + t), so that the average forgets the start.
    group : Group, optional
        Processes that train together; the average is over all of them.

    Examples
    --------
    >>> import mxnet as mx
    >>> net = mx.gluon.nn.Dense(1, in_units=1, use_bias=False)
    >>> net.initialize(mx.init.Zero())
    >>> average = WeightAverage(net, decay=0.5)
    >>> net.weight.set_data(nd.ones((1, 1)))
    >>> average.update()
    >>> with average.applied():
    ...     round(float(net.weight.data().asscalar()), 3)
    0.818
    """

    def __init__(self, net: HybridBlock, decay: float = 0.999, group: Group | None = None) -> None:
        self._group = group or Group()
        parameters = list(net.collect_params().values())
        self._weights = [p for p in parameters if p.grad_req != "null"]
        self._statistics = [p for p in parameters if p.grad_req == "null"]
        self._average = {p.name: p.list_data()[0].copy() for p in parameters}
        self.decay = decay
        self.steps = self._statistics_steps = 0

    def __repr__(self) -> str:
        return f"WeightAverage(decay={self.decay:g}, steps={self.steps})"

    def _blend(self, parameters: Sequence[Parameter], values: Sequence[Any], share: float) -> None:
        for parameter, value in zip(parameters, values):
            average = self._average[parameter.name]
            average += share * (value - average)

    def update(self) -> None:
        """Add the weights of the first device to the average; call it once per training step."""
        self.steps += 1
        self._blend(self._weights, [p.list_data()[0] for p in self._weights], 1 - self._decay_at(self.steps))

    def update_statistics(self) -> None:
        """Add the running statistics to the average, for all steps since the previous call; the devices must be idle.

        A hybridized network writes them without the engine's knowledge, so that reading them earlier would be a race.
        """
        past = self._decay_at(self.steps) ** (self.steps - self._statistics_steps)
        self._blend(self._statistics, _means(self._statistics, self._group), 1 - past)
        self._statistics_steps = self.steps

    def _decay_at(self, steps: int) -> float:
        return min(self.decay, (1 + steps) / (10 + steps))

    def applied(self) -> AbstractContextManager[None]:
        """Return a context in which the network has the averaged parameters."""
        parameters = self._weights + self._statistics
        return _replaced(parameters, [self._average[p.name] for p in parameters])

    def state(self, copy: Callable[[str, Any], np.ndarray]) -> dict[str, np.ndarray]:
        """Return copies of the state, made by `copy(name, array)`, for `restore`."""
        parameters = enumerate(self._weights + self._statistics)
        arrays = {f"{place}": copy(f"average.{place}", self._average[p.name]) for place, p in parameters}
        return {**arrays, "steps": np.array([self.steps, self._statistics_steps])}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore what `state` returned."""
        for place, parameter in enumerate(self._weights + self._statistics):
            average = self._average[parameter.name]
            average[:] = nd.array(state[f"{place}"], ctx=average.context, dtype=average.dtype)
        self.steps, self._statistics_steps = state["steps"].tolist()
