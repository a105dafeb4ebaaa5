from __future__ import annotations

from contextlib import contextmanager

import numpy as np
from mxnet import nd

from gluonfr.engine.distributed.group import Group


def _means(parameters, group):
    """Mean of each over the devices of all processes, on the first one here."""
    means = [_mean(parameter) for parameter in parameters]
    if group.size > 1:
        means = [each.copy() if each is p.list_data()[0] else each for each, p in zip(means, parameters)]
        group.sum_gradients(means)
        means = [each / group.size for each in means]
    return means


def _mean(parameter):
    first, *others = parameter.list_data()
    if not others:
        return first
    return sum((each.as_in_context(first.context) for each in others), first) / (1 + len(others))


@contextmanager
def replaced(parameters, values):
    """The parameters have these values on all devices inside the block, their own again after it."""
    # Running statistics are written without the engine's knowledge, so the devices must be idle when they are touched.
    nd.waitall()
    own = [[each.copy() for each in parameter.list_data()] for parameter in parameters]
    for parameter, value in zip(parameters, values):
        parameter.set_data(value)
    nd.waitall()
    try:
        yield
    finally:
        nd.waitall()
        for copies, parameter in zip(own, parameters):
            for copy, data in zip(copies, parameter.list_data()):
                copy.copyto(data)
        nd.waitall()


def shared_statistics(net, group=None):
    """Context manager: every device has the mean of the running statistics of all devices and processes, which is what a
    file of the network holds.

    Without it, a network that trained on several devices is another network on each.
    """
    statistics = [p for p in net.collect_params().values() if p.grad_req == "null"]
    nd.waitall()
    return replaced(statistics, _means(statistics, group or Group()))


class WeightAverage:
    """Exponential moving average of a network's parameters and running statistics.

    The averaged network usually verifies better than the last step's, most of all with few images and a high rate.

    Parameters
    ----------
    net : HybridBlock
        Initialized, all shapes known.
    decay : float, default 0.999
        Weight of the past per step; in the first steps it is lower, (1 + t) / (10 + t), so that the start is forgotten.
    group : Group, optional
        Processes that train together; the average is over all of them.
    """

    def __init__(self, net, decay=0.999, group=None) -> None:
        self._group = group or Group()
        parameters = list(net.collect_params().values())
        self._weights = [p for p in parameters if p.grad_req != "null"]
        self._statistics = [p for p in parameters if p.grad_req == "null"]
        self._average = {p.name: p.list_data()[0].copy() for p in parameters}
        self.decay = decay
        self.steps = self._statistics_steps = 0

    def _blend(self, parameters, values, share) -> None:
        for parameter, value in zip(parameters, values):
            average = self._average[parameter.name]
            average += share * (value - average)

    def update(self) -> None:
        """Take the weights of the first device into the average; once per training step."""
        self.steps += 1
        self._blend(self._weights, [p.list_data()[0] for p in self._weights], 1 - self._decay_at(self.steps))

    def update_statistics(self) -> None:
        """Take the running statistics in, for all steps since the last time; only while the devices are idle.

        A hybridized network writes them without the engine's knowledge, so that reading them earlier would be a race.
        """
        past = self._decay_at(self.steps) ** (self.steps - self._statistics_steps)
        self._blend(self._statistics, _means(self._statistics, self._group), 1 - past)
        self._statistics_steps = self.steps

    def _decay_at(self, steps):
        return min(self.decay, (1 + steps) / (10 + steps))

    def applied(self):
        """Context manager: the network has the averaged parameters inside, its own again after it."""
        parameters = self._weights + self._statistics
        return replaced(parameters, [self._average[p.name] for p in parameters])

    def state(self, copy):
        """Copies of all that it is, made by `copy(name, array)`: a dict that `restore` takes back, in any process."""
        parameters = enumerate(self._weights + self._statistics)
        arrays = {f"{place}": copy(f"average.{place}", self._average[p.name]) for place, p in parameters}
        return {**arrays, "steps": np.array([self.steps, self._statistics_steps])}

    def restore(self, state) -> None:
        """Go on from what `state` gave."""
        for place, parameter in enumerate(self._weights + self._statistics):
            average = self._average[parameter.name]
            average[:] = nd.array(state[f"{place}"], ctx=average.context, dtype=average.dtype)
        self.steps, self._statistics_steps = state["steps"].tolist()
