"""Bounded numbers of requests, and threads that work for them."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import Counter
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Optional, Tuple

from gluonfr.apps.serve.errors import RequestError

_Job = Optional[Tuple["Future[Any]", Callable[..., Any], Tuple[Any, ...]]]


class Slots:
    """A bounded number of requests at the same time, used from one event loop.

    Parameters
    ----------
    slots : int
    per_client : int, optional
        Slots for one client; by default all.

    Examples
    --------
    >>> slots = Slots(1)
    >>> with slots.slot():
    ...     print(slots)
    Slots(used=1, slots=1)
    """

    def __init__(self, slots: int, per_client: int | None = None) -> None:
        self._slots, self._per_client = slots, per_client or slots
        self._used: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(used={sum(self._used.values())}, slots={self._slots})"

    @contextmanager
    def slot(self, client: str = "") -> Iterator[None]:
        """Hold a slot during the block; `RequestError` 429 if none is free."""
        used = sum(self._used.values())
        if used >= self._slots or self._used[client] >= self._per_client:
            limit = self._slots if used >= self._slots else self._per_client
            retry = {"Retry-After": "1"}
            raise RequestError(429, f"The server is busy with {limit} requests; try again in a second.", retry)
        self._used[client] += 1
        try:
            yield
        finally:
            self._used[client] -= 1
            if not self._used[client]:
                del self._used[client]


class Worker(Slots):
    """One thread that works for requests, and slots for the requests that wait for it.

    Parameters
    ----------
    name : str
        Name of the thread.
    slots : int
        Number of requests, including the one that is processed.

    Examples
    --------
    >>> worker = Worker("example", 2)
    >>> worker.call(max, 1, 2)
    2
    >>> worker.close()
    """

    def __init__(self, name: str, slots: int) -> None:
        super().__init__(slots)
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        # A daemon, so that work that does not end does not keep the process from ending.
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the thread, and return its result."""
        return await asyncio.wrap_future(self._submit(function, arguments))

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the thread from code without an event loop."""
        return self._submit(function, arguments).result()

    def close(self, seconds: float | None = None) -> None:
        """Wait for the work that has started, at most this number of seconds."""
        self._jobs.put(None)
        self._thread.join(seconds)

    def _submit(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Future[Any]:
        future: Future[Any] = Future()
        self._jobs.put((future, function, arguments))
        return future

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, function, arguments = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function(*arguments))
            except BaseException as error:
                future.set_exception(error)
