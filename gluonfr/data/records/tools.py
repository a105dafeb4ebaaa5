"""Sets made of sets: records in another order, several sets as one, one set as two. The inputs are only read."""

from __future__ import annotations

import logging
import os

import numpy as np
from tqdm import tqdm

from gluonfr.core import GluonFRError, atomic_files, generator, new_folder, require_new_folder
from gluonfr.data import images
from gluonfr.data.identities import read_identities, write_identities
from gluonfr.data.records import framing as recordio
from gluonfr.data.records.file import HEADER, RecordFile, RecordWriter

logger = logging.getLogger(__name__)

_SHUFFLE, _SPLIT = 101, 102


class Source:
    """The good images of a `.rec`, payloads as they are.

    Parameters
    ----------
    path : str
        A `.rec`, or a folder with `train.rec`.
    skip : bool
        Leave damaged records out, each logged, instead of raising GluonFRError at the first.

    Attributes
    ----------
    records : RecordFile
    labels : int64 (len(records),)
        -1 where the record is damaged.
    names : dict or None
        label -> name, from `identities.csv` beside the file.
    image_size : (H, W)
        Of the first good image.
    left_out : dict
        Image number -> the sentence that says what is wrong with it; grows while the images are read.
    """

    def __init__(self, path, skip=False) -> None:
        path = os.path.abspath(os.path.expanduser(os.fspath(path)))
        self.records = RecordFile(os.path.join(path, "train.rec") if os.path.isdir(path) else path)
        self.names = read_identities(os.path.dirname(self.records.path))
        self._skip = skip
        self.left_out = {}
        self.labels, problems = self.records.scan()
        for number in sorted(problems):
            self._leave_out(number, problems[number])
        self.image_size = self._first_size()

    @property
    def people(self):
        """int64: the labels that have images, ascending."""
        return np.unique(self.labels[self.labels >= 0])

    def name(self, label):
        """The person's name, or the label's digits where none is known."""
        return (self.names or {}).get(label, str(label))

    def numbers(self):
        """int64: the image numbers whose records are good."""
        return np.flatnonzero(self.labels >= 0)

    def read(self, numbers):
        """Yield `(label, payload)` of these images; each is decoded once to see that it can be."""
        for number, payload in self.read_numbered(numbers):
            yield int(self.labels[number]), payload

    def read_numbered(self, numbers):
        """As `read`, with the image's number in place of the label."""
        for number in tqdm(numbers, desc=os.path.basename(os.path.dirname(self.records.path)), unit="image", disable=None):
            number = int(number)
            try:
                payload = self.records.read(number)[1]
                images.decode(payload, lambda number=number: self.records.describe(number))
            except GluonFRError as error:
                self._leave_out(number, str(error))
                continue
            yield number, payload

    def _first_size(self):
        for number in self.numbers().tolist():
            try:
                return images.decode(self.records.read(number)[1], self.records.describe(number)).shape[:2]
            except GluonFRError:
                if not self._skip:
                    raise
        raise GluonFRError(f"{self.records.path}: not one image decodes; write or fetch it again.")

    def _leave_out(self, number, sentence) -> None:
        if not self._skip:
            raise GluonFRError(sentence)
        if number not in self.left_out:
            logger.warning("left out: %s", sentence)
            self.left_out[number] = sentence


def shuffle(path, out, seed=0, skip=False):
    """Write a set's records in random order, for readers that take a file from its beginning to its end.

    The records of a person no longer lie together, so the new set has no header records, which name ranges of them. Labels,
    payloads and `identities.csv` stay as they are; of several labels on one image the first stays.

    Parameters
    ----------
    path : str
        A `.rec`, or a folder with `train.rec`.
    out : str
        A new folder: `train.rec`, `train.idx` and `property`, and `identities.csv` when the set has one.
    seed : int, default 0
        The same seed gives the same bytes.
    skip : bool, default False
        Leave out damaged records instead of stopping at the first.

    Returns
    -------
    dict
        What was left out: image number -> why.
    """
    out = require_new_folder(out)
    source = Source(path, skip)
    numbers = generator(seed, _SHUFFLE).permutation(source.numbers())
    counts = np.zeros(source.people[-1] + 1, dtype=np.int64)
    with new_folder(out) as folder:
        paths = [os.path.join(folder, name) for name in ("train.idx", "property", "train.rec")]
        with atomic_files(*paths) as (idx, prop, rec):
            for key, (label, payload) in enumerate(source.read(numbers)):
                idx.write(b"%d\t%d\n" % (key, rec.tell()))
                rec.write(recordio.split(HEADER.pack(0, label, key, 0) + payload))
                counts[label] += 1
            prop.write(b"%d,%d,%d\n" % (len(counts), *source.image_size))
        if source.names is not None:
            write_identities(folder, [(label, source.name(label), counts[label]) for label in np.flatnonzero(counts)])
    return source.left_out


