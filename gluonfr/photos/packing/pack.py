from __future__ import annotations

import logging
import os
import shutil
import time
from dataclasses import dataclass, field

from tqdm import tqdm

from gluonfr.core import GluonFRError, disk_errors, display_path
from gluonfr.core.tables import write_table
from gluonfr.data.identities import FILE_NAME, read_identities, write_identities
from gluonfr.data.records import RecordWriter
from gluonfr.photos.packing.crops import Cut, make_cropper
from gluonfr.photos.packing.journal import Journal, alone
from gluonfr.photos.packing.process_pool import WorkerDiedError, run_in_processes
from gluonfr.photos.packing.report import AMBIGUOUS, LEFT_OUT, SAMPLE, reasons, some, write_left_out, write_sample
from gluonfr.photos.packing.scan import scan

logger = logging.getLogger(__name__)

WORK = ".pack"
# In the order in which they appear: the set counts once its train.rec is there.
_FILES = (FILE_NAME, LEFT_OUT, AMBIGUOUS, SAMPLE, "train.idx", "property", "train.rec")


@dataclass
class Packed:
    """What `pack` made.

    Attributes
    ----------
    folder : str
    images, identities : int
        In the set.
    left_out : list of (file, reason, detail)
    ambiguous : list of str
        Files of which a face was taken although another could have been meant.
    done_before : int
        Photos that an earlier run had finished.
    seconds : float
    """

    folder: str
    images: int = 0
    identities: int = 0
    left_out: list = field(default_factory=list)
    ambiguous: list = field(default_factory=list)
    done_before: int = 0
    seconds: float = 0.0


def pack(photos, out, workers=1, keep_duplicates=False, overwrite=False, **cropping):
    """Make a training set of a folder of people.

    Each folder in `photos` is a person, whose photos are all image files below it. Labels follow the folders' names in the
    order of their bytes, unless PHOTOS/identities.csv says which label a folder has (folders it does not name come after
    those it does). A person of whom no photo is left gets no label.

    What is done lies in OUT/.pack until the set is whole: a run that ended in any way goes on when it is called again, and
    ends with the same bytes as one that was never interrupted, whatever the number of workers. Until then OUT holds no
    new `train.rec`.

    Parameters
    ----------
    photos : str
        The folder of people.
    out : str
        Folder of the set: `train.rec`, `train.idx`, `property`, `identities.csv` (label, name, images), `left_out.csv` (file,
        reason, detail), `ambiguous.csv` (file) and `sample.png`.
    workers : int, default 1
        Processes; 0 works in this one, where results may differ in the last bit from those of processes.
    keep_duplicates : bool, default False
        Keep files with the same bytes. Without it the first of a person is kept, and of files under several people none.
    overwrite : bool, default False
        Replace a finished set in `out`, once the new one is whole; begin again when unfinished work had other options.
    **cropping
        Of `make_cropper`: template, aligned, image_size, detector, min_face, quality.

    Returns
    -------
    Packed

    Raises
    ------
    GluonFRError
        The folders cannot be used, `out` holds a finished set, an option is wrong, or no photo is left.
    """
    began = time.perf_counter()
    if workers < 0:
        raise GluonFRError(f"workers must be 0 or more processes, got {workers}.")
    cropper = make_cropper(**cropping)
    photos, out = (os.path.abspath(os.path.expanduser(os.fspath(each))) for each in (photos, out))
    listing = scan(photos)
    if os.path.realpath(out).startswith(os.path.join(os.path.realpath(photos), "")) or os.path.realpath(
        out
    ) == os.path.realpath(photos):
        raise GluonFRError(
            f"{display_path(out)}: lies in the folder of photos, where it would count as a person; name one outside."
        )
    with disk_errors(out):
        os.makedirs(out, exist_ok=True)
        with alone(out):
            packed = _pack(photos, out, listing, cropper, workers, keep_duplicates, overwrite)
    packed.seconds = time.perf_counter() - began
    return packed


def _pack(photos, out, listing, cropper, workers, keep_duplicates, overwrite):
    work = os.path.join(out, WORK)
    if os.path.exists(os.path.join(out, "train.rec")) and not Journal.exists(work):
        shutil.rmtree(work, ignore_errors=True)
        if not overwrite:
            raise GluonFRError(
                f"{display_path(out)}: holds a finished set; name another folder, or give --overwrite to replace it."
            )
    settings = {"photos": os.path.realpath(photos), **cropper.to_dict()}
    journal = Journal(work, settings, anew=overwrite)
    try:
        done_before = _crop(photos, listing, cropper, workers, journal)
        packed = _assemble(photos, out, listing, journal, cropper.image_size, keep_duplicates)
        packed.done_before = done_before
        journal.remove()
    finally:
        journal.close()
    return packed


