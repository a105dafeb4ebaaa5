"""Sets that can be cleaned or serve as test sets: records, one folder of photos per person, and verification pairs."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from gluonfr.core import DEFAULT_ROOT, DataError, PathLike, absolute_path, display_path
from gluonfr.data import FRValDataset, images
from gluonfr.data.dataset.catalog import find_set, is_training
from gluonfr.data.operations.source import RecordSource
from gluonfr.deploy import Embedder
from gluonfr.metrics import linked_people
from gluonfr.photos.faces import MIN_FACE, main_face
from gluonfr.photos.find import find_people
from gluonfr.photos.reading import PhotoError, read_file
from gluonfr.photos.resumable import file_state


class FaceSet(ABC):
    """A set of labeled face images.

    Attributes
    ----------
    kind : {'records', 'photos', 'pairs'}
    path : str
    skip : bool
        Whether images that cannot be used are left out instead of raising an error.
    labels : np.ndarray, (N,) int64
    keys : sequence of N
        Keys that identify the images: numbers in a record file, or paths.

    Examples
    --------
    >>> open_set("emore")  # doctest: +SKIP
    RecordSet('/data/emore/train.rec', images=5822653)
    """

    kind: str
    path: str
    skip: bool
    labels: np.ndarray
    keys: Any

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r}, images={len(self.labels)})"

    @abstractmethod
    def name(self, label: int) -> str:
        """Return the name of a label's person."""

    @abstractmethod
    def state(self) -> list[Any]:
        """Return JSON values that change when the set changes."""

    @abstractmethod
    def crop(self, i: int, embedder: Embedder) -> np.ndarray:
        """Return image i as the network expects it, uint8 (H, W, 3) RGB."""


class RecordSet(FaceSet):
    """The images of a `.rec` file.

    Parameters
    ----------
    path : str
        A .rec file, or a folder with `train.rec`.
    skip : bool, default False
        Leave out damaged records.

    Examples
    --------
    >>> RecordSet("/data/emore")  # doctest: +SKIP
    RecordSet('/data/emore/train.rec', images=5822653)
    """

    kind = "records"

    def __init__(self, path: str, skip: bool = False) -> None:
        self.source, self.skip = RecordSource(path, skip), skip
        self.path = self.source.records.path
        self.keys = self.source.numbers()
        self.labels = self.source.labels[self.keys]

    def name(self, label: int) -> str:
        """Return the name of a label's person."""
        return self.source.name(int(label))

    def state(self) -> list[Any]:
        """Return JSON values that change when the file changes."""
        return ["records", self.path, file_state(self.path)]

    def crop(self, i: int, embedder: Embedder) -> np.ndarray:
        """Return image i as the network expects it."""
        where = self.source.records.describe(int(self.keys[i]))
        return embedder.crop(images.decode(self.source.records.read(int(self.keys[i]))[1], where), True, where)


class FolderSet(FaceSet):
    """The photos in one folder per person; of each photo the large face nearest the middle.

    Parameters
    ----------
    path : str
    aligned : bool, optional
        As `Embedder`.
    min_face : int, default 32
        Shorter side of the smallest face to use, in pixels.

    Examples
    --------
    >>> FolderSet("people")  # doctest: +SKIP
    FolderSet('people', images=168)
    """

    kind, skip = "photos", True

    def __init__(self, path: str, aligned: bool | None = None, min_face: int = MIN_FACE) -> None:
        self.path, self._options = path, (aligned, min_face)
        listing = find_people(path)
        self.people = list(listing.people)
        self.keys = [file for files in listing.people.values() for file in files]
        self.labels = np.repeat(np.arange(len(self.people)), [len(files) for files in listing.people.values()])

    def name(self, label: int) -> str:
        """Return the name of a label's folder."""
        return self.people[int(label)]

    def state(self) -> list[Any]:
        """Return JSON values that change when a photo changes."""
        files = [[display_path(key), file_state(os.path.join(self.path, key))] for key in self.keys]
        return ["photos", self.path, list(self._options), files]

    def crop(self, i: int, embedder: Embedder) -> np.ndarray:
        """Return the aligned face of photo i."""
        where = os.path.join(self.path, self.keys[i])
        try:
            return main_face(embedder, read_file(where), *self._options).crop
        except PhotoError as refused:
            raise DataError(f"{display_path(where)} cannot be used: {refused}; remove it from the set.") from refused


class PairSet(FaceSet):
    """The images of a verification set, each file once. Labels are people as far as the pairs reveal them.

    Parameters
    ----------
    path : str
        A .bin file.

    Examples
    --------
    >>> PairSet("lfw.bin")  # doctest: +SKIP
    PairSet('lfw.bin', images=7701)
    """

    kind, skip = "pairs", False

    def __init__(self, path: str) -> None:
        folder, name = os.path.split(path)
        self._dataset = FRValDataset(name[: -len(".bin")], root=folder)
        self.path = path
        first, place = self._dataset.distinct()
        self.keys = np.array(first)
        people = linked_people(np.array(place), self._dataset.issame)
        self.labels = np.arange(len(first)) if people is None else people.reshape(-1)[self.keys]

    def name(self, label: int) -> str:
        """Return an image of the person, because a `.bin` file has no names."""
        return f"image {int(self.keys[np.flatnonzero(self.labels == label)[0]])}"

    def state(self) -> list[Any]:
        """Return JSON values that change when the file changes."""
        return ["pairs", self.path, file_state(self.path)]

    def crop(self, i: int, embedder: Embedder) -> np.ndarray:
        """Return image i as the network expects it."""
        key = int(self.keys[i])
        return embedder.crop(self._dataset.image(key), True, f"{self.path}: image {key % 2} of pair {key // 2}")


def open_set(
    source: PathLike,
    root: str = DEFAULT_ROOT,
    skip: bool = False,
    aligned: bool | None = None,
    min_face: int = MIN_FACE,
) -> FaceSet:
    """Open a set by path or name.

    Parameters
    ----------
    source : str
        A .rec file, a folder with `train.rec`, a .bin file, a folder with one folder of photos per person, or a name below
        `root`.
    root : str, default '~/.mxnet/datasets/face'
    skip : bool, default False
        Of records: leave out damaged ones instead of raising an error.
    aligned, min_face
        Of photos: as `FolderSet`.

    Returns
    -------
    FaceSet

    Examples
    --------
    >>> open_set("emore")  # doctest: +SKIP
    RecordSet('/data/emore/train.rec', images=5822653)
    """
    name = os.fspath(source)
    path = absolute_path(source)
    has_records = os.path.isfile(os.path.join(path, "train.rec"))
    if os.path.isdir(path) and not has_records and not is_training(name, root):
        return FolderSet(path, aligned, min_face)
    file = find_set(name, root)
    return PairSet(file) if file.endswith(".bin") else RecordSet(file, skip)
