"""The contents of a `.rec` or `.bin`: counts, sizes, damage and duplicates."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Iterator

import numpy as np
from tqdm import tqdm

from gluonfr.core import DataError, generator
from gluonfr.data import images
from gluonfr.data.contact_sheet import contact_sheet
from gluonfr.data.dataset.property_file import read_property
from gluonfr.data.identities import read_identities
from gluonfr.data.operations.source import find_train_rec
from gluonfr.data.pairs.bin_file import describe_image, read_pairs
from gluonfr.data.records.file import RecordFile

_SHEET_IMAGES, _SHEET_COLUMNS = 48, 8
_SEED, _PURPOSE = 0, 103
_FOLDS = 10


@dataclass(repr=False)
class Inspection:
    """The contents of a set.

    Attributes
    ----------
    path : str
        The `.rec` or `.bin`.
    kind : {'training', 'verification'}
        The kind of set.
    images : int
        Number of images, including damaged ones; two per pair of a verification set.
    bad : dict of int to str
        What is wrong with each damaged image, by image number. Image k of a verification set belongs to pair k // 2.
    warnings : list of str
        Sentences about the set as a whole, such as labels without images.
    sizes, formats : dict of str to int
        Number of images by size such as '112x112' (height x width), and by format such as 'jpg'.
    duplicates : list of list of int
        Image numbers with the same bytes, one list per image that occurs more than once. In a verification set, where images
        are used in several pairs, only pairs of an image with itself.
    layout : str, training only
        'header and identity records' (InsightFace) or 'images only' (im2rec).
    headers : int, training only
        Number of header records.
    identities : int, training only
        Number of people with images.
    classes : int, training only
        From `property`; None without that file.
    empty_labels : int, training only
        Labels without images, up to the number of classes or the largest label. A classifier has a useless class for each.
    images_per_identity : dict of str to float, training only
        'min', 'median' and 'max'; None when no label can be read.
    mixed : list of list of int, training only
        Those of `duplicates` that have more than one label.
    pairs, same : int, verification only
        Number of pairs, and of genuine pairs.
    distinct : int, verification only
        Number of distinct images.
    folds : list of int, verification only
        Number of genuine pairs in each of the protocol's ten folds.

    Examples
    --------
    >>> Inspection("emore/train.rec", "training", images=100, bad={7: "does not decode"})
    Inspection('emore/train.rec', training, images=100, damaged=1, warnings=0)
    """

    path: str
    kind: str
    images: int
    bad: dict[int, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    formats: dict[str, int] = field(default_factory=dict)
    duplicates: list[list[int]] = field(default_factory=list)
    layout: str | None = None
    headers: int | None = None
    identities: int | None = None
    classes: int | None = None
    empty_labels: int | None = None
    images_per_identity: dict[str, float] | None = None
    mixed: list[list[int]] | None = None
    pairs: int | None = None
    same: int | None = None
    distinct: int | None = None
    folds: list[int] | None = None

    def __repr__(self) -> str:
        counts = f"images={self.images}, damaged={len(self.bad)}, warnings={len(self.warnings)}"
        return f"Inspection({self.path!r}, {self.kind}, {counts})"

    def to_dict(self) -> dict[str, Any]:
        """Return the values that apply to this kind of set, for JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def inspect(path: str) -> Inspection:
    """Read every image of a set and report its contents. Nothing is changed.

    Parameters
    ----------
    path : str
        A `.rec`, a folder with `train.rec`, or a `.bin`.

    Returns
    -------
    Inspection
        The contents. Damaged images are listed in `bad`.

    Raises
    ------
    DataError
        The file cannot be read at all.

    Examples
    --------
    >>> import tempfile
    >>> from gluonfr.data.records import RecordWriter
    >>> folder = tempfile.mkdtemp()
    >>> with RecordWriter(folder, image_size=(8, 8)) as writer:
    ...     for label in (0, 3):
    ...         writer.add(np.zeros((8, 8, 3), np.uint8), label)
    >>> found = inspect(folder)
    >>> found.identities, found.empty_labels
    (2, 2)
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    return _inspect_pairs(path) if path.endswith(".bin") else _inspect_records(path)


def contact_sheet_of_set(path: str, count: int = _SHEET_IMAGES) -> np.ndarray:
    """Draw a contact sheet of a set: one image of each of some people, or some pairs side by side.

    Parameters
    ----------
    path : str
        A `.rec`, a folder with `train.rec`, or a `.bin`. Damaged images are left out.
    count : int, default 48
        Largest number of images.

    Returns
    -------
    np.ndarray
        uint8 (H, W, 3), RGB.

    Examples
    --------
    >>> contact_sheet_of_set("~/.mxnet/datasets/face/lfw.bin").shape  # doctest: +SKIP
    (796, 932, 3)
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    shown = list(_some_pairs(path, count) if path.endswith(".bin") else _some_people(path, count))
    if not shown:
        raise DataError(f"{path}: no image can be shown; write the file again.")
    pictures, captions = zip(*shown)
    return contact_sheet(pictures, captions, columns=_SHEET_COLUMNS)


