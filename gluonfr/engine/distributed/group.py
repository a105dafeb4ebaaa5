from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import Sequence

    import mxnet as mx


class Group:
    """The processes that train together, and how they exchange data; this class is a single process.

    All ranks call the same methods in the same order. Every rank gets the same result, bit for bit.

    Attributes
    ----------
    rank, size : int
        Number of this process, from 0, and of all.
    shards : bool
        Whether parts of a classifier may lie on different ranks, which needs `gather` and `own_rows`.

    Examples
    --------
    >>> group = Group()
    >>> group.rank, group.size, group.gather_values(3)
    (0, 1, [3])
    """

    rank, size, shards = 0, 1, True

    def gather(self, array: mx.nd.NDArray, name: str) -> mx.nd.NDArray:
        """Return the rows of all ranks in the order of the ranks; their numbers may differ, but `name` must be equal."""
        return array

    def own_rows(self, array: mx.nd.NDArray, counts: Sequence[int], name: str) -> mx.nd.NDArray:
        """Sum arrays (sum(counts), ...) over the ranks, and return the `counts[rank]` rows of this rank."""
        return array

    def sum_gradients(self, gradients: Sequence[mx.nd.NDArray]) -> None:
        """Replace each array by the sum over the ranks, without waiting for the device."""

    def broadcast(self, arrays: Sequence[mx.nd.NDArray]) -> None:
        """Replace each array by that of rank 0."""

    def gather_values(self, value: Any) -> list[Any]:
        """Return the values of all ranks: numbers, strings, or lists and dicts of those, as in JSON."""
        return [value]

    def barrier(self) -> None:
        """Wait until all ranks have reached this call."""
        self.gather_values(None)

    def beat(self) -> None:
        """Report progress during long work between two exchanges; each exchange reports it as well."""

    def close(self) -> None:
        """Leave the group."""
