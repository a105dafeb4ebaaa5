from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mxnet import nd

from gluonfr.core import GluonFRError
from gluonfr.engine.distributed.buckets import plain, sum_joined
from gluonfr.engine.distributed.group import Group
from gluonfr.engine.distributed.heartbeat import heartbeat_client
from gluonfr.engine.distributed.hosts import check_own_name
from gluonfr.engine.distributed.json_exchange import exchange_values

if TYPE_CHECKING:
    from typing import Sequence

    import mxnet as mx


class HorovodGroup(Group):
    """Ranks that communicate through Horovod, each with one device.

    Two runs of the same ranks agree bit for bit as long as Horovod joins no arrays by the moment at which they come:
    HOROVOD_FUSION_THRESHOLD is 0 unless it was set. Small gradients are joined here instead, always the same ones.

    Raises
    ------
    GluonFRError
        Horovod is not there or not built for this MXNet, or this machine's own name leads the others astray.

    Examples
    --------
    >>> HorovodGroup().size  # doctest: +SKIP
    2
    """

    def __init__(self) -> None:
        # Horovod would join sums in the order of their arrival, which is not reproducible with four ranks.
        os.environ.setdefault("HOROVOD_FUSION_THRESHOLD", "0")
        if int(os.environ.get("HOROVOD_CROSS_SIZE", 1)) > 1:
            check_own_name()
        self._heartbeat = heartbeat_client()
        self._horovod = load_horovod()
        self._horovod.init()
        self.rank, self.size = self._horovod.rank(), self._horovod.size()

    def gather(self, array: mx.nd.NDArray, name: str) -> mx.nd.NDArray:
        """Join the rows of all ranks."""
        gathered = self._horovod.allgather(plain(array), name=name)
        self.beat()
        return gathered

    def own_rows(self, array: mx.nd.NDArray, counts: Sequence[int], name: str) -> mx.nd.NDArray:
        """Sum over the ranks, and return the rows of this rank."""
        array = plain(array)
        if counts == _as_horovod_splits(sum(counts), self.size):
            own = self._horovod.reducescatter(array, op=self._horovod.Sum, name=name)
        else:
            begin = sum(counts[: self.rank])
            own = self._horovod.allreduce(array, op=self._horovod.Sum, name=name)[begin : begin + counts[self.rank]]
        self.beat()
        return own

    def sum_gradients(self, gradients: Sequence[mx.nd.NDArray]) -> None:
        """Replace each array by the sum over the ranks."""

        def sum_in_place(number: int, array: Any) -> None:
            # Gradients that are ready first are exchanged first.
            self._horovod.allreduce_(array, op=self._horovod.Sum, name=f"gradients.{number}", priority=-number)

        sum_joined(gradients, sum_in_place)
        self.beat()

    def broadcast(self, arrays: Sequence[mx.nd.NDArray]) -> None:
        """Replace each array by that of rank 0."""
        for i, array in enumerate(arrays):
            value = plain(array)
            self._horovod.broadcast_(value, root_rank=0, name=f"broadcast.{i}")
            array[:] = value
        nd.waitall()
        self.beat()

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
        self._horovod.shutdown()

    def _exchange(self, row: Any) -> Any:
        return self.gather(nd.array(row[None], dtype="uint8"), f"values.{len(row)}").asnumpy()


def load_horovod() -> Any:
    """Return the module `horovod.mxnet`; raise GluonFRError where it cannot be imported.

    Examples
    --------
    >>> horovod = load_horovod()  # doctest: +SKIP
    """
    try:
        import horovod.mxnet
    except Exception as error:
        # Horovod that was built without MXNet raises other errors than ImportError.
        why = (str(error).splitlines() or [type(error).__name__])[0]
        raise GluonFRError(
            f"Horovod does not work with this MXNet ({why}); `gluonfr doctor` prints the commands that build it, and "
            "sync='ps' does not need it."
        ) from error
    return horovod.mxnet


def _as_horovod_splits(rows: Any, size: int) -> Any:
    whole, rest = divmod(rows, size)
    return [whole + (rank < rest) for rank in range(size)]
