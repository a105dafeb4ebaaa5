"""What can be cleaned, or be a test set: records, a folder a person, pairs."""

from __future__ import annotations

import os

import numpy as np

from gluonfr.core import DEFAULT_ROOT, GluonFRError, display_path
from gluonfr.data import FRValDataset, images
from gluonfr.data.dataset.catalog import find_set, is_training
from gluonfr.data.operations.source import RecordSource
from gluonfr.metrics import linked_people
from gluonfr.photos.faces import MIN_FACE, main_face, why
from gluonfr.photos.packing.scan import scan
from gluonfr.photos.reading import PhotoError, read_file
from gluonfr.photos.resumable import file_state


def open_set(source, root=DEFAULT_ROOT, skip=False, aligned=None, min_face=MIN_FACE):
    """The set of a name or path: a `.rec`, a folder with `train.rec`, a `.bin`, a folder of photos a person, or a name below
    `root`.

    Parameters
    ----------
    source : str
    root : str, default '~/.mxnet/datasets/face'
    skip : bool, default False
        Of records: leave damaged ones out instead of stopping at the first.
    aligned, min_face
        Of photos, as `main_face`.

    Returns
    -------
    RecordSet, FolderSet or PairSet
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(source)))
    if os.path.isfile(path) and path.endswith(".bin"):
        return PairSet(path)
    if os.path.isfile(path) or os.path.isfile(os.path.join(path, "train.rec")):
        return RecordSet(path, skip)
    if os.path.isdir(path):
        return FolderSet(path, aligned, min_face)
    if not os.path.isdir(os.path.expanduser(root)):
        raise GluonFRError(
            f"{display_path(source)} is missing: give a .rec, a .bin, a folder with train.rec or a folder of people."
        )
    if is_training(source, root):
        return RecordSet(os.path.dirname(find_set(source, root, "training")), skip)
    return PairSet(find_set(source, root, "verification"))


class RecordSet:
    """The images of a `.rec`.

    Attributes
    ----------
    path : str
    labels : (N,) int64
    keys : (N,) int64
        The image numbers, which name the images.
    """

    kind = "records"

    def __init__(self, path, skip=False) -> None:
        self.source, self.skip = RecordSource(path, skip), skip
        self.path = self.source.records.path
        self.keys = self.source.numbers()
        self.labels = self.source.labels[self.keys]

    def name(self, label):
        """The person of a label."""
        return self.source.name(int(label))

    def state(self):
        """What changes when the set does."""
        return ["records", self.path, file_state(self.path)]

    def crop(self, i, embedder):
        """uint8 (H, W, 3) RGB of image i, as the network takes it."""
        where = self.source.records.describe(int(self.keys[i]))
        return embedder.crop(images.decode(self.source.records.read(int(self.keys[i]))[1], where), True, where)


class FolderSet:
    """The photos of a folder a person; the face in the middle of each. Attributes as `RecordSet`; keys are paths in it."""

    kind, skip = "photos", True

    def __init__(self, path, aligned=None, min_face=MIN_FACE) -> None:
        self.path, self._options = path, (aligned, min_face)
        listing = scan(path)
        self.people = list(listing.people)
        self.keys = [file for files in listing.people.values() for file in files]
        self.labels = np.repeat(np.arange(len(self.people)), [len(files) for files in listing.people.values()])

    def name(self, label):
        return self.people[int(label)]

    def state(self):
        return [
            "photos",
            self.path,
            list(self._options),
            [[display_path(key), file_state(os.path.join(self.path, key))] for key in self.keys],
        ]

    def crop(self, i, embedder):
        where = os.path.join(self.path, self.keys[i])
        try:
            return main_face(embedder, read_file(where), *self._options)[0]
        except PhotoError as refused:
            raise GluonFRError(f"{display_path(where)} cannot be used: {why(refused)}.") from refused


class PairSet:
    """The images of a verification set, each file once. Labels are people as far as the pairs give them away."""

    kind, skip = "pairs", False

    def __init__(self, path) -> None:
        folder, name = os.path.split(path)
        self._dataset = FRValDataset(name[: -len(".bin")], root=folder)
        self.path = path
        first, place = self._dataset.distinct()
        self.keys = np.array(first)
        people = linked_people(np.array(place), self._dataset.issame)
        self.labels = np.arange(len(first)) if people is None else people.reshape(-1)[self.keys]

    def name(self, label) -> str:
        # A `.bin` names nobody: an image of the person does.
        return f"image {int(self.keys[np.flatnonzero(self.labels == label)[0]])}"

    def state(self):
        return ["pairs", self.path, file_state(self.path)]

    def crop(self, i, embedder):
        key = int(self.keys[i])
        return embedder.crop(self._dataset.image(key), True, f"{self.path}: image {key % 2} of pair {key // 2}")
