from contextlib import contextmanager

from mxnet import nd


def _mean(parameter):
    """Mean over the devices, on the first one."""
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


def shared_statistics(net):
    """Context manager: every device has the mean of all devices' running statistics, which is what a file of it holds.

    Without it, a network that trained on several devices is another network on each.
    """
    statistics = [p for p in net.collect_params().values() if p.grad_req == "null"]
    nd.waitall()
    return replaced(statistics, [_mean(p) for p in statistics])


class WeightAverage:
    """Exponential moving average of a network's parameters and running statistics.

    The averaged network usually verifies better than the last step's, most of all with few images and a high rate.

    Parameters
    ----------
    net : HybridBlock
        Initialised, all shapes known.
    decay : float, default 0.999
        Weight of the past per step; in the first steps it is lower, (1 + t) / (10 + t), so that the start is forgotten.
    """

    def __init__(self, net, decay=0.999):
        parameters = list(net.collect_params().values())
        self._weights = [p for p in parameters if p.grad_req != "null"]
        self._statistics = [p for p in parameters if p.grad_req == "null"]
        self._average = {p.name: p.list_data()[0].copy() for p in parameters}
        self.decay = decay
        self.steps = self._statistics_steps = 0

    def _blend(self, parameters, value, share):
        for parameter in parameters:
            average = self._average[parameter.name]
            average += share * (value(parameter) - average)

    def update(self):
        """Take the weights of the first device into the average; once per training step."""
        self.steps += 1
        self._blend(self._weights, lambda p: p.list_data()[0], 1 - self._decay_at(self.steps))

    def update_statistics(self):
        """Take the running statistics in, for all steps since the last time; only while the devices are idle.

        A hybridized network writes them without the engine's knowledge, so that reading them earlier would be a race.
        """
        past = self._decay_at(self.steps) ** (self.steps - self._statistics_steps)
        self._blend(self._statistics, _mean, 1 - past)
        self._statistics_steps = self.steps

    def _decay_at(self, steps):
        return min(self.decay, (1 + steps) / (10 + steps))

    def applied(self):
        """Context manager: the network has the averaged parameters inside, its own again after it."""
        parameters = self._weights + self._statistics
        return replaced(parameters, [self._average[p.name] for p in parameters])

    def save(self, path):
        """Write the average; `load` takes it back."""
        position = nd.array([self.steps, self._statistics_steps], dtype="int64")
        nd.save(path, [position] + [self._average[p.name] for p in self._weights + self._statistics])

    def load(self, path):
        """Go on from a file that `save` wrote."""
        position, *stored = nd.load(path)
        for parameter, array in zip(self._weights + self._statistics, stored):
            array.copyto(self._average[parameter.name])
        self.steps, self._statistics_steps = (int(each) for each in position.asnumpy())
