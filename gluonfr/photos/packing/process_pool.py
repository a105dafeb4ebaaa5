"""Jobs in processes of their own, where an image that kills its reader kills no more than that."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait

from gluonfr.core import GluonFRError

_ONE_THREAD = ("OMP_NUM_THREADS", "MXNET_OMP_MAX_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class WorkerDiedError:
    """Stands for the result of an item at which two processes died, one after the other."""


def run_in_processes(make, items, workers):
    """Do `make()(item)` for every item, in several processes.

    Each process computes with one thread, so that a result does not depend on how many there are.

    Parameters
    ----------
    make : callable that can be pickled
        Called once in each process; gives the function that does the work. A GluonFRError of either is raised here.
    items : iterable
        Taken as they are needed.
    workers : int
        Number of processes; 0 works in this one, with as many threads as it has.

    Yields
    ------
    (item, result), in the order in which they are done; result is `WorkerDiedError` when the process died twice
    """
    if workers == 0:
        work = make()
        for item in items:
            yield item, work(item)
        return
    pool = _Pool(make)
    try:
        yield from pool.run(iter(items), workers)
    finally:
        pool.stop()


class _Pool:
    def __init__(self, make) -> None:
        self._make = make
        self._context = multiprocessing.get_context("spawn")
        self._workers = {}
        self._ready = set()
        self._again = []
        self._tried = set()

    def run(self, items, workers):
        # Two at a time for each process, so that none waits for this one.
        for _ in range(workers):
            if not self._start(items):
                break
        while self._workers:
            for pipe in wait(list(self._workers)):
                try:
                    kind, result = pipe.recv()
                except (EOFError, OSError):
                    died = self._bury(pipe)
                    if died is not None:
                        yield died, WorkerDiedError
                    self._start(items)
                    continue
                if kind == "ready":
                    self._ready.add(pipe)
                    continue
                if kind == "error":
                    raise GluonFRError(result)
                if kind == "bug":
                    raise RuntimeError(f"a worker failed:\n{result}")
                queue = self._workers[pipe][1]
                item = queue.pop(0)
                self._feed(pipe, items)
                if not queue:
                    self._dismiss(pipe)
                yield item, result

    def _start(self, items) -> bool:
        first = self._next(items)
        if first is None:
            return False
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(self._make, theirs), daemon=True)
        with _one_thread():
            process.start()
        theirs.close()
        self._workers[ours] = process, []
        self._send(ours, first)
        self._feed(ours, items)
        return True

    def _feed(self, pipe, items) -> None:
        while len(self._workers[pipe][1]) < 2:
            following = self._next(items)
            if following is None:
                return
            self._send(pipe, following)

    def _send(self, pipe, item) -> None:
        self._workers[pipe][1].append(item)
        # When it died, `wait` reports that next.
        with suppress(OSError):
            pipe.send(item)

    def _next(self, items):
        return self._again.pop() if self._again else next(items, None)

    def _bury(self, pipe):
        """Put back what a dead process had; returns the item at which it died if that is the second time."""
        process, queue = self._workers.pop(pipe)
        pipe.close()
        process.join()
        if pipe not in self._ready:
            raise GluonFRError(
                f"a worker process ended before it could begin (exit code {process.exitcode}): see what it printed; a script "
                'that packs needs `if __name__ == "__main__":` around its calls, or workers=0.'
            )
        if not queue:
            return None
        item, *others = queue
        if item in self._tried:
            self._again += others
            return item
        self._tried.add(item)
        self._again += [*others, item]
        return None

    def _dismiss(self, pipe) -> None:
        process, _ = self._workers.pop(pipe)
        pipe.close()
        process.join()

    def stop(self) -> None:
        for pipe, (process, _) in self._workers.items():
            process.terminate()
            process.join()
            pipe.close()
        self._workers = {}


def _serve(make, pipe) -> None:
    # Ctrl-C reaches every process of a terminal; the parent ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work = make()
        _tell(pipe, "ready", None)
        while True:
            try:
                item = pipe.recv()
            # The parent is gone, however it went, or needs this process no longer.
            except (EOFError, OSError):
                return
            _tell(pipe, "done", work(item))
    except GluonFRError as error:
        _tell(pipe, "error", str(error))
    except Exception:
        _tell(pipe, "bug", traceback.format_exc())


def _tell(pipe, kind, content) -> None:
    # When nobody listens any more, the next `recv` ends this process.
    with suppress(OSError):
        pipe.send((kind, content))


@contextmanager
def _one_thread():
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
