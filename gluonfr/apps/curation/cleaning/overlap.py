"""People who are in a training set and in a test set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gluonfr.apps.curation.cleaning.identities import directions
from gluonfr.apps.curation.cleaning.score_threshold import RARE, Cut, cut
from gluonfr.core import generator

_SEED, _DRAWN = 0, 109
_SIMULATED = 4000


@dataclass(frozen=True)
class Overlap:
    """People of a test set who are in the training set too.

    Attributes
    ----------
    found : list of (test person, person, similarity)
        The most similar first; numbers of the two `Identities`.
    people : int
        Of the test set.
    cut : Cut
    """

    found: list
    people: int
    cut: Cut

    def __str__(self) -> str:
        if not self.found:
            return f"none of {self.people:,} people of the test set is as like somebody of this set as its own people are"
        return (
            f"{len(self.found):,} of {self.people:,} people of the test set are as like somebody of this set as its own people "
            f"are ({-self.cut.score:.4f} or more): {self.cut}"
        )


def overlap(people, test, progress=None):
    """Find people of a test set who are in a training set.

    A person of the test set, the mean of the images, is compared with the means of the training set's people. How those
    score who are in both is learned from the training set: as many images as a person of the test set has are drawn from one
    of its people and compared with the rest of that person's.

    Parameters
    ----------
    people, test : Identities
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    Overlap
    """
    similarity, nearest = people.nearest(test.centroids, np.full(len(test), -1), 1, progress)
    found = cut(-similarity[:, 0], -_in_both(people, test.counts), RARE)
    chosen = np.flatnonzero(-similarity[:, 0] <= found.score)
    rows = [(int(each), int(nearest[each, 0]), float(similarity[each, 0])) for each in chosen]
    return Overlap(sorted(rows, key=lambda row: -row[2]), len(test), found)


def _in_both(people, counts):
    """Similarities of people who are in the set, asked for with as many images as the people of the test set have."""
    random = generator(_SEED, _DRAWN)
    able = np.flatnonzero(people.counts > 1)
    drawn, rest, who = [], [], []
    for wanted in random.choice(counts, min(_SIMULATED, max(len(counts), 1000))) if len(able) else ():
        person = int(random.choice(able))
        images = random.permutation(people.images(person))
        count = min(int(wanted), len(images) - 1)
        rows = np.asarray(people.embeddings[images], np.float64)
        drawn.append(rows[:count].sum(0))
        rest.append(rows[count:].sum(0))
        who.append(person)
    if not drawn:
        return np.empty(0)
    drawn, rest = directions(np.array(drawn)), directions(np.array(rest))
    elsewhere, _ = people.nearest(drawn, np.array(who), 1)
    return np.maximum(elsewhere[:, 0], np.einsum("ij,ij->i", drawn, rest, dtype=np.float64))
