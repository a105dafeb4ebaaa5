from __future__ import annotations

import os
import pickle
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Generator, Iterator, Sequence

from gluonfr.core import DataError

_PROGRAM = "from gluonfr.data.synthetic.render_pool import render_part; render_part()"


def render_all(render: Callable[[Any], Any], tasks: Sequence[Any], workers: int) -> Generator[Any, None, None]:
    """Yield `render(task)` for every task in order, computed in several processes.

    The processes are started anew rather than forked: a fork of a process in which MXNet, OpenBLAS or OpenCV run threads can
    wait forever for a lock that one of these threads held. Scripts need no `if __name__ == "__main__":` for them.

    Parameters
    ----------
    render : callable
        It and its results are sent between processes; it must be importable.
    tasks : sequence
    workers : int
        Number of processes; 1 uses this process.

    Raises
    ------
    DataError
        A process ended early; what it printed stands on standard error.

    Examples
    --------
    >>> list(render_all(abs, [-3, 2], workers=1))
    [3, 2]
    """
    workers = min(workers, len(tasks))
    if workers == 1:
        yield from map(render, tasks)
        return
    with ExitStack() as stack:
        processes = [stack.enter_context(_started()) for _ in range(workers)]
        try:
            for worker, process in enumerate(processes):
                with process.stdin as stream:
                    pickle.dump((render, tasks[worker::workers]), stream)
            for number in range(len(tasks)):
                yield pickle.load(processes[number % workers].stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            raise DataError(
                "a process that renders faces ended early: see what it printed, or use fewer workers if it lacked memory."
            ) from None


@contextmanager
def _started() -> Iterator[Any]:
    # A session of its own, so that Ctrl-C reaches this process only.
    process: Any = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def render_part() -> None:
    """Render the tasks that standard input names, to standard output; run in the child process.

    Examples
    --------
    >>> render_part()  # doctest: +SKIP
    """
    # Whatever a library prints must not get among the results.
    results = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    render, tasks = pickle.load(sys.stdin.buffer)
    for task in tasks:
        try:
            pickle.dump(render(task), results)
            results.flush()
        except BrokenPipeError:  # the reading process has ended
            os._exit(1)
