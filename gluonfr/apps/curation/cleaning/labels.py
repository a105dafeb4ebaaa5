"""Wrong labels, and the same person under two."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from gluonfr.apps.curation.cleaning.identities import directions
from gluonfr.apps.curation.cleaning.score_threshold import RARE, Cut, cut
from gluonfr.core import generator
from gluonfr.core.top_k import top_k

_SEED, _WRONG, _PARTS = 0, 105, 106
# Right images that are still taken for somebody's, when it is said whom a wrong one is like.
_LIKE = 0.05
# So many images are shown beyond the cut, for somebody to look at.
_DOUBTFUL = 40
# Labels that may be the same person as one.
_PARTNERS = 10


@dataclass(frozen=True)
class WrongLabels:
    """Images under a label that is not theirs.

    Attributes
    ----------
    images : (w,) int64
        The surest first.
    doubtful : (d,) int64
        What follows: images that are less like their own label than like another too, but not beyond the cut.
    margin : (n,) float64
        Of all images: how like the mean of the person's other images, less how like the mean of the nearest other person.
        NaN where the person has no other image.
    own, other : (n,) float64
        The two similarities.
    person : (n,) int64
        The nearest other person.
    like : float
        From this `other` on a wrong image is said to be like that person, and else like nobody.
    cut : Cut
    judged : int
        Images whose person has another one.
    """

    images: np.ndarray
    doubtful: np.ndarray
    margin: np.ndarray
    own: np.ndarray
    other: np.ndarray
    person: np.ndarray
    like: float
    cut: Cut
    judged: int

    def __str__(self) -> str:
        said = f"{len(self.images):,} of {self.judged:,} images are less like their own label than like another"
        if not len(self.images):
            return f"{self.judged:,} images were compared with their labels: {self.cut}"
        return (
            f"{said} by {-self.cut.score:.4f} or more, as images are that are given a label at random: {self.cut}; about "
            f"{100 * self.cut.share:.2g} % of the labels are wrong"
        )


def wrong_labels(people, progress=None):
    """Find images that are less like their own label than like another: `people` is an `Identities`.

    How wrong labels score is learned by giving every image the label of somebody else, drawn at random.
    """
    own = people.own()
    similarity, nearest = people.others(2, progress)
    other, margin = similarity[:, 0], own - similarity[:, 0]
    judged = np.flatnonzero(np.isfinite(margin))
    found = cut(margin[judged], _mislabeled(people, judged, own, similarity, nearest))
    wrong = judged[margin[judged] <= found.score]
    right = np.setdiff1d(judged, wrong)
    like = float(np.quantile(own[right], _LIKE)) if len(right) else np.inf
    order = judged[np.argsort(margin[judged], kind="stable")]
    doubtful = order[len(wrong) : len(wrong) + _DOUBTFUL]
    return WrongLabels(
        order[: len(wrong)], doubtful[margin[doubtful] < 0], margin, own, other, nearest[:, 0], like, found, len(judged)
    )


def _mislabeled(people, judged, own, similarity, nearest):
    random, count = generator(_SEED, _WRONG), len(people)
    drawn = (people.of[judged] + random.integers(1, count, len(judged))) % count
    to_drawn = np.einsum("ij,ij->i", people.embeddings[judged], people.centroids[drawn], dtype=np.float64)
    second = nearest[judged, 0] == drawn
    rival = np.where(second, similarity[judged, 1], similarity[judged, 0])
    # Its true label is the other one that such an image is most like, as a rule.
    return to_drawn - np.maximum(rival, own[judged])


@dataclass(frozen=True)
class TwoLabels:
    """Labels that are the same person.

    Attributes
    ----------
    pairs : list of (person, person, similarity)
        The most similar first.
    becomes : dict of int to int
        Person -> the one with the most images of those that are the same.
    cut : Cut
    """

    pairs: list
    becomes: dict
    cut: Cut

    def __str__(self) -> str:
        if not self.pairs:
            return "no two labels are as like each other as two parts of one label's images are"
        return (
            f"{len(self.pairs):,} pairs of labels are as like each other as two parts of one label's images are "
            f"({-self.cut.score:.4f} or more): {self.cut}"
        )


def two_labels(people):
    """Find labels that are the same person: `people` is an `Identities`.

    How such labels score is learned by cutting labels of two images or more in two, at random.
    """
    similarity, _ = people.nearest(people.centroids, np.arange(len(people)), 1)
    found = cut(-similarity[:, 0], -_parts(people), RARE)
    pairs = []
    if found.found:
        close = np.flatnonzero(-similarity[:, 0] <= found.score)
        scores, partners = top_k(people.centroids[close], people.centroids, _PARTNERS + 1, largest_norm=1.001)
        for person, row, others in zip(close.tolist(), scores, partners):
            pairs += [
                (person, int(each), float(score)) for score, each in zip(row, others) if each > person and -score <= found.score
            ]
    pairs.sort(key=lambda pair: -pair[2])
    return TwoLabels(pairs, _becomes(people, pairs), found)


def _parts(people):
    random = generator(_SEED, _PARTS)
    cut_up = np.flatnonzero(people.counts > 1)
    first, second = [], []
    for person in cut_up:
        images = random.permutation(people.images(person))
        count = int(random.integers(1, len(images) // 2 + 1))
        rows = np.asarray(people.embeddings[images], np.float64)
        first.append(rows[:count].sum(0))
        second.append(rows[count:].sum(0))
    if not first:
        return np.empty(0)
    first, second = directions(np.array(first)), directions(np.array(second))
    elsewhere, _ = people.nearest(first, cut_up, 1)
    return np.maximum(elsewhere[:, 0], np.einsum("ij,ij->i", first, second, dtype=np.float64))


def _becomes(people, pairs):
    if not pairs:
        return {}
    a, b = np.array([pair[:2] for pair in pairs]).T
    same = connected_components(coo_matrix((np.ones(len(a)), (a, b)), shape=(len(people),) * 2), directed=False)[1]
    becomes = {}
    for group in np.unique(same[a]):
        members = np.flatnonzero(same == group)
        largest = members[np.argmax(people.counts[members])]
        becomes.update((int(each), int(largest)) for each in members if each != largest)
    return becomes
