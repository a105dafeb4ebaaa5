"""What a `.rec` or `.bin` holds: counts, sizes, damage and repetitions."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import asdict, dataclass, field

import numpy as np
from tqdm import tqdm

from gluonfr.core import GluonFRError, generator
from gluonfr.data import images
from gluonfr.data.contact_sheet import contact_sheet
from gluonfr.data.dataset import _read_property
from gluonfr.data.identities import read_identities
from gluonfr.data.images import extension
from gluonfr.data.pairs import read_pairs
from gluonfr.data.records.file import RecordFile

_SHOWN = 48
_SEED, _PEOPLE = 0, 103


@dataclass
class Inspection:
    """What a set holds.

    Attributes
    ----------
    path : str
    kind : {'training', 'verification'}
    images : int
        Damaged ones included; of a verification set, two a pair.
    bad : dict
        Image number -> the sentence that says why it is damaged. Image k of a verification set belongs to pair k // 2.
    sizes, formats : dict
        '112x112' (height x width), 'jpg' -> number of images.
    duplicates : list of list of int
        Image numbers with the same bytes, a list for each picture that stands there more than once; of a verification set,
        where benchmarks use a picture in several pairs, only pairs of a picture with itself.
    layout : str, training only
        'header and identity records' (InsightFace's), or 'images only' (im2rec's).
    headers : int, training only
        Records that are no images.
    identities : int, training only
        People with images.
    classes : int, training only
        From `property`, or None when there is none.
    images_per_identity : dict, training only
        'min', 'median' and 'max'.
    mixed : list of list of int, training only
        Those of `duplicates` that stand under more than one label.
    pairs, same : int, verification only
        All pairs, and those of one person.
    distinct : int, verification only
        Different pictures.
    folds : list of int, verification only
        Pairs of one person in each of the protocol's ten folds.
    """

    path: str
    kind: str
    images: int
    bad: dict[int, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    formats: dict[str, int] = field(default_factory=dict)
    duplicates: list[list[int]] = field(default_factory=list)
    layout: str | None = None
    headers: int | None = None
    identities: int | None = None
    classes: int | None = None
    images_per_identity: dict[str, float] | None = None
    mixed: list[list[int]] | None = None
    pairs: int | None = None
    same: int | None = None
    distinct: int | None = None
    folds: list[int] | None = None

    def to_dict(self):
        """What applies to this kind of set, as JSON takes it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def inspect(path):
    """Read every image of a set and say what is there. Nothing is changed.

    Parameters
    ----------
    path : str
        A `.rec`, a folder with `train.rec`, or a `.bin`.

    Returns
    -------
    Inspection

    Raises
    ------
    GluonFRError
        The file cannot be read at all; single damaged images are told in `bad`.
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    return _inspect_pairs(path) if path.endswith(".bin") else _inspect_records(path)


def _inspect_records(path):
    records = RecordFile(os.path.join(path, "train.rec") if os.path.isdir(path) else path)
    labels, problems = records.scan()
    found = Inspection(records.path, "training", len(records), headers=records.headers)
    found.layout = "header and identity records" if records.headers else "images only"
    declared = os.path.join(os.path.dirname(records.path), "property")
    if os.path.exists(declared):
        found.classes = _read_property(declared)[0]
    seen = _Seen(found)
    for number in tqdm(range(len(records)), desc="images", unit="image", disable=None):
        if number in problems:
            found.bad[number] = problems[number]
            continue
        try:
            payload = records.read(number)[1]
        except GluonFRError as error:
            found.bad[number] = str(error)
            continue
        seen.add(number, payload, records.describe(number))
    found.duplicates = seen.repeated()
    found.mixed = [numbers for numbers in found.duplicates if len(set(labels[numbers].tolist())) > 1]
    counts = np.unique(labels[labels >= 0], return_counts=True)[1]
    found.identities = len(counts)
    found.images_per_identity = {"min": int(counts.min()), "median": float(np.median(counts)), "max": int(counts.max())}
    return found


def _inspect_pairs(path):
    payloads, issame = read_pairs(path)
    found = Inspection(path, "verification", len(payloads), pairs=len(issame), same=int(issame.sum()))
    seen = _Seen(found)
    for k, payload in enumerate(tqdm(payloads, desc="images", unit="image", disable=None)):
        seen.add(k, payload, f"{path}: image {k % 2} of pair {k // 2}")
    found.distinct = len(set(payloads))
    found.duplicates = [[2 * i, 2 * i + 1] for i in range(len(issame)) if payloads[2 * i] == payloads[2 * i + 1]]
    found.folds = [int(fold.sum()) for fold in np.array_split(issame, 10)]
    return found


class _Seen:
    """Counts images into an Inspection, and remembers their bytes by a short hash."""

    def __init__(self, found) -> None:
        self._found = found
        self._sizes, self._formats, self._hashes = Counter(), Counter(), {}

    def add(self, number, payload, where) -> None:
        self._hashes.setdefault(hashlib.blake2b(payload, digest_size=16).digest(), []).append(number)
        try:
            height, width = images.decode(payload, where).shape[:2]
        except GluonFRError as error:
            self._found.bad[number] = str(error)
            return
        self._sizes[f"{height}x{width}"] += 1
        self._formats[extension(payload)[1:]] += 1
        self._found.sizes, self._found.formats = dict(self._sizes.most_common()), dict(self._formats.most_common())

    def repeated(self):
        return [numbers for numbers in self._hashes.values() if len(numbers) > 1]


def sheet(path, count=_SHOWN):
    """A contact sheet of a set: an image of each of some people, or some pairs side by side; damaged images are left out.

    Parameters
    ----------
    path : str
        A `.rec`, a folder with `train.rec`, or a `.bin`.
    count : int, default 48
        Most images to show.

    Returns
    -------
    uint8 (H, W, 3) RGB
    """
    path = os.path.abspath(os.path.expanduser(os.fspath(path)))
    shown = list(_some_pairs(path, count) if path.endswith(".bin") else _some_people(path, count))
    if not shown:
        raise GluonFRError(f"{path}: no image decodes, so there is nothing to show; write or fetch it again.")
    pictures, captions = zip(*shown)
    return contact_sheet(pictures, captions, columns=8)


def _some_people(path, count):
    records = RecordFile(os.path.join(path, "train.rec") if os.path.isdir(path) else path)
    names = read_identities(os.path.dirname(records.path)) or {}
    labels, _ = records.scan()
    rng = generator(_SEED, _PEOPLE)
    people = np.unique(labels[labels >= 0])
    for label in np.sort(rng.permutation(people)[:count]).tolist():
        number = int(rng.choice(np.flatnonzero(labels == label)))
        try:
            yield images.decode(records.read(number)[1], ""), names.get(label, str(label))
        except GluonFRError:
            continue


def _some_pairs(path, count):
    payloads, issame = read_pairs(path)
    for i in np.sort(generator(_SEED, _PEOPLE).permutation(len(issame))[: count // 2]).tolist():
        try:
            pair = [images.decode(payload, "") for payload in payloads[2 * i : 2 * i + 2]]
        except GluonFRError:
            continue
        yield pair[0], f"{i} {'same' if issame[i] else 'different'}"
        yield pair[1], ""
