from __future__ import annotations

import signal
import threading


class StopSignals:
    """SIGINT and SIGTERM ask a run to stop after its step (`asked`); a second one ends it at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number, frame) -> None:
        self.asked = True
        signal.signal(number, self._before[number])
