"""Random numbers in forked loader workers.

A fork copies the random states, so all workers of a loader would draw the same numbers. Here every sample gets its own seed.
It is derived from the state that the parent had at the fork, the sample's index, and the number of earlier requests for that
sample; so seeding the parent makes a run repeatable with any number of workers. Processes that are not forked, and forked ones
that seeded themselves before their first sample, are left unchanged.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import pickle
import random
import struct
from typing import Any, Callable

import cv2
import mxnet as mx
import numpy as np


class _Process:
    """The random states of this process: the parent's before the fork, its own at the start, and the bases of its seeds."""

    before_fork: tuple[bytes, bytes] | None = None
    # None in processes that were not forked, and after the first sample.
    at_start: tuple[bytes, bytes] | None = None
    # For NumPy, Python and MXNet; None where the process seeded the library itself.
    bases: list[bytes | None] | None = None


def _states() -> tuple[bytes, bytes]:
    return pickle.dumps(np.random.get_state(legacy=False)), pickle.dumps(random.getstate())


def _before_fork() -> None:
    _Process.before_fork = _states()


def _after_fork() -> None:
    _Process.at_start, _Process.bases = _states(), None


os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def _start_worker(before_fork: Any, at_start: Any) -> None:
    # OpenCV's threads do not survive a fork: a call that uses them would wait forever.
    cv2.setNumThreads(0)
    unchanged = [now == then for now, then in zip(_states(), at_start)]
    sources = [state if same else None for state, same in zip(before_fork, unchanged)]
    # MXNet's state cannot be read, but its next numbers identify it.
    sources.append(mx.nd.random.uniform(shape=(4,), ctx=mx.cpu()).asnumpy().tobytes() if all(unchanged) else None)
    _Process.bases = [source and hashlib.blake2b(source, digest_size=16).digest() for source in sources]
    _Process.at_start = None


class SampleSeeds:
    """The seeds of the samples of one dataset.

    Parameters
    ----------
    name : str
        Distinguishes the random numbers of several datasets.
    length : int
        Number of samples. Four bytes per sample, shared with forked processes, count the requests for it.

    Examples
    --------
    >>> SampleSeeds("emore", 10).begin(3)
    """

    def __init__(self, name: str, length: int) -> None:
        self._name, self._length = name, length
        self._visits = np.frombuffer(mmap.mmap(-1, max(4 * length, 1)), dtype=np.uint32, count=length)

    def __reduce__(self) -> tuple[type, tuple[str, int]]:
        return SampleSeeds, (self._name, self._length)

    def __repr__(self) -> str:
        return f"SampleSeeds({self._name!r}, length={self._length})"

    def begin(self, index: int) -> None:
        """Seed the global generators of NumPy, Python and MXNet (CPU) for this sample, in forked workers only."""
        if _Process.at_start is not None:
            _start_worker(_Process.before_fork, _Process.at_start)
        if _Process.bases is None:
            return
        visit = int(self._visits[index])
        self._visits[index] = (visit + 1) & 0xFFFFFFFF
        position = struct.pack("<QI", index, visit) + self._name.encode()
        seeders: tuple[Callable[[int], None], ...] = (np.random.seed, random.seed, _seed_mxnet)
        for base, seed in zip(_Process.bases, seeders):
            if base is not None:
                seed(int.from_bytes(hashlib.blake2b(position, key=base, digest_size=4).digest(), "little"))


def _seed_mxnet(seed: int) -> None:
    # With the device named, a worker does not touch GPUs, which a forked process must not use.
    mx.random.seed(seed >> 1, ctx=mx.cpu())
