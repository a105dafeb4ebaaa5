from __future__ import annotations

import multiprocessing
import signal
from typing import Any, Generator

import cv2

from gluonfr.core import DataError
from gluonfr.data.synthetic.conditions import image_generator
from gluonfr.data.synthetic.identity import make_identity
from gluonfr.data.synthetic.rendering import encode_image


def render_people(seed: int, tasks: list[tuple[int, int]], workers: int) -> Generator[list[bytes], None, None]:
    """Yield the encoded images of people, rendered in several processes.

    Parameters
    ----------
    seed : int
        Seed of all people.
    tasks : list of (identity, number of images)
        The people.
    workers : int
        Number of processes.

    Yields
    ------
    list of bytes
        The images of one task, in the order of the tasks.

    Examples
    --------
    >>> [len(images) for images in render_people(0, [(7, 2)], workers=1)]
    [2]
    """
    workers = min(workers, len(tasks))
    if workers == 1 or "fork" not in multiprocessing.get_all_start_methods():
        for identity, count in tasks:
            yield _images(seed, identity, count)
        return
    context = multiprocessing.get_context("fork")
    processes: list[Any] = []
    ends: list[Any] = []
    try:
        for worker in range(workers):
            end, other = context.Pipe(duplex=False)
            ends.append(end)
            process = context.Process(target=_work, args=(seed, tasks[worker::workers], other, list(ends)), daemon=True)
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


def _images(seed: int, identity: int, count: int) -> list[bytes]:
    person = make_identity(identity, seed)
    return [encode_image(person, image_generator(seed, identity, image)) for image in range(count)]


def _work(seed: int, tasks: list[tuple[int, int]], pipe: Any, reading_ends: list[Any]) -> None:
    # With these ends open, a worker would not notice that the reading process has ended.
    for end in reading_ends:
        end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # OpenCV's threads do not survive a fork.
    cv2.setNumThreads(0)
    try:
        for identity, count in tasks:
            pipe.send(_images(seed, identity, count))
    except BrokenPipeError:
        pass
