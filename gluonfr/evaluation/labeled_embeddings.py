"""Embeddings of labeled faces, from training sets, folders of photos and `.npz` files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable

import numpy as np

from gluonfr.core import DEFAULT_ROOT, DataError, UsageError, atomic_file, read_npz
from gluonfr.data import FRTrainRecordDataset
from gluonfr.data.dataset.catalog import is_training
from gluonfr.data.identities import person_names, read_identities
from gluonfr.photos.find import find_photos

if TYPE_CHECKING:
    from gluonfr.deploy import Embedder


@dataclass(repr=False)
class LabeledEmbeddings:
    """Embeddings with the names of the people.

    Attributes
    ----------
    embeddings : np.ndarray, float32 (N, D)
    labels : np.ndarray of str, (N,)
        Names of the people; for a training set without names the digits of its labels.
    left_out : dict of str to str
        Photos without an embedding, with the reason.
    images : callable, optional
        Maps the index of an embedding to its crop, uint8 (H, W, 3) RGB; None without images.
    named : bool
        False if the labels are the numbers of a training set, which identify no one outside the set.

    Examples
    --------
    >>> LabeledEmbeddings(np.eye(3, dtype=np.float32), np.array(["ann", "ann", "bob"]))
    LabeledEmbeddings(3 embeddings of 3 numbers, 2 people)
    """

    embeddings: np.ndarray
    labels: np.ndarray
    left_out: dict[str, str] = field(default_factory=dict)
    images: Callable[[int], np.ndarray] | None = None
    named: bool = True

    def __repr__(self) -> str:
        count, size = self.embeddings.shape
        return f"LabeledEmbeddings({count:,} embeddings of {size} numbers, {len(np.unique(self.labels)):,} people)"


def labeled_embeddings(
    source: str,
    embedder: Embedder | None = None,
    root: str = DEFAULT_ROOT,
    aligned: bool | None = None,
    progress: str | None = None,
) -> LabeledEmbeddings:
    """Embed labeled faces, or read their embeddings.

    Parameters
    ----------
    source : str
        `.npz` with `embeddings` and `labels`, or with `embeddings` and `files` in one folder per person; name of a training
        set below `root`, or a folder with `train.rec`; or a folder with one folder of photos per person.
    embedder : Embedder, optional
        Required unless the source is an `.npz`.
    root : str, default '~/.mxnet/datasets/face'
    aligned : bool, optional
        As `Embedder`, for photos.
    progress : str, optional
        Label of a progress bar.

    Returns
    -------
    LabeledEmbeddings

    Raises
    ------
    DataError
        There is no such source, or none of its images can be used.
    UsageError
        The source contains images, and there is no embedder.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "faces.npz")
    >>> np.savez(path, embeddings=np.eye(3), labels=["ann", "ann", "bob"])
    >>> labeled_embeddings(path).labels.tolist()
    ['ann', 'ann', 'bob']
    """
    if source.endswith(".npz"):
        return _read_stored(source)
    if embedder is None:
        raise UsageError(f"{source} contains images, which need a network. Pass an embedder.")
    path = os.path.abspath(os.path.expanduser(source))
    if os.path.isfile(os.path.join(path, "train.rec")):
        root, source = os.path.split(path)
    elif os.path.isdir(path):
        return _embed_photos(path, embedder, aligned, progress)
    elif not os.path.isdir(os.path.expanduser(root)) or not is_training(source, root):
        raise DataError(
            f"{source} is not a folder, an .npz file, or a training set in {root}. Check the name and the root folder."
        )
    return _embed_records(FRTrainRecordDataset(source, root=root), embedder, progress)


def write_labeled(path: str, labeled: LabeledEmbeddings) -> None:
    """Write an `.npz` with `embeddings` and `labels` for :func:`labeled_embeddings`; the file is replaced atomically.

    Examples
    --------
    >>> import os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "faces.npz")
    >>> write_labeled(path, LabeledEmbeddings(np.eye(2), np.array(["ann", "bob"])))
    >>> labeled_embeddings(path)
    LabeledEmbeddings(2 embeddings of 2 numbers, 2 people)
    """
    with atomic_file(path) as file:
        np.savez(file, embeddings=labeled.embeddings, labels=np.asarray(labeled.labels).astype(np.str_))


def _read_stored(path: str) -> LabeledEmbeddings:
    stored = read_npz(path, "the arrays embeddings and labels, or embeddings and files")
    if "embeddings" not in stored or not {"labels", "files"} & set(stored):
        found = ", ".join(stored) or "no arrays"
        raise DataError(f"{path} needs the arrays embeddings and labels, or embeddings and files; found {found}.")
    embeddings = stored["embeddings"]
    labels = person_names(stored["labels"], f"{path}: labels") if "labels" in stored else _folders(path, stored["files"])
    if embeddings.ndim != 2 or labels.shape != (len(embeddings),):
        raise DataError(f"{path}: embeddings {embeddings.shape} and labels {labels.shape} do not match; store (N, D) and (N,).")
    return LabeledEmbeddings(embeddings, labels)


def _folders(path: str, files: np.ndarray) -> np.ndarray:
    files = person_names(files, f"{path}: files")
    folders = np.array([os.path.basename(os.path.dirname(file)) for file in files.ravel().tolist()], dtype=np.str_)
    loose = np.flatnonzero(folders == "")
    if len(loose):
        raise DataError(
            f"{path}: {files.ravel()[loose[0]]} is in no person's folder. Embed a folder with one folder per person."
        )
    return folders


def _embed_records(dataset: FRTrainRecordDataset, embedder: Embedder, progress: str | None) -> LabeledEmbeddings:
    names = read_identities(os.path.dirname(dataset.records.path)) or {}
    embeddings = embedder(_Crops(dataset), aligned=True, progress=progress)
    labels = np.array([names.get(label, str(label)) for label in dataset.labels.tolist()], dtype=str)
    return LabeledEmbeddings(embeddings, labels, images=lambda i: dataset.read(i)[0], named=bool(names))


class _Crops:
    """Sequence of the images of a training set, each decoded on access."""

    def __init__(self, dataset: FRTrainRecordDataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, i: int) -> np.ndarray:
        return self._dataset.read(i)[0]


def _embed_photos(folder: str, embedder: Embedder, aligned: bool | None, progress: str | None) -> LabeledEmbeddings:
    files = find_photos([folder])
    people = [os.path.relpath(os.path.dirname(file), folder).split(os.sep)[0] for file in files]
    loose = [file for file, person in zip(files, people) if person == os.curdir]
    if loose:
        raise DataError(f"{loose[0]} is in no person's folder. Move the photos of {folder} into one folder per person.")
    embeddings, used, left_out = embedder.files(files, aligned, progress)
    if not used:
        raise DataError(f"{folder}: no photo can be used; the first one: {left_out[files[0]]}")
    person_of = dict(zip(files, people))
    labels = np.array([person_of[file] for file in used], dtype=str)
    return LabeledEmbeddings(embeddings, labels, left_out, lambda i: embedder.crop(used[i], aligned, used[i]))