def merge(paths, out, by_name=False, skip=False):
    """Write several sets as one.

    The people of the first set come first, in the order of their labels, then those of the second, and so on, with new
    labels from 0. Images keep their bytes. All sets must have one image size.

    Parameters
    ----------
    paths : list of str
        Each a `.rec`, or a folder with `train.rec`.
    out : str
        A new folder: `train.rec`, `train.idx`, `property` and `identities.csv`.
    by_name : bool, default False
        People of one name in the sets' `identities.csv` are one person. Without it people of different sets are different.
    skip : bool, default False
        Leave out damaged records instead of stopping at the first.

    Returns
    -------
    list of dict
        What was left out of each set: image number -> why.
    """
    out = require_new_folder(out)
    if len(paths) < 2:
        raise GluonFRError("merging needs at least two sets; name more.")
    sources = [Source(path, skip) for path in paths]
    for source in sources:
        if by_name and source.names is None:
            folder = os.path.dirname(source.records.path)
            raise GluonFRError(f"{folder}: has no identities.csv with the names; write one, or merge without names.")
        if source.image_size != sources[0].image_size:
            raise GluonFRError(
                f"{source.records.path}: has images of {source.image_size}, {sources[0].records.path} of "
                f"{sources[0].image_size} (height, width); pack them to one size first."
            )
    labels, names, of_person = [], [], {}
    for source in sources:
        labels.append({})
        for label in source.people.tolist():
            new = of_person.get(source.name(label)) if by_name else None
            if new is None:
                new = len(names)
                names.append(source.name(label))
            labels[-1][label] = of_person[source.name(label)] = new
    with new_folder(out) as folder:
        images_of_all = (
            (new[label], payload) for source, new in zip(sources, labels) for label, payload in source.read(source.numbers())
        )
        write_set(folder, images_of_all, names, sources[0].image_size)
    return [source.left_out for source in sources]


def split(path, out_a, out_b, fraction=None, identities=None, seed=0, skip=False):
    """Write a set as two that share no person.

    Parameters
    ----------
    path : str
        A `.rec`, or a folder with `train.rec`.
    out_a, out_b : str
        New folders: `train.rec`, `train.idx`, `property` and `identities.csv`. Labels start from 0 in both; the names in
        `identities.csv` say who it was (the old label where the set had no names). Images keep their bytes.
    fraction : float, optional
        Share of the people that go to `out_a`, above 0 and below 1.
    identities : int, optional
        Number of people that go to `out_a`, instead of `fraction`.
    seed : int, default 0
        Which people: the same seed gives the same bytes.
    skip : bool, default False
        Leave out damaged records instead of stopping at the first.

    Returns
    -------
    dict
        What was left out: image number -> why.
    """
    out_a, out_b = require_new_folder(out_a), require_new_folder(out_b)
    if os.path.commonpath([out_a, out_b]) in (out_a, out_b):
        raise GluonFRError(f"{out_b}: the two parts need folders that do not lie in each other; name another.")
    if (fraction is None) == (identities is None):
        raise GluonFRError("fraction, identities: give one of the two, how much of the set goes to the first part.")
    if fraction is not None and not 0 < fraction < 1:
        raise GluonFRError(f"fraction {fraction:g}: leaves one part without a person; give a number between 0 and 1.")
    source = Source(path, skip)
    people = source.people
    count = identities if fraction is None else round(fraction * len(people))
    if not 0 < count < len(people):
        asked = f"fraction {fraction:g}" if identities is None else f"identities {identities}"
        raise GluonFRError(
            f"{asked}: leaves one part without a person, of {len(people)} in {source.records.path}; ask for another."
        )
    chosen = np.sort(generator(seed, _SPLIT).permutation(people)[:count])
    parts = [(out_a, chosen), (out_b, np.setdiff1d(people, chosen))]
    with new_folder(out_a) as first, new_folder(out_b) as second:
        for folder, (_, mine) in zip((first, second), parts):
            new = {label: number for number, label in enumerate(mine.tolist())}
            stream = source.read(np.flatnonzero(np.isin(source.labels, mine)))
            names = [source.name(label) for label in new]
            write_set(folder, ((new[label], payload) for label, payload in stream), names, source.image_size)
    return source.left_out


def write_set(folder, stream, names, image_size) -> None:
    """Write a set of `(label, payload)` into a folder that exists, with `identities.csv` of the labels' names."""
    counts = np.zeros(len(names), dtype=np.int64)
    with RecordWriter(folder, image_size) as writer:
        for label, payload in stream:
            writer.add(payload, label)
            counts[label] += 1
    write_identities(folder, [(label, name, counts[label]) for label, name in enumerate(names)])
