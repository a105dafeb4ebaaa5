import os

import mxnet as mx
import numpy as np
from mxnet import nd

from gluonfr.core import GluonFRError
from gluonfr.engine.group import Group
from gluonfr.engine.processes.values import exchange_values
from gluonfr.engine.processes.watch import pulse

# What a float32, in which the servers sum, holds exactly.
_DTYPES = (np.float32, np.float16, np.uint8, np.int8)


class PsGroup(Group):
    """Ranks that talk through ps-lite, which comes with MXNet: its servers do nothing but sum, optimisers stay in the ranks,
    and so their states can be saved and a run resumed.

    Sums over more than two ranks follow the order in which they arrive: the ranks agree bit for bit, two runs need not.

    Raises
    ------
    GluonFRError
        The process was not started as a worker by a launcher.
    """

    shards = False

    def __init__(self):
        try:
            self.rank, self.size = int(os.environ["DMLC_WORKER_ID"]), int(os.environ["DMLC_NUM_WORKER"])
        except KeyError as error:
            raise GluonFRError(
                f"{error.args[0]} is not set: ranks on ps-lite are started by `gluonfr train --sync ps`."
            ) from error
        self._pulse = pulse()
        self._store = mx.kv.create("dist_sync")
        self._keys = set()

    def gather(self, array, name):
        if array.dtype not in _DTYPES:
            raise TypeError(f"{name}: ps-lite sums in float32, which does not hold every {np.dtype(array.dtype).name}")
        counts = self.gather_values(len(array))
        rows = nd.zeros((sum(counts), *array.shape[1:]), ctx=array.context)
        begin = sum(counts[: self.rank])
        if len(array):
            rows[begin : begin + len(array)] = array.astype("float32")
        self._sum(f"{name}.{'x'.join(map(str, rows.shape))}", rows)
        return rows.astype(array.dtype)

    def own_rows(self, array, counts, name):
        total = array.copy()
        self._sum(f"{name}.{'x'.join(map(str, array.shape))}", total)
        begin = sum(counts[: self.rank])
        return total[begin : begin + counts[self.rank]]

    def sum_gradients(self, gradients):
        # A key has one size for good, and not only gradients are summed.
        names = [f"gradient.{i}.{'x'.join(map(str, each.shape))}" for i, each in enumerate(gradients)]
        for name, gradient in zip(names, gradients):
            if gradient.stype != "default":
                raise TypeError(f"{name} is {gradient.stype}; only dense ones are summed over processes")
            self._start(name, gradient)
        # All are under way before the first comes back; what comes first is needed first.
        for i, (name, gradient) in enumerate(zip(names, gradients)):
            self._store.push(name, gradient, priority=-i)
        for i, (name, gradient) in enumerate(zip(names, gradients)):
            self._store.pull(name, gradient, priority=-i)
        self.beat()

    def broadcast(self, arrays):
        for i, array in enumerate(arrays):
            if self.rank:
                array[:] = 0
            self._sum(f"broadcast.{i}.{'x'.join(map(str, array.shape))}", array)
        nd.waitall()

    def gather_values(self, value):
        return exchange_values(value, self._exchange)

    def beat(self):
        if self._pulse is not None:
            self._pulse.beat()

    def close(self):
        self.barrier()

    def _exchange(self, row):
        table = np.zeros((self.size, len(row)), np.float32)
        table[self.rank] = row
        total = nd.array(table)
        self._sum(f"values.{len(row)}", total)
        return total.asnumpy().astype(np.uint8)

    def _sum(self, name, array):
        self._start(name, array)
        self._store.push(name, array)
        self._store.pull(name, array)
        self.beat()

    def _start(self, name, array):
        if name not in self._keys:
            self._keys.add(name)
            self._store.init(name, nd.zeros(array.shape, dtype=array.dtype))
