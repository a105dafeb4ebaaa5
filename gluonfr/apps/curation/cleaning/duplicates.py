"""Copies of one photo, by what they show and by their pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gluonfr.apps.curation.cleaning.embedded import mirrored
from gluonfr.core import generator

_SEED, _STRANGERS, _SAME = 0, 107, 108
_DRAWN = 200_000
# Standard deviations above what two photos of different people have in common: one in three million.
_APART = 5
# Two photos of a person are hardly ever as like as this share of them is not.
_ALIKE = 0.95


@dataclass(frozen=True)
class Duplicates:
    """Pairs of images that are copies.

    Attributes
    ----------
    pairs : (p, 2) int64
        Lower number first; the most alike first.
    pixels, similarity : (p,) float64
        Correlation of the small pictures, the mirrored one where that is higher; cosine of the embeddings.
    least_pixels, least_similarity : float
        From where on both must be.
    """

    pairs: np.ndarray
    pixels: np.ndarray
    similarity: np.ndarray
    least_pixels: float
    least_similarity: float

    def __str__(self) -> str:
        return (
            f"{len(self.pairs):,} pairs of images are copies: their pixels correlate by {self.least_pixels:.3f} or more, which "
            f"one in three million pairs of different people would, and their embeddings by {self.least_similarity:.4f} or "
            "more, as the most alike twentieth of two photos of one person"
        )


def duplicates(people, prints, nearest):
    """Find copies among the images of each label, and between an image and the labels it is most like otherwise.

    Parameters
    ----------
    people : Identities
    prints : (n, 256) float16
        Of `fingerprint`.
    nearest : (n, k) int64
        Other people whose images each image is compared with.
    """
    least_pixels, least_similarity = _strangers_alike(people, prints), _photos_alike(people)
    visitors = _visitors(nearest, len(people))
    found = []
    for person in range(len(people)):
        mine = people.images(person)
        rows = np.concatenate([mine, visitors[person]])
        looks, theirs = np.asarray(prints[rows], np.float32), np.asarray(prints[mine], np.float32)
        pixels = np.maximum(looks @ theirs.T, mirrored(looks) @ theirs.T)
        # A row of this person meets each of the others once.
        pixels[: len(mine)][np.tril_indices(len(mine))] = -1
        a, b = np.nonzero(pixels >= least_pixels)
        if len(a):
            similarity = np.einsum("ij,ij->i", people.embeddings[rows[a]], people.embeddings[mine[b]], dtype=np.float64)
            keep = similarity >= least_similarity
            found.append((rows[a][keep], mine[b][keep], pixels[a, b][keep], similarity[keep]))
    if not found:
        return Duplicates(np.empty((0, 2), np.int64), np.empty(0), np.empty(0), least_pixels, least_similarity)
    a, b, pixels, similarity = (np.concatenate(each) for each in zip(*found))
    pairs, first = np.unique(np.sort(np.stack([a, b], axis=1), axis=1), axis=0, return_index=True)
    order = np.argsort(-pixels[first], kind="stable")
    first = first[order]
    return Duplicates(pairs[order], pixels[first].astype(np.float64), similarity[first], least_pixels, least_similarity)


def _visitors(nearest, people):
    images, person = np.repeat(np.arange(len(nearest)), nearest.shape[1]), nearest.ravel()
    images, person = images[person >= 0], person[person >= 0]
    order = np.argsort(person, kind="stable")
    return np.split(images[order], np.searchsorted(person[order], np.arange(1, people)))


def _strangers_alike(people, prints):
    """From which correlation on the pixels are no accident."""
    random, count = generator(_SEED, _STRANGERS), len(people.of)
    a, b = random.integers(0, count, (2, _DRAWN))
    apart = people.of[a] != people.of[b]
    a, b = a[apart], b[apart]
    # Fisher's transformation makes correlations normal.
    z = np.arctanh(np.clip(_products(prints, a, b), -0.999, 0.999))
    # Median and quartiles, since there may be copies among them.
    low, middle, high = np.quantile(z, [0.25, 0.5, 0.75])
    return float(np.tanh(middle + _APART * (high - low) / 1.349))


def _photos_alike(people):
    """The similarity that hardly any two photos of one person exceed."""
    random = generator(_SEED, _SAME)
    several = np.flatnonzero(people.counts[people.of] > 1)
    if not len(several):
        return 1.0
    a = random.choice(several, _DRAWN)
    counts, place = people.counts[people.of[a]], people.places[a]
    b = people.ordered[people.starts[people.of[a]] + (place + random.integers(1, counts)) % counts]
    return float(np.quantile(_products(people.embeddings, a, b), _ALIKE))


def _products(rows, a, b):
    parts = [slice(start, start + 8192) for start in range(0, len(a), 8192)]
    return np.concatenate(
        [np.einsum("ij,ij->i", np.asarray(rows[a[part]], np.float32), np.asarray(rows[b[part]], np.float32)) for part in parts]
    )
