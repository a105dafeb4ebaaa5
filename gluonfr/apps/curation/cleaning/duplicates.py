"""Copies of one photo, found by their pixels and their embeddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gluonfr.apps.curation.cleaning.embedded_set import mirrored
from gluonfr.apps.curation.cleaning.identities import Identities
from gluonfr.core import generator

_SEED, _STRANGERS, _SAME = 0, 107, 108
_DRAWN = 200_000
# Standard deviations above the correlation of photos of different people: one in three million.
_DEVIATIONS = 5
# Copies must have a similarity that this fraction of pairs of photos of one person does not reach.
_QUANTILE = 0.95


@dataclass(frozen=True)
class Duplicates:
    """Pairs of images that are copies.

    Attributes
    ----------
    pairs : np.ndarray, (p, 2) int64
        Lower number first; the pairs with the highest correlation first.
    pixels, similarity : np.ndarray, (p,) float64
        Correlation of the thumbnails, also mirrored, and cosine of the embeddings.
    least_pixels, least_similarity : float
        Thresholds of both, which a copy must reach.

    Examples
    --------
    >>> Duplicates(np.array([[0, 3]]), np.array([0.99]), np.array([0.97]), 0.9, 0.8)
    Duplicates(pairs=1)
    """

    pairs: np.ndarray
    pixels: np.ndarray
    similarity: np.ndarray
    least_pixels: float
    least_similarity: float

    def __repr__(self) -> str:
        return f"Duplicates(pairs={len(self.pairs)})"

    def __str__(self) -> str:
        return (
            f"{len(self.pairs):,} pairs of images are copies: their pixels correlate by {self.least_pixels:.3f} or more, as "
            f"one in three million pairs of different people does, and their embeddings by {self.least_similarity:.4f} or "
            "more, as the most similar twentieth of pairs of photos of one person does"
        )


def find_duplicates(people: Identities, prints: np.ndarray, nearest: np.ndarray) -> Duplicates:
    """Find copies among the images of each label, and between images and the labels most similar to them.

    Parameters
    ----------
    people : Identities
    prints : np.ndarray, (n, 256) float16
        From `fingerprint`.
    nearest : np.ndarray, (n, k) int64
        Other people with whose images each image is compared.

    Returns
    -------
    Duplicates

    Examples
    --------
    >>> find_duplicates(people, embedded.prints, people.nearest_others(2)[1])  # doctest: +SKIP
    Duplicates(pairs=148)
    """
    least_pixels, least_similarity = _correlation_of_copies(people, prints), _similarity_of_copies(people)
    visitors = _visitors(nearest, len(people))
    found = []
    for person in range(len(people)):
        mine = people.images(person)
        rows = np.concatenate([mine, visitors[person]])
        first, second = np.asarray(prints[rows], np.float32), np.asarray(prints[mine], np.float32)
        pixels = np.maximum(first @ second.T, mirrored(first) @ second.T)
        # Each pair of images of this person once.
        pixels[: len(mine)][np.tril_indices(len(mine))] = -1
        a, b = np.nonzero(pixels >= least_pixels)
        if len(a):
            similarity = np.einsum("ij,ij->i", people.embeddings[rows[a]], people.embeddings[mine[b]], dtype=np.float64)
            keep = similarity >= least_similarity
            found.append((rows[a][keep], mine[b][keep], pixels[a, b][keep], similarity[keep]))
    if not found:
        return Duplicates(np.empty((0, 2), np.int64), np.empty(0), np.empty(0), least_pixels, least_similarity)
    a, b, pixels, similarity = (np.concatenate(arrays) for arrays in zip(*found))
    pairs, unique = np.unique(np.sort(np.stack([a, b], axis=1), axis=1), axis=0, return_index=True)
    order = np.argsort(-pixels[unique], kind="stable")
    unique = unique[order]
    return Duplicates(pairs[order], pixels[unique].astype(np.float64), similarity[unique], least_pixels, least_similarity)


def _visitors(nearest: np.ndarray, people: int) -> list[np.ndarray]:
    """Return the images of other people to compare with the images of each person."""
    images, person = np.repeat(np.arange(len(nearest)), nearest.shape[1]), nearest.ravel()
    images, person = images[person >= 0], person[person >= 0]
    order = np.argsort(person, kind="stable")
    return np.split(images[order], np.searchsorted(person[order], np.arange(1, people)))


def _correlation_of_copies(people: Identities, prints: np.ndarray) -> float:
    """Return the correlation from which two thumbnails are not of different photos."""
    random, count = generator(_SEED, _STRANGERS), len(people.of)
    a, b = random.integers(0, count, (2, _DRAWN))
    apart = people.of[a] != people.of[b]
    a, b = a[apart], b[apart]
    # Fisher's transformation makes correlations normally distributed.
    z = np.arctanh(np.clip(_products(prints, a, b), -0.999, 0.999))
    # Median and quartiles, because there may be copies among the pairs.
    low, middle, high = np.quantile(z, [0.25, 0.5, 0.75])
    return float(np.tanh(middle + _DEVIATIONS * (high - low) / 1.349))


def _similarity_of_copies(people: Identities) -> float:
    """Return the similarity that few pairs of photos of one person exceed."""
    random = generator(_SEED, _SAME)
    several = np.flatnonzero(people.counts[people.of] > 1)
    if not len(several):
        return 1.0
    a = random.choice(several, _DRAWN)
    counts, place = people.counts[people.of[a]], people.places[a]
    b = people.ordered[people.starts[people.of[a]] + (place + random.integers(1, counts)) % counts]
    return float(np.quantile(_products(people.embeddings, a, b), _QUANTILE))


def _products(rows: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    parts = [slice(start, start + 8192) for start in range(0, len(a), 8192)]
    return np.concatenate(
        [np.einsum("ij,ij->i", np.asarray(rows[a[part]], np.float32), np.asarray(rows[b[part]], np.float32)) for part in parts]
    )