def _crop(photos, listing, cropper, workers, journal):
    """Work on every photo that is not done; returns how many were."""
    names = [name for of_person in listing.people.values() for name in of_person]
    statuses, to_do = {}, []
    for name in names:
        status = _status(os.path.join(photos, name))
        if not journal.has(name, status):
            statuses[name] = status
            to_do.append(name)
    done = len(names) - len(to_do)
    if done:
        logger.info("%d of %d photos were done before", done, len(names))
    paths = (os.path.join(photos, name) for name in to_do)
    with tqdm(total=len(names), initial=done, desc="packing", unit="photo", disable=None) as bar:
        for path, cut in run_in_processes(cropper, paths, workers):
            name = os.path.relpath(path, photos)
            cut = Cut(reason="failed", detail="a process died of it, twice") if cut is WorkerDiedError else cut
            journal.add(name, statuses[name], cut)
            bar.update()
    return done


def _status(path):
    try:
        return os.stat(path)
    except OSError:
        return None


def _assemble(photos, out, listing, journal, image_size, keep_duplicates):
    packed = Packed(out, left_out=list(listing.left_out))
    kept = _keep(listing, journal, keep_duplicates, packed)
    order = {name: number for number, name in enumerate(listing.people)}
    packed.left_out.sort(key=lambda row: (order.get(row[0].split(os.sep)[0], -1), os.fsencode(row[0])))
    if not any(kept.values()):
        write_left_out(out, packed.left_out)
        raise GluonFRError(
            f"{display_path(photos)}: no photo is left to pack ({reasons(packed.left_out)}); {LEFT_OUT} in {display_path(out)} names each."
        )
    labels = _labels(photos, kept)
    stage = os.path.join(out, WORK, "set")
    shutil.rmtree(stage, ignore_errors=True)
    rows = sorted((label, person) for person, label in labels.items())
    crops = [(label, person, name) for label, person in rows for name in kept[person]]
    with RecordWriter(stage, image_size) as writer:
        for label, _, name in tqdm(crops, desc="writing", unit="image", disable=None):
            writer.add(journal.cut(name).payload, label)
    write_identities(stage, [(label, person, len(kept[person])) for label, person in rows])
    write_left_out(stage, packed.left_out)
    write_table(os.path.join(stage, AMBIGUOUS), ["file"], [[name] for name in packed.ambiguous])
    write_sample(stage, [(journal.cut(crops[i][2]).payload, crops[i][1]) for i in some(len(crops)).tolist()])
    _publish(stage, out)
    packed.images, packed.identities = len(crops), len(rows)
    return packed


def _keep(listing, journal, keep_duplicates, packed):
    """Person -> photos that have a crop and are no duplicates; the others are told in `packed`."""
    kept, first, owners = {}, {}, {}
    cuts = {name: journal.cut(name, payload=False) for names in listing.people.values() for name in names}
    for person, names in listing.people.items():
        for name in names:
            if cuts[name].payload is not None:
                owners.setdefault(cuts[name].digest, {}).setdefault(person, name)
    for person, names in listing.people.items():
        kept[person] = []
        for name in names:
            cut = cuts[name]
            others = [] if keep_duplicates else [each for who, each in owners.get(cut.digest, {}).items() if who != person]
            if cut.payload is None:
                packed.left_out.append((name, cut.reason, cut.detail))
            elif others:
                packed.left_out.append((name, "two people", f"the same bytes as {others[0]}"))
            elif not keep_duplicates and first.setdefault((person, cut.digest), name) != name:
                packed.left_out.append((name, "duplicate", f"the same bytes as {first[person, cut.digest]}"))
            else:
                kept[person].append(name)
                if cut.ambiguous:
                    packed.ambiguous.append(name)
        if not kept[person]:
            packed.left_out.append((person, "no photo left", "of this person"))
    return kept


def _labels(photos, kept):
    """Person -> label, for those who have photos left."""
    given = {person: label for label, person in (read_identities(photos) or {}).items()}
    following = max(given.values(), default=-1) + 1
    labels = {}
    for person, names in kept.items():
        if not names:
            continue
        if person in given:
            labels[person] = given[person]
        else:
            labels[person], following = following, following + 1
    return labels


def _publish(stage, out) -> None:
    """Move the finished files to their place, train.rec last; an old train.rec goes first, so that no mixture ever loads."""
    old = os.path.join(out, "train.rec")
    if os.path.exists(old):
        os.unlink(old)
    for name in _FILES:
        os.replace(os.path.join(stage, name), os.path.join(out, name))
    descriptor = os.open(out, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
