from __future__ import annotations

import numpy as np

from gluonfr.core.errors import UsageError


def generator(seed: int, *position: int) -> np.random.Generator:
    """Return a NumPy generator that depends on its arguments only.

    The same (seed, position) gives the same numbers in every process, thread and run, and different positions give
    independent streams. Resuming therefore needs no saved state: the position in the data is the state.

    Parameters
    ----------
    seed : int
        Seed of the run, 0 <= seed < 2**64.
    *position : int
        Up to three numbers such as (purpose, epoch, index), each 0 <= n < 2**64.

    Raises
    ------
    UsageError
        The seed is negative or too large.

    Examples
    --------
    >>> generator(1, 2, 3).random() == generator(1, 2, 3).random()
    True
    """
    if len(position) > 3:
        raise ValueError(f"generator takes a seed and at most three numbers, got {len(position)}")
    if not 0 <= seed < 1 << 64:
        # NumPy before 2 would silently use another number.
        raise UsageError(f"seed must be an integer from 0 to 2**64 - 1, got {seed}.")
    first, second, third = (*(int(number) for number in position), 0, 0, 0)[:3]
    # Philox increments the lowest word of its counter; the upper words select the stream.
    return np.random.Generator(
        np.random.Philox(key=np.array([seed, first], dtype=np.uint64), counter=np.array([0, 0, second, third], dtype=np.uint64))
    )
