"""Verification sets (`NAME.bin`) of pairs drawn at random from a training set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

from gluonfr.core import DataError, UsageError, disk_errors, generator
from gluonfr.data.operations.source import RecordSource
from gluonfr.data.pairs import write_pairs
from gluonfr.data.pairs.table import PEOPLE, table_path, write_pair_table
from gluonfr.photos.pair_sets import bin_path

FOLDS = 10
_DRAW = 105

Pair = tuple  # two image numbers


@dataclass
class Drawn:
    """The result of :func:`draw_pairs`.

    Attributes
    ----------
    path : str
        The `.bin`.
    pairs : int
    disjoint : bool
        Whether no person appears in two of the ten folds.

    Examples
    --------
    >>> Drawn("my.bin", 600, True).disjoint
    True
    """

    path: str
    pairs: int
    disjoint: bool


def draw_pairs(path: str, out: str | os.PathLike, count: int, seed: int = 0) -> Drawn:
    """Make a verification set of pairs drawn at random from a training set; images keep their bytes.

    Same and different pairs alternate, so that each of the ten folds of the protocol has as many of both. Pairs of one person
    are spread evenly over the people. No pair appears twice, and no pair consists of two images with the same bytes. Where
    the set is large enough, no person appears in two folds, as in LFW. `NAME.pairs.csv` beside the set names the people of
    each pair.

    Parameters
    ----------
    path : path
        A `.rec`, or a folder with `train.rec`, of people that the network was not trained on.
    out : path
        The `.bin`; an older one is replaced.
    count : int
        Number of pairs, a multiple of 20.
    seed : int, default 0
        The same seed gives the same bytes.

    Returns
    -------
    Drawn

    Raises
    ------
    UsageError
        `count` is not a multiple of 20.
    DataError
        The set cannot be read, or has too few images.

    Examples
    --------
    >>> draw_pairs("sets/val", "sets/train/val_data.bin", 600).pairs  # doctest: +SKIP
    600
    """
    out = bin_path(out)
    if count < 2 * FOLDS or count % (2 * FOLDS):
        raise UsageError(f"count must be a multiple of {2 * FOLDS}, for ten folds with as many of both kinds, got {count}.")
    source = RecordSource(path)
    drawing = _Drawing(source, seed)
    folds = drawing.folds(count)
    disjoint = folds is not None
    if folds is None:
        fold = drawing.draw(drawing.people, count // 2)
        if fold is None:
            raise DataError(
                f"{source.records.path} has too few different pairs of one person, or of two people, for {count} pairs. "
                "Ask for fewer."
            )
        folds = [fold]
    pairs = [pair for fold in folds for pair in fold]
    numbers = sorted({number for pair in pairs for number in pair})
    payloads = dict(zip(numbers, (payload for _, payload in source.read(numbers))))
    issame = [True, False] * (count // 2)
    names = [[source.name(int(source.labels[pair[side]])) for pair in pairs] for side in (0, 1)]
    with disk_errors(out):
        write_pair_table(table_path(out), issame, dict(zip(PEOPLE, names)))
        write_pairs(out, [payloads[number] for pair in pairs for number in pair], issame)
    return Drawn(out, count, disjoint)


class _Drawing:
    """Draws pairs of images from a set, always the same ones for one seed."""

    def __init__(self, source: Any, seed: int) -> None:
        self._source, self._rng = source, generator(seed, _DRAW)
        self._hashes: dict[int, bytes] = {}
        self._images: dict[int, list[int]] = {}
        for number in source.numbers().tolist():
            self._images.setdefault(int(source.labels[number]), []).append(number)
        # People with several images come first, so that each fold gets its share of them.
        shuffled = self._rng.permutation(source.people).tolist()
        self.people: list[int] = sorted(shuffled, key=lambda label: len(self._images[label]) < 2)

    def folds(self, count: int) -> list[list[Pair]] | None:
        """Return the pairs of ten folds without shared people; None where the people are too few."""
        folds = [self.draw(self.people[fold::FOLDS], count // (2 * FOLDS)) for fold in range(FOLDS)]
        return None if any(fold is None for fold in folds) else [fold for fold in folds if fold is not None]

    def draw(self, people: list[int], count: int) -> list[Pair] | None:
        """Return `count` pairs of one person and as many of two, alternating; None where the people are too few."""
        same = self._draw_same([label for label in people if len(self._images[label]) > 1], count)
        different = self._draw_different(people, count)
        if same is None or different is None:
            return None
        return [pair for both in zip(same, different) for pair in both]

    def _draw_same(self, people: list[int], count: int) -> list[Pair] | None:
        # All people give one pair in turn, in random order, until one has no more.
        unused = {label: self._pairs_of_person(self._images[label]) for label in people}
        pairs: list[Pair] = []
        while len(pairs) < count and unused:
            for label in self._rng.permutation(list(unused)).tolist():
                pair = next(unused[label], None)
                if pair is None:
                    del unused[label]
                elif len(pairs) < count:
                    pairs.append(pair)
        return pairs if len(pairs) == count else None

    def _pairs_of_person(self, images: Sequence[int]) -> Iterator[Pair]:
        """Yield a person's pairs in random order: neighbors in a shuffled circle first, so that all images come early."""
        numbers = self._rng.permutation(images).tolist()
        for step in range(1, len(numbers) // 2 + 1):
            # The last step around a circle of even length reaches each pair from both sides.
            for i in range(len(numbers) // 2 if 2 * step == len(numbers) else len(numbers)):
                pair = numbers[i], numbers[(i + step) % len(numbers)]
                if self._differ(*pair):
                    yield pair

    def _draw_different(self, people: list[int], count: int) -> list[Pair] | None:
        sizes = np.array([len(self._images[label]) for label in people])
        possible = (sizes.sum() ** 2 - (sizes**2).sum()) // 2
        if 2 * count > possible:
            # Where most pairs are asked for, drawing until all are different would take long.
            all_pairs = [
                pair
                for one, other in combinations(people, 2)
                for pair in product(self._images[one], self._images[other])
                if self._differ(*pair)
            ]
            order = self._rng.permutation(len(all_pairs))[:count].tolist()
            return [all_pairs[i] for i in order] if len(all_pairs) >= count else None
        pairs: dict[frozenset, Pair] = {}
        for _ in range(100 * count):
            labels = self._rng.choice(len(people), 2, replace=False)
            one, other = (int(self._rng.choice(self._images[people[label]])) for label in labels)
            if frozenset((one, other)) not in pairs and self._differ(one, other):
                pairs[frozenset((one, other))] = one, other
            if len(pairs) == count:
                return list(pairs.values())
        return None

    def _differ(self, i: int, j: int) -> bool:
        """Return whether two images have different bytes; each image is read once."""
        return self._hash(i) != self._hash(j)

    def _hash(self, i: int) -> bytes:
        if i not in self._hashes:
            self._hashes[i] = hashlib.sha256(self._source.records.read(i)[1]).digest()
        return self._hashes[i]
