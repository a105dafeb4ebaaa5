from __future__ import annotations

import multiprocessing
import signal
from typing import Any, Callable, Generator, Sequence

import cv2

from gluonfr.core import DataError


def render_all(render: Callable[[Any], Any], tasks: Sequence[Any], workers: int) -> Generator[Any, None, None]:
    """Yield `render(task)` for every task in order, computed in several processes.

    Parameters
    ----------
    render : callable
        Its results are sent between processes.
    tasks : sequence
    workers : int
        Number of processes.

    Raises
    ------
    DataError
        A process ended early.

    Examples
    --------
    >>> list(render_all(abs, [-3, 2], workers=1))
    [3, 2]
    """
    workers = min(workers, len(tasks))
    if workers == 1 or "fork" not in multiprocessing.get_all_start_methods():
        yield from map(render, tasks)
        return
    context = multiprocessing.get_context("fork")
    processes: list[Any] = []
    ends: list[Any] = []
    try:
        for worker in range(workers):
            end, other = context.Pipe(duplex=False)
            ends.append(end)
            process = context.Process(target=_work, args=(render, tasks[worker::workers], other, list(ends)), daemon=True)
            processes.append(process)
            process.start()
            other.close()
        for number in range(len(tasks)):
            try:
                yield ends[number % workers].recv()
            except EOFError:
                raise DataError(
                    "a process that renders faces ended early, perhaps for lack of memory; use fewer workers."
                ) from None
    finally:
        for end in ends:
            end.close()
        for process in processes:
            process.join()


def _work(render: Callable[[Any], Any], tasks: Sequence[Any], pipe: Any, reading_ends: list[Any]) -> None:
    # With these ends open, a worker would not notice that the reading process has ended.
    for end in reading_ends:
        end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # OpenCV's threads do not survive a fork.
    cv2.setNumThreads(0)
    try:
        for task in tasks:
            pipe.send(render(task))
    except BrokenPipeError:
        pass
