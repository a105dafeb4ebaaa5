"""Packing a folder of people into a training set."""

from __future__ import annotations

import logging
import os
import shutil
import time
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from gluonfr.core import DataError, UsageError, disk_errors, display_path
from gluonfr.core.files import sync_folder
from gluonfr.core.tables import write_table
from gluonfr.data.identities import FILE_NAME, read_identities, write_identities
from gluonfr.data.records import RecordWriter
from gluonfr.photos.find import PeopleFolder, find_people, person_name
from gluonfr.photos.folder_lock import lock_folder
from gluonfr.photos.packing.crops import Cropper, CropResult, make_cropper
from gluonfr.photos.packing.journal import Journal
from gluonfr.photos.packing.process_pool import run_in_processes
from gluonfr.photos.packing.report import AMBIGUOUS, LEFT_OUT, SAMPLE, choose_sample, reasons, write_left_out, write_sample

logger = logging.getLogger(__name__)

WORK = ".pack"
# In the order in which they appear: the set is complete once its train.rec exists.
_FILES = (FILE_NAME, LEFT_OUT, AMBIGUOUS, SAMPLE, "train.idx", "property", "train.rec")
CRASHED = CropResult(reason="failed", detail="it crashed two processes")


@dataclass
class Packed:
    """The result of :func:`pack`.

    Attributes
    ----------
    folder : str
    images, identities : int
        In the set.
    left_out : list of (file, reason, detail)
    ambiguous : list of str
        Files of which another face could be the subject as well.
    done_before : int
        Photos that an earlier, interrupted run had finished.
    seconds : float

    Examples
    --------
    >>> Packed("sets/mine", images=120, identities=10).images
    120
    """

    folder: str
    images: int = 0
    identities: int = 0
    left_out: list[tuple[str, str, str]] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    done_before: int = 0
    seconds: float = 0.0


def pack(
    photos: str | os.PathLike,
    out: str | os.PathLike,
    workers: int = 1,
    keep_duplicates: bool = False,
    overwrite: bool = False,
    keep_poor: bool = False,
    **cropping: Any,
) -> Packed:
    """Pack a folder of people into a training set.

    Each folder in `photos` is one person, with all image files below it. Labels follow the names of the people in the order
    of their bytes, unless `identities.csv` in `photos` gives the label of a person; people it does not name follow those it
    names. A person without any usable photo gets no label.

    Finished photos are saved in `.pack` in `out` until the set is complete. An interrupted call is resumed by the same call,
    and the result has the same bytes as without the interruption, with any number of workers. Until then `out` contains no
    new `train.rec`.

    Parameters
    ----------
    photos : path
        The folder of people.
    out : path
        Folder of the set: `train.rec`, `train.idx`, `property`, `identities.csv` (label, name, images), `left_out.csv` (file,
        reason, detail), `ambiguous.csv` (file) and `sample.png`.
    workers : int, default 1
        Processes; 0 works in this process, where results may differ in the last bit.
    keep_duplicates : bool, default False
        Keep files with the same bytes. Otherwise the first one of a person is kept, and files found under several people are
        left out.
    overwrite : bool, default False
        Replace a finished set in `out` once the new one is complete, and start again when unfinished work has other options.
    keep_poor : bool, default False
        Keep faces that are blurred, enlarged or turned away instead of leaving them out; see
        :func:`gluonfr.photos.quality.check_quality`.
    **cropping
        See :func:`make_cropper`: template, aligned, image_size, detector, min_face, quality.

    Returns
    -------
    Packed

    Raises
    ------
    UsageError
        An option is invalid, or `out` contains a finished set or lies within `photos`.
    DataError
        The folder cannot be read, or no photo can be used.

    Examples
    --------
    >>> packed = pack("photos/", "sets/mine", workers=2)  # doctest: +SKIP
    """
    began = time.perf_counter()
    if workers < 0:
        raise UsageError(f"workers must be 0 or more processes, got {workers}.")
    cropper = make_cropper(keep_poor=keep_poor, **cropping)
    photos, out = (os.path.abspath(os.path.expanduser(os.fspath(path))) for path in (photos, out))
    listing = find_people(photos)
    if os.path.join(os.path.realpath(out), "").startswith(os.path.join(os.path.realpath(photos), "")):
        raise UsageError(f"{display_path(out)}: lies in the folder of photos, where it would be a person. Use another folder.")
    with disk_errors(out):
        os.makedirs(out, exist_ok=True)
        with lock_folder(out):
            packed = _pack(photos, out, listing, cropper, workers, keep_duplicates, overwrite)
    packed.seconds = time.perf_counter() - began
    return packed


def _pack(
    photos: str, out: str, listing: PeopleFolder, cropper: Cropper, workers: int, keep_duplicates: bool, overwrite: bool
) -> Packed:
    work = os.path.join(out, WORK)
    if os.path.exists(os.path.join(out, "train.rec")) and not Journal.exists(work):
        shutil.rmtree(work, ignore_errors=True)
        if not overwrite:
            raise UsageError(
                f"{display_path(out)} contains a finished set. Use another folder, or overwrite=True to replace it."
            )
    settings = {"photos": os.path.realpath(photos), **cropper.to_dict()}
    journal = Journal(work, settings, restart=overwrite)
    try:
        done_before = _crop_all(photos, listing, cropper, workers, journal)
        packed = _assemble(photos, out, listing, journal, cropper.image_size, keep_duplicates)
        packed.done_before = done_before
        journal.remove()
    finally:
        journal.close()
    return packed


