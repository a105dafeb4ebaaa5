from __future__ import annotations

import os
import pickle
import subprocess
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Any, Callable, Generator, Iterator, Sequence

import cv2

from gluonfr.core import DataError
from gluonfr.core.paths import python_command

# Writes nothing but results into the pipe, whatever a library prints.
_PROGRAM = """
import os
results = os.fdopen(os.dup(1), "wb")
try:
    os.dup2(2, 1)
except OSError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
from gluonfr.data.synthetic.render_pool import render_part
render_part(sys.stdin.buffer, results)
"""


def render_all(render: Callable[[Any], Any], tasks: Sequence[Any], workers: int) -> Generator[Any, None, None]:
    """Yield `render(task)` for every task in order, computed in several processes.

    The processes are started, not forked: after a fork of a process in which MXNet, OpenBLAS or OpenCV run threads, the child
    can hang on a lock that one of these threads held. Scripts need no `if __name__ == "__main__":` for them.

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
        A process could not be started, or ended early; its own message is on standard error.

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
    env = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    try:
        # A session of its own, so that Ctrl-C reaches this process only.
        process: Any = subprocess.Popen(
            python_command(_PROGRAM), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, start_new_session=True
        )
    except OSError as error:
        raise DataError(f"a process that renders faces cannot be started ({error}); use fewer workers.") from error
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()


def render_part(tasks: IO[bytes], results: IO[bytes]) -> None:
    """Render the tasks that one pipe names, into another one; run in the child process.

    Parameters
    ----------
    tasks, results : file
        Pickles of `(render, tasks)`, and of one result per task.

    Examples
    --------
    >>> render_part(sys.stdin.buffer, results)  # doctest: +SKIP
    """
    cv2.setNumThreads(0)
    render, numbers = pickle.load(tasks)
    for number in numbers:
        try:
            pickle.dump(render(number), results)
            results.flush()
        except BrokenPipeError:  # the reading process has ended
            os._exit(1)
