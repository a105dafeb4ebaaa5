"""A folder of people into a gallery."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field

from tqdm import tqdm

from gluonfr.apps.gallery.gallery import checked_name
from gluonfr.apps.gallery.milvus_server import is_address, name_in
from gluonfr.core import GluonFRError, display_path
from gluonfr.core.tables import write_table
from gluonfr.photos.faces import MIN_FACE, main_face
from gluonfr.photos.packing.scan import scan
from gluonfr.photos.reading import PhotoError, read_file

# Crops that are embedded and enrolled together, unless one person has more: people are enrolled whole.
_TOGETHER = 64


@dataclass
class Enrolled:
    """What became of a folder.

    Attributes
    ----------
    people, photos : int
        Who got photos, and how many.
    before : int
        Photos that were enrolled already, or stand in the folder twice.
    ambiguous : list of str
        Photos on which another face could be meant as well.
    left_out : list of (file, reason, detail)
    seconds : float
    """

    people: int = 0
    photos: int = 0
    before: int = 0
    ambiguous: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str, str]] = field(default_factory=list)
    seconds: float = 0.0


def enroll_folder(gallery, embedder, folder, aligned=None, min_face=MIN_FACE, progress=None):
    """Enroll the people of a folder: a folder a person, with photos in it or below it.

    People are enrolled whole, some at a time. What is enrolled already is known by its bytes and skipped, so that the same
    call goes on after an interruption. Of several faces on a photo the large one in the middle is taken.

    Parameters
    ----------
    gallery : Gallery
    embedder : Embedder
        Of the gallery's network.
    folder : str
    aligned : bool, optional
        As of `Embedder`.
    min_face : int, default 32
        Shorter side of the smallest face that is taken, in pixels.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    Enrolled

    Raises
    ------
    GluonFRError
        The folder is missing or holds no people; what `Gallery.enroll` raises.
    """
    start, done = time.perf_counter(), Enrolled()
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    listing = scan(folder)
    done.left_out += listing.left_out
    waiting = _Waiting(gallery, embedder, done)
    total = sum(map(len, listing.people.values()))
    with tqdm(total=total, desc=progress, unit="photo", disable=None if progress else True, leave=False) as bar:
        for person, files in listing.people.items():
            _enroll_person(waiting, folder, person, files, (aligned, min_face), bar)
    waiting.enroll()
    done.seconds = time.perf_counter() - start
    return done


def report_beside(path):
    """Where the report on a gallery's enrollment lies: `g.left_out.csv` beside `g.db`, and here for one on a server."""
    if is_address(path):
        return name_in(path) + ".left_out.csv"
    return os.path.splitext(os.path.expanduser(os.fspath(path)))[0] + ".left_out.csv"


def write_report(path, done) -> None:
    """A CSV of what was left out: file, reason, detail; also of photos on which another face could be meant."""
    rows = [*done.left_out, *((file, "ambiguous", "enrolled; another face could be meant") for file in done.ambiguous)]
    write_table(path, ["file", "reason", "detail"], rows)


def drop_report(path) -> None:
    """Take away the report of an earlier run, which would be taken for that of this one."""
    if os.path.exists(path):
        os.unlink(path)


class _Waiting:
    """People whose photos are cut, but not embedded yet."""

    def __init__(self, gallery, embedder, done) -> None:
        self.gallery, self.embedder, self.done = gallery, embedder, done
        self.people, self.owner, self.crops = {}, {}, 0

    def add(self, name, found) -> None:
        """`found`: list of (crop, digest, source)."""
        self.people.setdefault(name, []).extend(found)
        self.owner.update((digest, name) for _, digest, _ in found)
        self.crops += len(found)
        if self.crops >= _TOGETHER:
            self.enroll()

    def enroll(self) -> None:
        if not self.people:
            return
        rows = self.embedder([crop for found in self.people.values() for crop, _, _ in found], aligned=True)
        ready, start = {}, 0
        for name, found in self.people.items():
            _, digests, sources = zip(*found)
            ready[name] = rows[start : start + len(found)], digests, sources
            start += len(found)
        self.done.photos += self.gallery.enroll_people(ready)
        self.done.people += len(ready)
        self.people, self.owner, self.crops = {}, {}, 0


def _enroll_person(waiting, folder, person, files, options, bar) -> None:
    done, found, digests = waiting.done, [], set()
    try:
        name = checked_name(person)
    except GluonFRError as error:
        done.left_out.append((person, "no name", str(error)))
        bar.update(len(files))
        return
    for file in files:
        bar.update()
        try:
            content = read_file(os.path.join(folder, file))
            digest = hashlib.sha256(content).digest()
            owner = name if digest in digests else waiting.owner.get(digest) or waiting.gallery.owners([digest]).get(digest)
            if owner == name:
                done.before += 1
                continue
            if owner is not None:
                raise PhotoError("two people", f"enrolled as {display_path(owner)}")
            crop, ambiguous = main_face(waiting.embedder, content, *options)
        except PhotoError as refused:
            done.left_out.append((file, refused.reason, refused.detail))
            continue
        digests.add(digest)
        found.append((crop, digest, file))
        if ambiguous:
            done.ambiguous.append(file)
    if found:
        waiting.add(name, found)
    elif not digests and not waiting.people.get(name) and not any(each.name == name for each in waiting.gallery.people()):
        done.left_out.append((person, "no photo left", ""))
