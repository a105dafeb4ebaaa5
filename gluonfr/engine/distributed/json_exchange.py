from __future__ import annotations

import json
from typing import Any

import numpy as np

# Bytes of the first exchange: most values fit into it, and the rest of larger values follows in larger pieces.
_FIRST, _NEXT = 256, 4096
_LENGTH = 8


def exchange_values(value: Any, exchange: Any) -> Any:
    """`Group.gather_values` by means of arrays.

    Parameters
    ----------
    value : anything JSON has
    exchange : callable
        uint8 (n,) of this rank to uint8 (ranks, n) of all; n is the same on all.

    Examples
    --------
    >>> exchange_values({"stop": False}, exchange)  # doctest: +SKIP
    [{'stop': False}, {'stop': False}]
    """
    data = json.dumps(value).encode()
    table = exchange(_padded(len(data).to_bytes(_LENGTH, "little") + data[: _FIRST - _LENGTH], _FIRST))
    lengths = [int.from_bytes(row[:_LENGTH].tobytes(), "little") for row in table]
    pieces = [table[:, _LENGTH:]]
    for begin in range(_FIRST - _LENGTH, max(lengths), _NEXT):
        pieces.append(exchange(_padded(data[begin : begin + _NEXT], _NEXT)))
    return [json.loads(row[:length].tobytes()) for row, length in zip(np.concatenate(pieces, axis=1), lengths)]


def _padded(data: Any, length: Any) -> Any:
    return np.frombuffer(data.ljust(length, b"\0"), np.uint8)
