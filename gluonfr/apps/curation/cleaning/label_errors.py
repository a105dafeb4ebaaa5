"""Wrong labels, and people under two labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from gluonfr.apps.curation.cleaning.error_threshold import QUANTILES_OF_RARE_ERRORS, ErrorThreshold, find_threshold
from gluonfr.apps.curation.cleaning.identities import Identities, normalized
from gluonfr.core import generator
from gluonfr.core.top_k import top_k

_SEED, _WRONG, _PARTS = 0, 105, 106
# Fraction of correct images below the similarity from which a wrong image is attributed to another person.
_ATTRIBUTED = 0.05
# Number of images beyond the threshold that are listed for review.
_DOUBTFUL = 40
# Labels to compare with each label that may have a duplicate.
_PARTNERS = 10


@dataclass(frozen=True)
class WrongLabels:
    """Images with a wrong label.

    Attributes
    ----------
    images : np.ndarray, (w,) int64
        The most certain first.
    doubtful : np.ndarray, (d,) int64
        The images that follow: more similar to another label than to their own, but not beyond the threshold.
    margin : np.ndarray, (n,) float64
        For all images, `own` minus `other`. NaN for the only image of a person.
    own, other : np.ndarray, (n,) float64
        Cosine to the mean of the person's other images, and to the mean of the nearest other person.
    person : np.ndarray, (n,) int64
        The nearest other person.
    like : float
        A wrong image is attributed to the nearest other person if `other` is at least this similarity.
    threshold : ErrorThreshold
        On the margin.
    judged : int
        Number of images whose person has other images.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> rows = normalized(np.repeat(random.normal(size=(9, 32)), 8, axis=0) + 0.3 * random.normal(size=(72, 32)))
    >>> print(find_wrong_labels(Identities(rows, np.repeat(np.arange(9), 8))))
    72 images were compared with their labels: none has the score of an error
    """

    images: np.ndarray
    doubtful: np.ndarray
    margin: np.ndarray
    own: np.ndarray
    other: np.ndarray
    person: np.ndarray
    like: float
    threshold: ErrorThreshold
    judged: int

    def __repr__(self) -> str:
        return f"WrongLabels(found={len(self.images)}, doubtful={len(self.doubtful)}, judged={self.judged})"

    def __str__(self) -> str:
        if not len(self.images):
            return f"{self.judged:,} images were compared with their labels: {self.threshold}"
        return (
            f"{len(self.images):,} of {self.judged:,} images are less similar to their own label than to another by "
            f"{-self.threshold.score:.4f} or more, like images with a random label: {self.threshold}; about "
            f"{100 * self.threshold.share:.2g} % of the labels are wrong"
        )


def find_wrong_labels(people: Identities, progress: str | None = None) -> WrongLabels:
    """Find images that are less similar to their own label than to another.

    The scores of wrong labels are learned by giving every image the label of another person, drawn at random.

    Parameters
    ----------
    people : Identities
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    WrongLabels

    Examples
    --------
    >>> find_wrong_labels(Identities(embeddings, labels)).images  # doctest: +SKIP
    array([812, 57])
    """
    own = people.own_similarity()
    similarity, nearest = people.nearest_others(2, progress)
    other, margin = similarity[:, 0], own - similarity[:, 0]
    judged = np.flatnonzero(np.isfinite(margin))
    threshold = find_threshold(margin[judged], _margins_of_random_labels(people, judged, own, similarity, nearest))
    wrong = judged[margin[judged] <= threshold.score]
    right = np.setdiff1d(judged, wrong)
    like = float(np.quantile(own[right], _ATTRIBUTED)) if len(right) else np.inf
    order = judged[np.argsort(margin[judged], kind="stable")]
    doubtful = order[len(wrong) : len(wrong) + _DOUBTFUL]
    doubtful = doubtful[margin[doubtful] < 0]
    return WrongLabels(order[: len(wrong)], doubtful, margin, own, other, nearest[:, 0], like, threshold, len(judged))


def _margins_of_random_labels(
    people: Identities, judged: np.ndarray, own: np.ndarray, similarity: np.ndarray, nearest: np.ndarray
) -> np.ndarray:
    random, count = generator(_SEED, _WRONG), len(people)
    drawn = (people.of[judged] + random.integers(1, count, len(judged))) % count
    to_drawn = np.einsum("ij,ij->i", people.embeddings[judged], people.centroids[drawn], dtype=np.float64)
    is_nearest = nearest[judged, 0] == drawn
    rival = np.where(is_nearest, similarity[judged, 1], similarity[judged, 0])
    # For such an image the true label is usually the most similar other one.
    return to_drawn - np.maximum(rival, own[judged])


@dataclass(frozen=True)
class DuplicateLabels:
    """Labels that are the same person.

    Attributes
    ----------
    pairs : list of (int, int, float)
        Two people and their similarity; the most similar first.
    becomes : dict of int to int
        Person -> the person with the most images among those that are the same.
    threshold : ErrorThreshold
        On the negative similarity.

    Examples
    --------
    >>> print(DuplicateLabels([], {}, find_threshold([], [])))
    no two labels are as similar as two parts of the images of one label
    """

    pairs: list[tuple[int, int, float]]
    becomes: dict[int, int]
    threshold: ErrorThreshold

    def __str__(self) -> str:
        if not self.pairs:
            return "no two labels are as similar as two parts of the images of one label"
        return (
            f"{len(self.pairs):,} pairs of labels are as similar as two parts of the images of one label "
            f"({-self.threshold.score:.4f} or more): {self.threshold}"
        )


def find_duplicate_labels(people: Identities) -> DuplicateLabels:
    """Find labels that are the same person.

    The similarity of such labels is learned by splitting labels with two or more images into two at random.

    Parameters
    ----------
    people : Identities

    Returns
    -------
    DuplicateLabels

    Examples
    --------
    >>> find_duplicate_labels(Identities(embeddings, labels)).pairs  # doctest: +SKIP
    [(186, 187, 0.93)]
    """
    similarity, _ = people.nearest(people.centroids, np.arange(len(people)), 1)
    threshold = find_threshold(-similarity[:, 0], -_scores_of_split_labels(people), QUANTILES_OF_RARE_ERRORS)
    pairs: list[tuple[int, int, float]] = []
    if threshold.found:
        close = np.flatnonzero(-similarity[:, 0] <= threshold.score)
        scores, partners = top_k(people.centroids[close], people.centroids, _PARTNERS + 1, largest_norm=1.001)
        for person, row, others in zip(close.tolist(), scores, partners):
            similar = [(int(other), float(score)) for score, other in zip(row, others) if -score <= threshold.score]
            pairs += [(person, other, score) for other, score in similar if other > person]
    pairs.sort(key=lambda pair: -pair[2])
    return DuplicateLabels(pairs, _largest_of_each(people, pairs), threshold)


def _scores_of_split_labels(people: Identities) -> np.ndarray:
    random = generator(_SEED, _PARTS)
    split = np.flatnonzero(people.counts > 1)
    first, second = [], []
    for person in split:
        images = random.permutation(people.images(person))
        count = int(random.integers(1, len(images) // 2 + 1))
        rows = np.asarray(people.embeddings[images], np.float64)
        first.append(rows[:count].sum(0))
        second.append(rows[count:].sum(0))
    if not first:
        return np.empty(0)
    queries, targets = normalized(np.array(first)), normalized(np.array(second))
    elsewhere, _ = people.nearest(queries, split, 1)
    return np.maximum(elsewhere[:, 0], np.einsum("ij,ij->i", queries, targets, dtype=np.float64))


def _largest_of_each(people: Identities, pairs: list[tuple[int, int, float]]) -> dict[int, int]:
    if not pairs:
        return {}
    a, b = np.array([pair[:2] for pair in pairs]).T
    same = connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(len(people),) * 2), directed=False)[1]
    becomes: dict[int, int] = {}
    for group in np.unique(same[a]):
        members = np.flatnonzero(same == group)
        largest = members[np.argmax(people.counts[members])]
        becomes.update((int(member), int(largest)) for member in members if member != largest)
    return becomes
