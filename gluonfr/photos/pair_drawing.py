"""Verification sets (`NAME.bin`) of pairs drawn from a training set."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from gluonfr.core import GluonFRError, disk_errors, generator
from gluonfr.data.operations.source import RecordSource
from gluonfr.data.pairs import write_pairs
from gluonfr.data.pairs.table import PEOPLE, table_path, write_pair_table
from gluonfr.photos.pair_lists import bin_path

FOLDS = 10
_DRAW = 105


@dataclass
class Drawn:
    """What `draw_pairs` wrote: `pairs` to `path`; `disjoint` tells whether no person stands in two of the ten folds."""

    path: str
    pairs: int
    disjoint: bool


def draw_pairs(path, out, count, seed=0):
    """Make a verification set of pairs drawn at random from a training set; images keep their bytes.

    Same and different pairs take turns, so that each of the protocol's ten folds has as many of both. Pairs of one person
    are spread evenly over the people; no pair comes twice, and none is of two images with the same bytes. Where the set
    is large enough the people are dealt out to the folds, so that no person stands in two, as in LFW. `NAME.pairs.csv` beside
    the set names the people of each pair.

    Parameters
    ----------
    path : str
        A `.rec`, or a folder with `train.rec`. Take people a network was not trained on: `record_tools.split` parts a set.
    out : str
        The `.bin`, an older one is replaced.
    count : int
        Pairs, a multiple of 20.
    seed : int, default 0
        The same seed gives the same bytes.

    Returns
    -------
    Drawn
    """
    out = bin_path(out)
    if count < 2 * FOLDS or count % (2 * FOLDS):
        raise GluonFRError(f"count must be a multiple of {2 * FOLDS}, so that ten folds have as many of both, got {count}.")
    source = RecordSource(path)
    images_of = {}
    for number in source.numbers().tolist():
        images_of.setdefault(int(source.labels[number]), []).append(number)
    rng = generator(seed, _DRAW)
    # Those with several images first, so that each fold gets its share of them.
    people = sorted(rng.permutation(source.people).tolist(), key=lambda label: len(images_of[label]) < 2)
    distinct = _Distinct(source)
    groups = [people[fold::FOLDS] for fold in range(FOLDS)]
    each = count // (2 * FOLDS)
    drawn = [_draw(rng, group, images_of, each, distinct) for group in groups]
    disjoint = all(fold is not None for fold in drawn)
    if not disjoint:
        fold = _draw(rng, people, images_of, count // 2, distinct)
        if fold is None:
            raise GluonFRError(
                f"{source.records.path}: has too few different pairs of one person, or of two, for {count}; ask for fewer."
            )
        drawn = [fold]
    pairs = [pair for fold in drawn for pair in fold]
    needed = sorted({number for pair in pairs for number in pair})
    payloads = dict(zip(needed, (payload for _, payload in source.read(needed))))
    issame = [True, False] * (count // 2)
    names = [[source.name(int(source.labels[pair[side]])) for pair in pairs] for side in (0, 1)]
    with disk_errors(out):
        write_pair_table(table_path(out), issame, dict(zip(PEOPLE, names)))
        write_pairs(out, [payloads[number] for pair in pairs for number in pair], issame)
    return Drawn(out, count, disjoint)


class _Distinct:
    """Whether two images differ in their bytes; each is read once."""

    def __init__(self, source) -> None:
        self._source, self._hashes = source, {}

    def __call__(self, i, j):
        return self._hash(i) != self._hash(j)

    def _hash(self, i):
        if i not in self._hashes:
            self._hashes[i] = hashlib.sha256(self._source.records.read(i)[1]).digest()
        return self._hashes[i]


def _draw(rng, people, images_of, each, distinct):
    """`each` pairs of one person and as many of two, taking turns; None where the people have too few."""
    same = _draw_same(rng, [label for label in people if len(images_of[label]) > 1], images_of, each, distinct)
    different = _draw_different(rng, people, images_of, each, distinct)
    if same is None or different is None:
        return None
    return [pair for both in zip(same, different) for pair in both]


def _draw_same(rng, people, images_of, each, distinct):
    # A person after the other gives a pair, in random order, until one has no more.
    unused = {label: _pairs_of(rng, images_of[label], distinct) for label in people}
    pairs = []
    while len(pairs) < each and unused:
        for label in rng.permutation(list(unused)).tolist():
            pair = next(unused[label], None)
            if pair is None:
                del unused[label]
            elif len(pairs) < each:
                pairs.append(pair)
    return pairs if len(pairs) == each else None


def _pairs_of(rng, numbers, distinct):
    """The pairs of a person's images in random order; neighbors in a shuffled circle first, so that all images come early."""
    numbers = rng.permutation(numbers).tolist()
    for step in range(1, len(numbers) // 2 + 1):
        # The last step of an even circle meets each pair from both sides.
        for i in range(len(numbers) // 2 if 2 * step == len(numbers) else len(numbers)):
            pair = numbers[i], numbers[(i + step) % len(numbers)]
            if distinct(*pair):
                yield pair


def _draw_different(rng, people, images_of, each, distinct):
    sizes = np.array([len(images_of[label]) for label in people])
    possible = (sizes.sum() ** 2 - (sizes**2).sum()) // 2
    if 2 * each > possible:
        # Drawing until all are different would take long where most pairs are asked for.
        pairs = [
            pair
            for one, other in combinations(people, 2)
            for pair in product(images_of[one], images_of[other])
            if distinct(*pair)
        ]
        return [pairs[i] for i in rng.permutation(len(pairs))[:each].tolist()] if len(pairs) >= each else None
    pairs = {}
    for _ in range(100 * each):
        labels = rng.choice(len(people), 2, replace=False)
        pair = tuple(int(rng.choice(images_of[people[label]])) for label in labels)
        if frozenset(pair) not in pairs and distinct(*pair):
            pairs[frozenset(pair)] = pair
        if len(pairs) == each:
            return list(pairs.values())
    return None
