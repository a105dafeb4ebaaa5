"""Enrollment of photos: a folder of people, or one photo."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field
from typing import Any, Callable, NamedTuple, Sequence

import numpy as np
from tqdm import tqdm

from gluonfr.apps.gallery.agreement import disagreeing_photos
from gluonfr.apps.gallery.face_choice import select_face
from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.apps.gallery.names import person_name
from gluonfr.apps.gallery.stores.source_paths import rename_in_source
from gluonfr.core import GluonFRError, display_path
from gluonfr.deploy import Embedder
from gluonfr.photos.faces import MIN_FACE, main_face
from gluonfr.photos.find import find_people
from gluonfr.photos.reading import PhotoError, read_file

# Crops to embed and enroll together. All photos of a person are enrolled in one transaction, also if they are more.
_BATCH = 64


@dataclass
class EnrollmentResult:
    """The result of enrolling a folder.

    Attributes
    ----------
    people, photos : int
        People with new photos, and new photos.
    before : int
        Photos that were enrolled already, or that are in the folder twice.
    moved : int
        Photos that were moved from one person to another because the folder has changed.
    ambiguous : list of str
        Enrolled photos on which another face could be meant.
    left_out : list of (file, reason, detail)
    seconds : float

    Examples
    --------
    >>> EnrollmentResult(people=2, photos=5).photos
    5
    """

    people: int = 0
    photos: int = 0
    before: int = 0
    moved: int = 0
    ambiguous: list[str] = field(default_factory=list)
    left_out: list[tuple[str, str, str]] = field(default_factory=list)
    seconds: float = 0.0


def enroll_folder(
    gallery: Gallery,
    embedder: Embedder,
    folder: str,
    aligned: bool | None = None,
    min_face: int = MIN_FACE,
    progress: str | None = None,
    keep_poor: bool = False,
) -> EnrollmentResult:
    """Enroll the people of a folder that contains one folder of photos per person.

    All photos of a person are enrolled in one transaction. Enrolled photos are recognized by their SHA-256 and skipped, so
    that the same call resumes after an interruption. On a photo with several faces the large face nearest the middle is used.

    Parameters
    ----------
    gallery : Gallery
    embedder : Embedder
        With the gallery's network.
    folder : str
    aligned : bool, optional
        As `Embedder`.
    min_face : int, default 32
        Shorter side of the smallest face to use, in pixels.
    progress : str, optional
        Text of a progress bar.
    keep_poor : bool, default False
        Enroll all faces. By default those that are blurred, enlarged or turned away (`check_quality`), and those that are
        unlike the other photos of the person (`disagreeing_photos`) are left out, because they resemble strangers. With
        `aligned` everything is enrolled.

    Returns
    -------
    EnrollmentResult

    Raises
    ------
    GluonFRError
        The folder is missing or contains no people; errors of `Gallery.enroll`.

    Examples
    --------
    >>> with Gallery("g.db", embedder.card) as gallery:  # doctest: +SKIP
    ...     result = enroll_folder(gallery, embedder, "people")
    """
    start, result = time.perf_counter(), EnrollmentResult()
    folder = os.path.abspath(os.path.expanduser(os.fspath(folder)))
    listing = find_people(folder)
    result.left_out += listing.left_out
    people: dict[str, list[str]] = {}
    for person, files in listing.people.items():
        try:
            people.setdefault(person_name(person), []).extend(files)
        except GluonFRError as error:
            result.left_out.append((person, "no name", str(error)))
    enrollment = _FolderEnrollment(gallery, embedder, folder, people, result, (aligned, min_face), keep_poor)
    total = sum(map(len, people.values()))
    with tqdm(total=total, desc=progress, unit="photo", disable=None if progress else True, leave=False) as bar:
        for name in people:
            enrollment.add_person(name, bar)
    enrollment.enroll_batch()
    result.seconds = time.perf_counter() - start
    return result


def enroll_photo(
    gallery: Gallery,
    embedder: Embedder,
    name: str,
    content: bytes,
    pixels: np.ndarray,
    box: Sequence[float] | None = None,
    source: str = "",
    aligned: bool | None = None,
    min_face: int = MIN_FACE,
    warn: Callable[[str], Any] | None = None,
) -> int:
    """Enroll one face of one photo.

    A photo with one face is identified by the SHA-256 of its file, as with `enroll_folder`. On a photo with several faces each
    face counts as a photo, and a box is required.

    Parameters
    ----------
    gallery : Gallery
    embedder : Embedder
        With the gallery's network.
    name : str
    content : bytes
        Content of the file.
    pixels : np.ndarray, uint8 (H, W, 3) RGB
        The decoded photo.
    box, aligned, min_face
        As `select_face`.
    source : str, optional
        Path or description of the photo.
    warn : callable, optional
        Called with a description if the face is blurred, enlarged or turned away; it is enrolled nevertheless.

    Returns
    -------
    int
        Number of new photos of the person: 0 or 1.

    Raises
    ------
    PhotoError
        There is no face, or there are several faces and no box.
    GluonFRError
        Errors of `Gallery.enroll`.

    Examples
    --------
    >>> with Gallery("g.db", embedder.card) as gallery:  # doctest: +SKIP
    ...     new = enroll_photo(gallery, embedder, "Ann", content, pixels)
    """
    # Checked before a network runs.
    name = person_name(name)
    chosen = select_face(embedder, pixels, box, aligned, min_face)
    if box is None and chosen.faces > 1:
        raise PhotoError("several faces", f"{chosen.faces} of them")
    problem = chosen.face.problem()
    if problem and warn is not None:
        warn(problem)
    identified_by = content if chosen.faces == 1 else chosen.face.crop.tobytes()
    embedding = embedder([chosen.face.crop], aligned=True)
    return gallery.enroll(name, embedding, [hashlib.sha256(identified_by).digest()], [source])


class _NewFace(NamedTuple):
    """The face of a photo that is not enrolled yet."""

    crop: np.ndarray
    digest: bytes
    file: str
    ambiguous: bool


class _FolderEnrollment:
    """Enrollment of the people of a folder, in batches of complete people."""

    def __init__(
        self,
        gallery: Gallery,
        embedder: Embedder,
        folder: str,
        people: dict[str, list[str]],
        result: EnrollmentResult,
        options: tuple[bool | None, int],
        keep_poor: bool,
    ) -> None:
        self._gallery, self._embedder, self._folder, self._people = gallery, embedder, folder, people
        self._result, self._options = result, options
        self._judge = not (keep_poor or options[0])
        # Faces per person that are not embedded yet, and the person of each digest.
        self._waiting: dict[str, list[_NewFace]] = {}
        self._owners: dict[bytes, str] = {}

    def add_person(self, name: str, bar: tqdm) -> None:
        """Find the faces of a person's photos, and enroll a batch when it is full."""
        known = False
        for file in self._people[name]:
            bar.update()
            try:
                known = self._add_photo(name, file) or known
            except PhotoError as refused:
                self._result.left_out.append((file, refused.reason, refused.detail))
        if not known and not self._is_enrolled(name):
            self._result.left_out.append((name, "no photo left", ""))
        if len(self._owners) >= _BATCH:
            self.enroll_batch()

    def enroll_batch(self) -> None:
        """Embed the waiting crops and enroll their people."""
        if not self._waiting:
            return
        rows = self._embedder([face.crop for found in self._waiting.values() for face in found], aligned=True)
        ends = np.cumsum([len(found) for found in self._waiting.values()])
        embeddings = dict(zip(self._waiting, np.split(rows, ends[:-1])))
        disagreeing = disagreeing_photos(self._gallery, embeddings) if self._judge else {}
        ready = {}
        for name, found in self._waiting.items():
            wrong = disagreeing.get(name, {})
            self._result.left_out += [(found[i].file, "unlike the others", why) for i, why in wrong.items()]
            used = [i for i in range(len(found)) if i not in wrong]
            self._result.ambiguous += [found[i].file for i in used if found[i].ambiguous]
            if used:
                ready[name] = embeddings[name][used], [found[i].digest for i in used], [found[i].file for i in used]
            elif not self._is_enrolled(name):
                self._result.left_out.append((name, "no photo left", ""))
        self._result.photos += self._gallery.enroll_people(ready)
        self._result.people += len(ready)
        self._waiting, self._owners = {}, {}

    def _is_enrolled(self, name: str) -> bool:
        return any(person.name == name for person in self._gallery.people())

    def _add_photo(self, name: str, file: str) -> bool:
        """Find the face of a photo; returns True, because the person has a photo then."""
        content = read_file(os.path.join(self._folder, file))
        digest = hashlib.sha256(content).digest()
        owner = self._owners.get(digest) or self._gallery.owners([digest]).get(digest)
        if owner == name:
            self._result.before += 1
            return True
        if owner is not None:
            self._move_or_refuse(owner, name, digest)
            return True
        face = main_face(self._embedder, content, *self._options, keep_poor=not self._judge)
        self._owners[digest] = name
        self._waiting.setdefault(name, []).append(_NewFace(face.crop, digest, file, face.ambiguous))
        return True

    def _move_or_refuse(self, owner: str, name: str, digest: bytes) -> None:
        """Move an enrolled photo from its owner to `name` if the folder of the owner does not contain it any more."""
        refusal = PhotoError("two people", f"enrolled as {display_path(owner)}")
        if digest in self._owners or owner not in self._people or self._folder_contains(owner, digest):
            raise refusal
        source = next(entry.source for _, entry in self._gallery.entries(owner) if entry.digest == digest)
        # Only what was enrolled from a folder of people is moved with it.
        if rename_in_source(source, owner, name) == source:
            raise refusal
        self._gallery.move_photos(owner, [digest], name)
        self._result.moved += 1

    def _folder_contains(self, name: str, digest: bytes) -> bool:
        for file in self._people[name]:
            try:
                if hashlib.sha256(read_file(os.path.join(self._folder, file))).digest() == digest:
                    return True
            except PhotoError:
                continue
        return False
