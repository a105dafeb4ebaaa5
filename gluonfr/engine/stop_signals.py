from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class StopSignals:
    """Context manager that counts the signals that ask this process to stop.

    Handlers can be set in the main thread only; in other threads nothing is counted.

    Parameters
    ----------
    numbers : signal.Signals
        The signals; SIGINT and SIGTERM by default.
    limit : int, optional
        After this many signals the former handlers act again. By default all signals are counted.

    Attributes
    ----------
    count : int
        Number of signals so far.

    Examples
    --------
    >>> import os
    >>> with StopSignals(signal.SIGTERM) as stop:
    ...     os.kill(os.getpid(), signal.SIGTERM)
    >>> stop.count
    1
    """

    def __init__(self, *numbers: signal.Signals, limit: int | None = None) -> None:
        self.count = 0
        self._numbers = numbers or (signal.SIGINT, signal.SIGTERM)
        self._limit = limit
        self._former: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in self._numbers:
                self._former[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == self._limit:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
