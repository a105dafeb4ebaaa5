"""Random numbers in forked loader workers.

A fork copies the random states, so every worker of a loader would draw the same numbers. Here each sample gets its own
instead, from the state that the parent left (so seeding the parent repeats a run, with any number of workers), the sample's
index and how often that sample was asked for before. Processes that are not forked, and forked ones that seeded themselves
before their first sample, are left alone.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import pickle
import random
import struct

import cv2
import mxnet as mx
import numpy as np

_at_fork = None  # the parent's states of NumPy's and Python's generators, just before this process was forked
_at_start = None  # the same of a forked process when it starts; None in other processes and once samples are drawn
_bases = None  # what the seeds of samples derive from: for NumPy, Python and MXNet, None where the process seeded itself


def _states():
    return pickle.dumps(np.random.get_state(legacy=False)), pickle.dumps(random.getstate())


def _before_fork() -> None:
    global _at_fork
    _at_fork = _states()


def _after_fork() -> None:
    global _at_start, _bases
    _at_start, _bases = _states(), None


os.register_at_fork(before=_before_fork, after_in_child=_after_fork)


def _start_worker() -> None:
    global _at_start, _bases
    # OpenCV's threads do not survive a fork: a call that wants them would wait for ever.
    cv2.setNumThreads(0)
    untouched = [now == then for now, then in zip(_states(), _at_start)]
    sources = [state if same else None for state, same in zip(_at_fork, untouched)]
    # MXNet's state cannot be compared, but its next numbers tell one state from another.
    sources.append(mx.nd.random.uniform(shape=(4,), ctx=mx.cpu()).asnumpy().tobytes() if all(untouched) else None)
    _bases = [source and hashlib.blake2b(source, digest_size=16).digest() for source in sources]
    _at_start = None


class SampleSeeds:
    """The seeds of one dataset's samples.

    Parameters
    ----------
    name : str
        Keeps the numbers of datasets apart.
    length : int
        Number of samples. Four bytes each, shared with forked processes, count how often a sample was asked for.
    """

    def __init__(self, name, length) -> None:
        self._name, self._length = name, length
        self._visits = np.frombuffer(mmap.mmap(-1, max(4 * length, 1)), dtype=np.uint32, count=length)

    def __reduce__(self):
        return SampleSeeds, (self._name, self._length)

    def begin(self, index) -> None:
        """Seed the global generators of NumPy, Python and MXNet (CPU) for this sample, in forked workers only."""
        if _at_start is not None:
            _start_worker()
        if _bases is None:
            return
        visit = int(self._visits[index])
        self._visits[index] = (visit + 1) & 0xFFFFFFFF
        place = struct.pack("<QI", index, visit) + self._name.encode()
        for base, seed in zip(_bases, (np.random.seed, random.seed, _seed_mxnet)):
            if base is not None:
                seed(int.from_bytes(hashlib.blake2b(place, key=base, digest_size=4).digest(), "little"))


def _seed_mxnet(seed) -> None:
    # Naming the device keeps a worker away from GPUs, which a forked process must not touch.
    mx.random.seed(seed >> 1, ctx=mx.cpu())
