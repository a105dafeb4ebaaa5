"""Writing synthetic people as a training set and a verification set."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from contextlib import closing
from itertools import cycle

import cv2
import numpy as np
from tqdm import tqdm

from gluonfr.core import GluonFRError, atomic_folder, check_integer, cores, generator
from gluonfr.data.pairs import write_pairs
from gluonfr.data.pairs.table import PEOPLE, table_path, write_pair_table
from gluonfr.data.records import RecordWriter
from gluonfr.data.synthetic import conditions
from gluonfr.data.synthetic.identity import make_identity
from gluonfr.data.synthetic.rendering import encode

logger = logging.getLogger(__name__)

_PURPOSE = 3
_FOLDS = 10
_FILES = ("train.rec", "train.idx", "property", "val_data.bin", "val_data.pairs.csv")


def make_dataset(
    folder,
    identities=400,
    images_per_identity=18,
    val_identities=200,
    val_pairs=1000,
    seed=0,
    workers=None,
    progress=True,
) -> None:
    """Write synthetic faces as `train.rec`, `train.idx`, `property` and `val_data.bin` of `folder`, all or nothing.

    The same arguments give the same bytes, whatever `workers`. Training label i is identity i of the world `seed`, its images
    are 0..images_per_identity - 1. The people of `val_data.bin` are the identities that follow, so training never saw them.
    The pairs lie in 10 equal folds in order, in each the genuine ones before as many impostor pairs; no person is in two
    folds and no image in two pairs.

    Parameters
    ----------
    folder : str
        Created. A synthetic set that is there already is replaced; a folder that holds anything else is refused.
    identities, images_per_identity : int, default 400 and 18
        At least 2 and 1.
    val_identities : int, default 200
        At least 20, two a fold.
    val_pairs : int, default 1000
        A multiple of 20.
    seed : int, default 0
        Names the world of people, 0 <= seed < 2**64.
    workers : int or None
        Processes that render; None takes one a core.
    progress : bool, default True
        Show a bar.

    Raises
    ------
    GluonFRError
        For an argument outside these bounds, and a folder that holds other files or cannot be written.
    """
    identities = check_integer("identities", identities, 2, 2**24 - 1)
    images_per_identity = check_integer("images_per_identity", images_per_identity, 1)
    val_identities = check_integer("val_identities", val_identities, 2 * _FOLDS, 2**24 - 1)
    val_pairs = check_integer("val_pairs", val_pairs, 2 * _FOLDS)
    if val_pairs % (2 * _FOLDS):
        raise GluonFRError(
            f"val_pairs must be a multiple of {2 * _FOLDS} (10 folds with as many genuine as impostor pairs), got {val_pairs}."
        )
    seed = check_integer("seed", seed, 0, 2**64 - 1)
    workers = cores() if workers is None else check_integer("workers", workers, 1)
    folder = _free_folder(folder)
    pairs, issame, counts = _pair_plan(seed, identities, val_identities, val_pairs)
    tasks = [(number, images_per_identity) for number in range(identities)] + counts
    try:
        with atomic_folder(folder) as written, tqdm(
            total=sum(count for _, count in tasks), desc="rendering faces", unit="image", disable=None if progress else True
        ) as bar, closing(_rendered(seed, tasks, workers)) as rendered:
            with RecordWriter(written) as writer:
                for label in range(identities):
                    for image in next(rendered):
                        writer.add(image, label)
                    bar.update(images_per_identity)
            people = {}
            for (number, count), images in zip(counts, rendered):
                people[number] = images
                bar.update(count)
            bin_path = os.path.join(written, "val_data.bin")
            shown = [f"person {number}" for number, _ in pairs]
            write_pair_table(table_path(bin_path), issame, dict(zip(PEOPLE, (shown[0::2], shown[1::2]))))
            write_pairs(bin_path, [people[number][image] for number, image in pairs], issame)
    except OSError as error:
        raise GluonFRError(f"{folder}: cannot be written ({error.strerror or error}); choose another folder.") from error
    logger.info(
        "%s: %d people with %d images each, %d pairs of %d others",
        folder,
        identities,
        images_per_identity,
        val_pairs,
        val_identities,
    )


def _free_folder(folder):
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    if os.path.isdir(folder):
        others = sorted(set(os.listdir(folder)) - set(_FILES))
        if others:
            raise GluonFRError(f"{folder}: holds other files ({others[0]}), which would be lost; choose another folder.")
    elif os.path.lexists(folder):
        raise GluonFRError(f"{folder}: is a file, the set needs a folder; choose another name.")
    return folder


def _pair_plan(seed, first, people, pairs):
    """[(identity, image)] of both sides of every pair in turn, [issame], and [(identity, images needed)] in order."""
    rng = generator(seed, _PURPOSE)
    used = dict.fromkeys(range(first, first + people), 0)
    plan, issame = [], []

    def take(number) -> None:
        plan.append((number, used[number]))
        used[number] += 1

    half = pairs // (2 * _FOLDS)
    for members in np.array_split(np.arange(first, first + people), _FOLDS):
        members = members.tolist()
        for _, number in zip(range(half), cycle(members)):
            take(number)
            take(number)
        for _, place in zip(range(half), cycle(range(len(members)))):
            take(members[place])
            take(members[(place + int(rng.integers(1, len(members)))) % len(members)])
        issame += [True] * half + [False] * half
    return plan, issame, sorted(used.items())


def _images(seed, number, count):
    person = make_identity(number, seed)
    return [encode(person, conditions.picture_generator(seed, number, image)) for image in range(count)]


def _rendered(seed, tasks, workers):
    """The encoded images of every task (identity, count), in order."""
    workers = min(workers, len(tasks))
    if workers == 1 or "fork" not in multiprocessing.get_all_start_methods():
        for number, count in tasks:
            yield _images(seed, number, count)
        return
    context = multiprocessing.get_context("fork")
    processes, ends = [], []
    try:
        for worker in range(workers):
            end, other = context.Pipe(duplex=False)
            ends.append(end)
            process = context.Process(target=_work, args=(seed, tasks[worker::workers], other, list(ends)), daemon=True)
            processes.append(process)
            process.start()
            other.close()
        for place in range(len(tasks)):
            try:
                yield ends[place % workers].recv()
            except EOFError:
                raise GluonFRError(
                    "a process that renders faces ended early, perhaps for lack of memory; try fewer workers."
                ) from None
    finally:
        for end in ends:
            end.close()
        for process in processes:
            process.join()


def _work(seed, tasks, pipe, others) -> None:
    # With the reading ends open here too, a worker would not notice that the process that reads is gone.
    for end in others:
        end.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # OpenCV's threads do not survive a fork.
    cv2.setNumThreads(0)
    try:
        for number, count in tasks:
            pipe.send(_images(seed, number, count))
    except BrokenPipeError:
        pass
