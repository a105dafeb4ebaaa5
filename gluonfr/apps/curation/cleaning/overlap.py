"""People who are in a training set and in a test set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gluonfr.apps.curation.cleaning.error_threshold import QUANTILES_OF_RARE_ERRORS, ErrorThreshold, find_threshold
from gluonfr.apps.curation.cleaning.identities import Identities, normalized
from gluonfr.core import generator

_SEED, _DRAWN = 0, 109
_SIMULATED = 4000


@dataclass(frozen=True)
class Overlap:
    """People of a test set who are also in the training set.

    Attributes
    ----------
    found : list of (int, int, float)
        Person of the test set, person of the training set and similarity; the most similar first.
    people : int
        Number of people in the test set.
    threshold : ErrorThreshold
        On the negative similarity.

    Examples
    --------
    >>> print(Overlap([], 20, find_threshold([], [])))
    none of 20 people of the test set is as similar to a person of this set as its own people are
    """

    found: list[tuple[int, int, float]]
    people: int
    threshold: ErrorThreshold

    def __str__(self) -> str:
        if not self.found:
            return f"none of {self.people:,} people of the test set is as similar to a person of this set as its own people are"
        return (
            f"{len(self.found):,} of {self.people:,} people of the test set are as similar to a person of this set as its own "
            f"people are ({-self.threshold.score:.4f} or more): {self.threshold}"
        )


def find_overlap(people: Identities, test: Identities, progress: str | None = None) -> Overlap:
    """Find people of a test set who are in a training set.

    The mean embedding of each test person is compared with those of the people of the training set. The similarity of people
    who are in both is learned from the training set: as many images as a test person has are drawn from one of its people and
    compared with the other images of that person.

    Parameters
    ----------
    people, test : Identities
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    Overlap

    Examples
    --------
    >>> find_overlap(Identities(training, labels), Identities(test, test_labels)).found  # doctest: +SKIP
    [(17, 4, 0.81)]
    """
    similarity, nearest = people.nearest(test.centroids, np.full(len(test), -1), 1, progress)
    threshold = find_threshold(-similarity[:, 0], -_scores_of_shared_people(people, test.counts), QUANTILES_OF_RARE_ERRORS)
    chosen = np.flatnonzero(-similarity[:, 0] <= threshold.score)
    rows = [(int(person), int(nearest[person, 0]), float(similarity[person, 0])) for person in chosen]
    return Overlap(sorted(rows, key=lambda row: -row[2]), len(test), threshold)


def _scores_of_shared_people(people: Identities, counts: np.ndarray) -> np.ndarray:
    """Return similarities of people who are in the set, queried with as many images as people of the test set have."""
    random = generator(_SEED, _DRAWN)
    able = np.flatnonzero(people.counts > 1)
    drawn, rest, of = [], [], []
    for wanted in random.choice(counts, min(_SIMULATED, max(len(counts), 1000))) if len(able) else ():
        person = int(random.choice(able))
        images = random.permutation(people.images(person))
        count = min(int(wanted), len(images) - 1)
        rows = np.asarray(people.embeddings[images], np.float64)
        drawn.append(rows[:count].sum(0))
        rest.append(rows[count:].sum(0))
        of.append(person)
    if not drawn:
        return np.empty(0)
    queries, targets = normalized(np.array(drawn)), normalized(np.array(rest))
    elsewhere, _ = people.nearest(queries, np.array(of), 1)
    return np.maximum(elsewhere[:, 0], np.einsum("ij,ij->i", queries, targets, dtype=np.float64))
