from __future__ import annotations

import numpy as np

from gluonfr.core.errors import GluonFRError


def generator(seed, *position):
    """A NumPy generator that depends on nothing but its arguments.

    The same (seed, position) gives the same numbers in every process, thread and run, and different positions give
    independent streams, so that resuming needs no saved state: the position in the data is the state.

    Parameters
    ----------
    seed : int
        The run's seed, 0 <= seed < 2**64.
    *position : int
        Up to three numbers such as (purpose, epoch, index), each 0 <= n < 2**64.

    Raises
    ------
    GluonFRError
        The seed is negative or too large.
    """
    if len(position) > 3:
        raise ValueError("generator takes a seed and at most three numbers, got %d" % len(position))
    if not 0 <= seed < 1 << 64:
        # NumPy before 2 would take another number for it, in silence.
        raise GluonFRError(f"seed must be a whole number from 0 to 2**64 - 1, got {seed}.")
    position = tuple(int(number) for number in position) + (0,) * (3 - len(position))
    # Philox counts up in the lowest word of its counter; the upper words name the stream.
    return np.random.Generator(
        np.random.Philox(
            key=np.array([seed, position[0]], dtype=np.uint64),
            counter=np.array([0, 0, position[1], position[2]], dtype=np.uint64),
        )
    )
