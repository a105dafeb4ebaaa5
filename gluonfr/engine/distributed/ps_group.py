from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import mxnet as mx
import numpy as np
from mxnet import nd

from gluonfr.core import GluonFRError
from gluonfr.engine.distributed.buckets import plain, sum_joined
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.distributed.heartbeat import heartbeat_client
from gluonfr.engine.distributed.json_exchange import exchange_values

if TYPE_CHECKING:
    from typing import Sequence

# The servers add in float32, which holds integers exactly up to this limit.
_DTYPES = (np.float32, np.float16, np.uint8, np.int8)


class PsGroup(Group):
    """Ranks that communicate through ps-lite, which is part of MXNet.

    The servers only sum; the optimizers are in the ranks, so that their states can be saved and a run resumed.

    With more than two ranks, sums depend on the order of arrival: all ranks get the same result, but two runs may differ.

    Raises
    ------
    GluonFRError
        The process was not started as a worker by a launcher.

    Examples
    --------
    >>> PsGroup().size  # doctest: +SKIP
    2
    """

    shards = False

    def __init__(self) -> None:
        try:
            self.rank, self.size = int(os.environ["DMLC_WORKER_ID"]), int(os.environ["DMLC_NUM_WORKER"])
        except KeyError as error:
            raise GluonFRError(
                f"{error.args[0]} is not set: ranks on ps-lite are started by `gluonfr train --sync ps`."
            ) from error
        self._heartbeat = heartbeat_client()
        self._store = mx.kv.create("dist_sync")
        self._keys: set[Any] = set()

    def gather(self, array: mx.nd.NDArray, name: str) -> mx.nd.NDArray:
        """Join the rows of all ranks."""
        if array.dtype not in _DTYPES:
            raise TypeError(f"{name}: ps-lite sums in float32, which does not hold every {np.dtype(array.dtype).name}")
        counts = self.gather_values(len(array))
        rows = nd.zeros((sum(counts), *array.shape[1:]), ctx=array.context)
        begin = sum(counts[: self.rank])
        if len(array):
            rows[begin : begin + len(array)] = array.astype("float32")
        self._sum(f"{name}.{'x'.join(map(str, rows.shape))}", rows)
        return rows.astype(array.dtype)

    def own_rows(self, array: mx.nd.NDArray, counts: Sequence[int], name: str) -> mx.nd.NDArray:
        """Sum over the ranks, and return the rows of this rank."""
        total = plain(array)
        self._sum(f"{name}.{'x'.join(map(str, array.shape))}", total)
        begin = sum(counts[: self.rank])
        return total[begin : begin + counts[self.rank]]

    def sum_gradients(self, gradients: Sequence[mx.nd.NDArray]) -> None:
        """Replace each array by the sum over the ranks."""
        sum_joined(gradients, lambda number, array: self._sum(f"gradients.{number}.{array.size}", array, -number))

    def broadcast(self, arrays: Sequence[mx.nd.NDArray]) -> None:
        """Replace each array by that of rank 0."""
        for i, array in enumerate(arrays):
            value = nd.zeros_like(array) if self.rank else plain(array)
            self._sum(f"broadcast.{i}.{'x'.join(map(str, array.shape))}", value)
            array[:] = value
        nd.waitall()

    def gather_values(self, value: Any) -> list[Any]:
        """Return the values of all ranks."""
        return exchange_values(value, self._exchange)

    def beat(self) -> None:
        """Report progress."""
        if self._heartbeat is not None:
            self._heartbeat.beat()

    def close(self) -> None:
        """Leave the group."""
        self.barrier()

    def _exchange(self, row: Any) -> Any:
        table = np.zeros((self.size, len(row)), np.float32)
        table[self.rank] = row
        total = nd.array(table)
        self._sum(f"values.{len(row)}", total)
        return total.asnumpy().astype(np.uint8)

    def _sum(self, name: str, array: mx.nd.NDArray, priority: int = 0) -> None:
        if name not in self._keys:
            self._keys.add(name)
            self._store.init(name, nd.zeros(array.shape, dtype=array.dtype))
        self._store.push(name, array, priority)
        self._store.pull(name, array, priority)
        self.beat()
