"""Write synthetic people as a training set and a verification set."""

from __future__ import annotations

import logging
import os
from contextlib import closing
from functools import partial
from itertools import cycle

import numpy as np
from tqdm import tqdm

from gluonfr.core import UsageError, atomic_folder, check_integer, cores, disk_errors, generator
from gluonfr.core.wording import counted
from gluonfr.data.pairs.bin_file import write_pairs
from gluonfr.data.pairs.table import PEOPLE, table_path, write_pair_table
from gluonfr.data.records.writer import RecordWriter
from gluonfr.data.synthetic.conditions import image_generator
from gluonfr.data.synthetic.identity import make_identity
from gluonfr.data.synthetic.render_pool import render_all
from gluonfr.data.synthetic.rendering import encode_image

logger = logging.getLogger(__name__)

_PURPOSE = 3
_FOLDS = 10
_MAX_PEOPLE = 2**24 - 1
_FILES = ("train.rec", "train.idx", "property", "val_data.bin", "val_data.pairs.csv")


def make_dataset(
    folder: str,
    identities: int = 400,
    images_per_identity: int = 18,
    val_identities: int = 200,
    val_pairs: int = 1000,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> None:
    """Write synthetic faces as `train.rec`, `train.idx`, `property` and `val_data.bin` of `folder`, atomically.

    The same arguments give the same bytes for any number of workers. Training label i is identity i of this seed, with images
    0 to images_per_identity - 1. The people of `val_data.bin` are the following identities, so training does not see them. The
    pairs form 10 equal consecutive folds, in each the genuine pairs before as many impostor pairs. No person is in two folds,
    and no image is in two pairs.

    Parameters
    ----------
    folder : str
        Created when missing. An existing synthetic set is replaced; a folder with other files is refused.
    identities : int, default 400
        People of the training set, at least 2.
    images_per_identity : int, default 18
        Images per person, at least 1.
    val_identities : int, default 200
        People of the verification set, at least 20.
    val_pairs : int, default 1000
        A multiple of 20.
    seed : int, default 0
        Seed of all people, 0 <= seed < 2**64.
    workers : int, optional
        Processes that render; by default one per core.
    progress : bool, default True
        Show a progress bar.

    Raises
    ------
    UsageError
        An argument is out of range, or the folder holds other files.
    DataError
        The folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from gluonfr.data.dataset import get_recognition_dataset
    >>> root = tempfile.mkdtemp()
    >>> make_dataset(f"{root}/synthetic", 2, 1, 20, 20, workers=1, progress=False)
    >>> len(get_recognition_dataset("synthetic", root=root))
    2
    """
    identities = check_integer("identities", identities, 2, _MAX_PEOPLE)
    images_per_identity = check_integer("images_per_identity", images_per_identity, 1)
    val_identities = check_integer("val_identities", val_identities, 2 * _FOLDS, _MAX_PEOPLE)
    val_pairs = check_integer("val_pairs", val_pairs, 2 * _FOLDS)
    if val_pairs % (2 * _FOLDS):
        raise UsageError(
            f"val_pairs must be a multiple of {2 * _FOLDS} (10 folds with as many genuine as impostor pairs), got {val_pairs}."
        )
    seed = check_integer("seed", seed, 0, 2**64 - 1)
    workers = cores() if workers is None else check_integer("workers", workers, 1)
    folder = _check_folder(folder)
    pairs, issame, counts = _plan_pairs(seed, identities, val_identities, val_pairs)
    tasks = [(number, images_per_identity) for number in range(identities)] + counts
    with disk_errors(folder), atomic_folder(folder) as written, tqdm(
        total=sum(count for _, count in tasks), desc="rendering faces", unit="image", disable=None if progress else True
    ) as bar, closing(render_all(partial(_render_person, seed), tasks, workers)) as rendered:
        with RecordWriter(written) as writer:
            for label in range(identities):
                for image in next(rendered):
                    writer.add(image, label)
                bar.update(images_per_identity)
        images_of = {}
        for (number, count), images in zip(counts, rendered):
            images_of[number] = images
            bar.update(count)
        _write_verification_set(os.path.join(written, "val_data.bin"), pairs, issame, images_of)
    counts_text = (
        f"{identities} people with {counted(images_per_identity, 'image')} each, {val_pairs} pairs of {val_identities} others"
    )
    logger.info("%s: %s", folder, counts_text)


def _render_person(seed: int, task: tuple[int, int]) -> list[bytes]:
    """Return the encoded images of a person; a task is the identity and the number of images."""
    identity, count = task
    person = make_identity(identity, seed)
    return [encode_image(person, image_generator(seed, identity, image)) for image in range(count)]


def _write_verification_set(
    path: str, pairs: list[tuple[int, int]], issame: list[bool], images_of: dict[int, list[bytes]]
) -> None:
    names = [f"person {number}" for number, _ in pairs]
    write_pair_table(table_path(path), issame, dict(zip(PEOPLE, (names[0::2], names[1::2]))))
    write_pairs(path, [images_of[number][image] for number, image in pairs], issame)


def _check_folder(folder: str) -> str:
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    if os.path.isdir(folder):
        others = sorted(set(os.listdir(folder)) - set(_FILES))
        if others:
            raise UsageError(f"{folder} holds other files ({others[0]}), which would be lost; choose another folder.")
    elif os.path.lexists(folder):
        raise UsageError(f"{folder} is a file, but the set needs a folder; choose another name.")
    return folder


def _plan_pairs(
    seed: int, first: int, people: int, pairs: int
) -> tuple[list[tuple[int, int]], list[bool], list[tuple[int, int]]]:
    """Return (identity, image) of both sides of all pairs, issame, and the (identity, number of images) needed."""
    rng = generator(seed, _PURPOSE)
    used = dict.fromkeys(range(first, first + people), 0)
    plan: list[tuple[int, int]] = []
    issame: list[bool] = []

    def add_image_of(number: int) -> None:
        plan.append((number, used[number]))
        used[number] += 1

    half = pairs // (2 * _FOLDS)
    for fold in np.array_split(np.arange(first, first + people), _FOLDS):
        members = fold.tolist()
        for _, number in zip(range(half), cycle(members)):
            add_image_of(number)
            add_image_of(number)
        for _, place in zip(range(half), cycle(range(len(members)))):
            add_image_of(members[place])
            add_image_of(members[(place + int(rng.integers(1, len(members)))) % len(members)])
        issame += [True] * half + [False] * half
    return plan, issame, sorted(used.items())