def _crop_all(photos: str, listing: PeopleFolder, cropper: Cropper, workers: int, journal: Journal) -> int:
    """Crop every photo that is not in the journal; returns how many were there before."""
    names = [name for of_person in listing.people.values() for name in of_person]
    statuses, remaining = {}, []
    for name in names:
        status = _status(os.path.join(photos, name))
        if not journal.has(name, status):
            statuses[name] = status
            remaining.append(name)
    done = len(names) - len(remaining)
    if done:
        logger.info("%d of %d photos were finished before", done, len(names))
    paths = (os.path.join(photos, name) for name in remaining)
    with tqdm(total=len(names), initial=done, desc="packing", unit="photo", disable=None) as bar:
        for path, result in run_in_processes(cropper, paths, workers, CRASHED):
            name = os.path.relpath(path, photos)
            journal.add(name, statuses[name], result)
            bar.update()
    return done


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _assemble(
    photos: str, out: str, listing: PeopleFolder, journal: Journal, image_size: tuple[int, int], keep_duplicates: bool
) -> Packed:
    """Write the set from the journal's crops."""
    packed = Packed(out, left_out=list(listing.left_out))
    used = _choose_photos(listing, journal, keep_duplicates, packed)
    order = {name: number for number, name in enumerate(listing.people)}
    packed.left_out.sort(key=lambda row: (order.get(person_name(row[0].split(os.sep)[0]), -1), os.fsencode(row[0])))
    if not any(used.values()):
        write_left_out(out, packed.left_out)
        raise DataError(
            f"{display_path(photos)}: no photo can be packed ({reasons(packed.left_out)}). "
            f"See {LEFT_OUT} in {display_path(out)}."
        )
    stage = os.path.join(out, WORK, "set")
    shutil.rmtree(stage, ignore_errors=True)
    rows = sorted((label, person) for person, label in _labels(photos, used).items())
    crops = [(label, person, name) for label, person in rows for name in used[person]]
    with RecordWriter(stage, image_size) as writer:
        for label, _, name in tqdm(crops, desc="writing", unit="image", disable=None):
            writer.add(journal.result(name).payload, label)
    write_identities(stage, [(label, person, len(used[person])) for label, person in rows])
    write_left_out(stage, packed.left_out)
    write_table(os.path.join(stage, AMBIGUOUS), ["file"], [[name] for name in packed.ambiguous])
    sample = [crops[i] for i in choose_sample(len(crops)).tolist()]
    write_sample(stage, [(journal.result(name).payload or b"", person) for _, person, name in sample])
    _publish(stage, out)
    packed.images, packed.identities = len(crops), len(rows)
    return packed


def _choose_photos(listing: PeopleFolder, journal: Journal, keep_duplicates: bool, packed: Packed) -> dict[str, list[str]]:
    """Return the photos of each person that have a crop and are no duplicates; the others are recorded in `packed`."""
    results = {name: journal.result(name, payload=False) for names in listing.people.values() for name in names}
    owners: dict[str, dict[str, str]] = {}  # digest -> person -> first photo
    for person, names in listing.people.items():
        for name in names:
            if results[name].payload is not None:
                owners.setdefault(results[name].digest, {}).setdefault(person, name)
    used: dict[str, list[str]] = {}
    for person, names in listing.people.items():
        used[person] = []
        for name in names:
            result = results[name]
            photos = {} if keep_duplicates else owners.get(result.digest, {})
            others = [photo for owner, photo in photos.items() if owner != person]
            if result.payload is None:
                packed.left_out.append((name, result.reason, result.detail))
            elif others:
                packed.left_out.append((name, "two people", f"the same bytes as {others[0]}"))
            elif photos.get(person, name) != name:
                packed.left_out.append((name, "duplicate", f"the same bytes as {photos[person]}"))
            else:
                used[person].append(name)
                if result.ambiguous:
                    packed.ambiguous.append(name)
        if not used[person]:
            packed.left_out.append((person, "no photo left", "of this person"))
    return used


def _labels(photos: str, used: dict[str, list[str]]) -> dict[str, int]:
    """Return the label of each person with photos."""
    given = {person_name(person): label for label, person in (read_identities(photos) or {}).items()}
    following = max(given.values(), default=-1) + 1
    labels = {}
    for person, names in used.items():
        if not names:
            continue
        if person in given:
            labels[person] = given[person]
        else:
            labels[person], following = following, following + 1
    return labels


def _publish(stage: str, out: str) -> None:
    """Move the finished files to their place, train.rec last.

    An old train.rec is removed first, so that a mixture of two sets never loads.
    """
    old = os.path.join(out, "train.rec")
    if os.path.exists(old):
        os.unlink(old)
    for name in _FILES:
        os.replace(os.path.join(stage, name), os.path.join(out, name))
    sync_folder(out)
