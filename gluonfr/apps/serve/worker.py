from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from gluonfr.apps.serve.errors import RequestError


class Places:
    """A bounded number of places for requests, used from one event loop."""

    def __init__(self, places) -> None:
        self._places, self._taken = places, 0

    @contextmanager
    def place(self):
        """A place for the block; `RequestError` 429 when all are taken."""
        if self._taken >= self._places:
            raise RequestError(
                429, f"The server is busy with {self._places} requests; try again in a second.", {"Retry-After": "1"}
            )
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1


class Worker(Places):
    """One thread that works for requests, and a bounded number of places for those that wait for it.

    Parameters
    ----------
    name : str
        Of the thread.
    places : int
        Requests that may be under way, the one that is worked on among them.
    """

    def __init__(self, name, places) -> None:
        super().__init__(places)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, function, *arguments):
        """What the function returns or raises, called in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def call(self, function, *arguments):
        """As `run`, for callers without an event loop."""
        return self._thread.submit(function, *arguments).result()

    def close(self) -> None:
        """Wait until what was begun is done."""
        self._thread.shutdown()