def _inspect_records(path: str) -> Inspection:
    records = RecordFile(find_train_rec(path))
    labels, problems = records.scan()
    found = Inspection(records.path, "training", len(records), headers=records.headers)
    found.layout = "header and identity records" if records.headers else "images only"
    counter = _ImageCounter(found)
    for number in tqdm(range(len(records)), desc="images", unit="image", disable=None):
        try:
            if number in problems:
                raise DataError(problems[number])
            counter.add(number, records.read(number)[1], records.describe(number))
        except DataError as error:
            found.bad[number] = str(error)
    counter.finish()
    found.duplicates = counter.repeated()
    found.mixed = [numbers for numbers in found.duplicates if len(set(labels[numbers].tolist())) > 1]
    _inspect_labels(found, labels[labels >= 0])
    return found


def _inspect_labels(found: Inspection, labels: np.ndarray) -> None:
    declared = os.path.join(os.path.dirname(found.path), "property")
    if os.path.exists(declared):
        try:
            found.classes = read_property(declared)[0]
        except DataError as error:
            found.warnings.append(str(error))
    people, counts = np.unique(labels, return_counts=True)
    found.identities = len(people)
    if not len(people):
        found.warnings.append(f"{found.path}: no label can be used; write the file again with whole numbers from 0 as labels.")
        return
    found.images_per_identity = {"min": int(counts.min()), "median": float(np.median(counts)), "max": int(counts.max())}
    largest = int(people[-1])
    classes = max(found.classes or 0, largest + 1)
    found.empty_labels = classes - len(people)
    if found.empty_labels:
        found.warnings.append(
            f"{found.path}: {found.empty_labels:,} of {classes:,} labels have no images, and a classifier would have a class "
            f"for each; relabel the set to {len(people):,} labels without gaps."
        )
    if found.classes is not None and largest >= found.classes:
        found.warnings.append(
            f"{declared} declares {found.classes:,} classes, but the largest label is {largest:,}; correct or delete the file."
        )


def _inspect_pairs(path: str) -> Inspection:
    files, issame = read_pairs(path)
    found = Inspection(path, "verification", len(files), pairs=len(issame), same=int(issame.sum()))
    counter = _ImageCounter(found)
    for k, content in enumerate(tqdm(files, desc="images", unit="image", disable=None)):
        try:
            counter.add(k, content, describe_image(path, k))
        except DataError as error:
            found.bad[k] = str(error)
    counter.finish()
    found.distinct = len(set(files))
    found.duplicates = [[2 * i, 2 * i + 1] for i in range(len(issame)) if files[2 * i] == files[2 * i + 1]]
    found.folds = [int(fold.sum()) for fold in np.array_split(issame, _FOLDS)]
    return found


class _ImageCounter:
    """Counts images by size and format, and finds duplicates by a short hash of their bytes."""

    def __init__(self, found: Inspection) -> None:
        self._found = found
        self._sizes: Counter[str] = Counter()
        self._formats: Counter[str] = Counter()
        self._hashes: dict[bytes, list[int]] = {}

    def add(self, number: int, content: bytes, where: str) -> None:
        self._hashes.setdefault(hashlib.blake2b(content, digest_size=16).digest(), []).append(number)
        height, width = images.decode(content, where).shape[:2]
        self._sizes[f"{height}x{width}"] += 1
        self._formats[images.extension(content)[1:]] += 1

    def finish(self) -> None:
        self._found.sizes, self._found.formats = dict(self._sizes.most_common()), dict(self._formats.most_common())

    def repeated(self) -> list[list[int]]:
        return [numbers for numbers in self._hashes.values() if len(numbers) > 1]


def _some_people(path: str, count: int) -> Iterator[tuple[np.ndarray, str]]:
    records = RecordFile(find_train_rec(path))
    names = read_identities(os.path.dirname(records.path)) or {}
    labels, _ = records.scan()
    rng = generator(_SEED, _PURPOSE)
    people = np.unique(labels[labels >= 0])
    for label in np.sort(rng.permutation(people)[:count]).tolist():
        number = int(rng.choice(np.flatnonzero(labels == label)))
        try:
            yield images.decode(records.read(number)[1], ""), names.get(label, str(label))
        except DataError:
            continue


def _some_pairs(path: str, count: int) -> Iterator[tuple[np.ndarray, str]]:
    files, issame = read_pairs(path)
    for i in np.sort(generator(_SEED, _PURPOSE).permutation(len(issame))[: count // 2]).tolist():
        try:
            first, second = (images.decode(content, "") for content in files[2 * i : 2 * i + 2])
        except DataError:
            continue
        yield first, f"{i} {'same' if issame[i] else 'different'}"
        yield second, ""
