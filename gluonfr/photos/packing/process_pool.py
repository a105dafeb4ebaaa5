"""Work in separate processes, so that an image that crashes its reader ends one process only."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from typing import Any, Callable

from gluonfr.core import GluonFRError

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MXNET_OMP_MAX_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Items that a process has at a time, so that it never waits for the next one.
_QUEUED = 2


def run_in_processes(
    make: Callable[[], Callable[[Any], Any]], items: Iterable[Any], workers: int, crashed: Any = None
) -> Iterator[tuple[Any, Any]]:
    """Compute `make()(item)` for every item in several processes.

    Each process uses one thread, so a result does not depend on the number of processes.

    Parameters
    ----------
    make : callable that can be pickled
        Called once in each process; returns the function that does the work. A GluonFRError of either is raised here.
    items : iterable
        Read as they are needed.
    workers : int
        Number of processes; 0 works in this process, with all its threads.
    crashed : object, default None
        The result of an item at which two processes died, one after the other.

    Yields
    ------
    (item, result)
        In the order in which they are finished.

    Examples
    --------
    >>> list(run_in_processes(lambda: abs, [-1, 2], workers=0))
    [(-1, 1), (2, 2)]
    """
    if workers == 0:
        work = make()
        for item in items:
            yield item, work(item)
        return
    pool = _Pool(make, iter(items), crashed)
    try:
        yield from pool.run(workers)
    finally:
        pool.stop()


class _Pool:
    def __init__(self, make: Callable[[], Callable[[Any], Any]], items: Iterator[Any], crashed: Any) -> None:
        self._make, self._items, self._crashed = make, items, crashed
        self._context = multiprocessing.get_context("spawn")
        self._workers: dict[Any, tuple[Any, list[Any]]] = {}  # pipe -> process, its queue
        self._ready: set[Any] = set()
        self._retries: list[Any] = []
        self._retried: set[Any] = set()

    def run(self, workers: int) -> Iterator[tuple[Any, Any]]:
        for _ in range(workers):
            if not self._start():
                break
        while self._workers:
            ready: list[Any] = wait(list(self._workers))
            for pipe in ready:
                try:
                    kind, result = pipe.recv()
                except (EOFError, OSError):
                    yield from self._replace(pipe)
                    continue
                if kind == "ready":
                    self._ready.add(pipe)
                elif kind == "error":
                    raise GluonFRError(result)
                elif kind == "bug":
                    raise RuntimeError(f"a worker failed:\n{result}")
                else:
                    yield self._finish(pipe), result

    def _start(self) -> bool:
        first = self._next()
        if first is None:
            return False
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(self._make, theirs), daemon=True)
        with _one_thread():
            process.start()
        theirs.close()
        self._workers[ours] = process, []
        self._send(ours, first)
        self._feed(ours)
        return True

    def _feed(self, pipe: Any) -> None:
        while len(self._workers[pipe][1]) < _QUEUED:
            item = self._next()
            if item is None:
                return
            self._send(pipe, item)

    def _send(self, pipe: Any, item: Any) -> None:
        self._workers[pipe][1].append(item)
        # If the process died, `wait` reports that next.
        with suppress(OSError):
            pipe.send(item)

    def _next(self) -> Any:
        return self._retries.pop() if self._retries else next(self._items, None)

    def _finish(self, pipe: Any) -> Any:
        """Return the item that a process finished, and send it another one or end it."""
        queue = self._workers[pipe][1]
        item = queue.pop(0)
        self._feed(pipe)
        if not queue:
            process, _ = self._workers.pop(pipe)
            pipe.close()
            process.join()
        return item

    def _replace(self, pipe: Any) -> Iterator[tuple[Any, Any]]:
        """Queue the items of a dead process again; yields the item at which it died if that is the second time."""
        process, queue = self._workers.pop(pipe)
        pipe.close()
        process.join()
        if pipe not in self._ready:
            raise GluonFRError(
                f"a worker process ended before it started (exit code {process.exitcode}). See what it printed. A script "
                'that packs needs `if __name__ == "__main__":` around its calls, or workers=0.'
            )
        if queue:
            item, *others = queue
            self._retries += others
            if item in self._retried:
                yield item, self._crashed
            else:
                self._retried.add(item)
                self._retries.append(item)
        self._start()

    def stop(self) -> None:
        for pipe, (process, _) in self._workers.items():
            process.terminate()
            process.join()
            pipe.close()
        self._workers = {}


def _serve(make: Callable[[], Callable[[Any], Any]], pipe: Any) -> None:
    # Ctrl-C reaches every process of a terminal; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work = make()
        _report(pipe, "ready", None)
        while True:
            try:
                item = pipe.recv()
            except (EOFError, OSError):  # the parent has ended, or no longer needs this process
                return
            _report(pipe, "done", work(item))
    except GluonFRError as error:
        _report(pipe, "error", str(error))
    except Exception:
        _report(pipe, "bug", traceback.format_exc())


def _report(pipe: Any, kind: str, content: Any) -> None:
    # If the parent no longer listens, the next `recv` ends this process.
    with suppress(OSError):
        pipe.send((kind, content))


@contextmanager
def _one_thread() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
