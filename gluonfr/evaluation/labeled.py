"""Embeddings of faces whose people are known, from whatever holds them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Callable

import numpy as np

from gluonfr.core import DEFAULT_ROOT, GluonFRError, atomic_file, read_npz
from gluonfr.data import FRTrainRecordDataset
from gluonfr.data.catalog import is_training
from gluonfr.data.identities import person_names, read_identities
from gluonfr.photos.find import find_images


@dataclass
class LabeledEmbeddings:
    """Embeddings and whose they are.

    Attributes
    ----------
    embeddings : float32 (N, D)
    labels : (N,) array of str
        Names, or the digits of a training set's labels.
    left_out : dict of str to str
        Photo -> why there is no embedding of it.
    images : function of a number, or None
        Gives the crop that belongs to an embedding, uint8 (H, W, 3) RGB; None where there are only embeddings.
    named : bool
        False where the labels are a training set's numbers, which mean nothing in another set.
    """

    embeddings: np.ndarray
    labels: np.ndarray
    left_out: dict[str, str] = field(default_factory=dict)
    images: Callable | None = None
    named: bool = True


def labeled_embeddings(source, embedder=None, root=DEFAULT_ROOT, aligned=None, progress=None):
    """Embed faces whose people are known.

    Parameters
    ----------
    source : str
        `.npz` with `embeddings` and `labels`, or with `files` that lie in a folder a person; a training set below `root`, or
        a folder with `train.rec`; or a folder of photos, a folder a person.
    embedder : Embedder, optional
        Needed for all but `.npz`.
    root : str, default '~/.mxnet/datasets/face'
    aligned : bool, optional
        Of photos, see `Embedder`.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    LabeledEmbeddings

    Raises
    ------
    GluonFRError
        Nothing of that name, no network where one is needed, or not one usable image.
    """
    if source.endswith(".npz"):
        return _stored(source)
    if embedder is None:
        raise GluonFRError(f"{source} holds images, which a network must embed; name one with --model.")
    path = os.path.abspath(os.path.expanduser(source))
    if os.path.isfile(os.path.join(path, "train.rec")):
        root, source = os.path.split(path)
    elif os.path.isdir(path):
        return _photos(path, embedder, aligned, progress)
    elif not os.path.isdir(os.path.expanduser(root)) or not is_training(source, root):
        raise GluonFRError(
            f"{source} is neither a folder, nor an .npz file, nor a training set under {root}; give one of them."
        )
    return _records(FRTrainRecordDataset(source, root=root), embedder, progress)


def write_labeled(path, found) -> None:
    """Write `.npz` with `embeddings` and `labels`: whole or not at all, without pickles."""
    with atomic_file(path) as file:
        np.savez(file, embeddings=found.embeddings, labels=np.asarray(found.labels).astype(np.str_))


def _stored(path):
    stored = read_npz(path, "the arrays embeddings and labels, or files")
    if "embeddings" not in stored or not {"labels", "files"} & set(stored):
        raise GluonFRError(f"{path} needs the arrays embeddings and labels, or files; it holds {', '.join(stored) or 'none'}.")
    embeddings = stored["embeddings"]
    labels = person_names(stored["labels"], f"{path}: labels") if "labels" in stored else _folders(path, stored["files"])
    if embeddings.ndim != 2 or labels.shape != (len(embeddings),):
        raise GluonFRError(
            f"{path}: embeddings {embeddings.shape} and labels {labels.shape} do not fit; give one label for each."
        )
    return LabeledEmbeddings(embeddings, labels)


def _folders(path, files):
    files = person_names(files, f"{path}: files")
    folders = np.array([os.path.basename(os.path.dirname(file)) for file in files.ravel().tolist()], dtype=np.str_)
    loose = np.flatnonzero(folders == "")
    if len(loose):
        raise GluonFRError(
            f"{path}: {files[loose[0]]} lies in no person's folder; embed a folder that has one for each person."
        )
    return folders


def _records(dataset, embedder, progress):
    names = read_identities(os.path.dirname(dataset.records.path)) or {}
    embeddings = embedder(_Crops(dataset), aligned=True, progress=progress)
    labels = np.array([names.get(label, str(label)) for label in dataset.labels.tolist()], dtype=str)
    return LabeledEmbeddings(embeddings, labels, images=lambda i: dataset.read(i)[0], named=bool(names))


class _Crops:
    """A training set's images, decoded when they are asked for."""

    def __init__(self, dataset) -> None:
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, i):
        return self._dataset.read(i)[0]


def _photos(folder, embedder, aligned, progress):
    files = find_images([folder])
    people = [os.path.relpath(os.path.dirname(file), folder).split(os.sep)[0] for file in files]
    loose = [file for file, person in zip(files, people) if person == os.curdir]
    if loose:
        raise GluonFRError(f"{loose[0]} lies in no person's folder; put the photos of {folder} into a folder a person.")
    embeddings, kept, left_out = embedder.files(files, aligned, progress)
    if not kept:
        raise GluonFRError(f"{folder}: not one photo can be used, the first because {left_out[files[0]]}")
    person_of = dict(zip(files, people))
    labels = np.array([person_of[file] for file in kept], dtype=str)
    return LabeledEmbeddings(embeddings, labels, left_out, lambda i: embedder.crop(kept[i], aligned, kept[i]))
