"""Agreement of new photos with the other photos of the person, which finds photos of another person."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from gluonfr.apps.gallery.gallery import Gallery
from gluonfr.apps.gallery.unknown import Threshold
from gluonfr.metrics.false_accept import FalseAcceptCurve

# Other photos of the person that a photo is compared with; of two photos that differ, either may be the wrong one.
_LEAST_OTHERS = 2
# False accept rates of one comparison: a photo below the first similarity is left out where it is more similar to another
# person, and below the second in any case. On 24 and 90 people with 3 to 7 photos each (2026-11-29) that left out 0 to 1.9 %
# of the right photos with mobilefacenet-y1 and 0 to 3.7 % with dlib's network, and 83 to 100 % of planted strangers with 3
# people, 90 to 100 % with 10 and more.
_DOUBTFUL_FAR, _STRANGE_FAR = 0.01, 0.1


def disagreeing_photos(gallery: Gallery, people: Mapping[str, np.ndarray]) -> dict[str, dict[int, str]]:
    """Find new photos that are not similar to the other photos of their person.

    A photo is compared with all other photos of the person, new and enrolled, and with those of all other people. It needs two
    other photos of the person, and a network whose card has thresholds.

    Parameters
    ----------
    gallery : Gallery
    people : dict of str to np.ndarray, (n, D) float32
        Embeddings of the new photos of each person.

    Returns
    -------
    dict of str to dict of int to str
        For each person the indices of the disagreeing photos, and a description.

    Examples
    --------
    >>> import os, tempfile
    >>> from gluonfr.core import Card
    >>> card = Card(network="n", embedding_size=2, thresholds=[{"far": 0.1, "similarity": 0.3}])
    >>> with tempfile.TemporaryDirectory() as folder, Gallery(os.path.join(folder, "g.db"), card) as gallery:
    ...     disagreeing_photos(gallery, {"Ann": np.array([[1, 0], [1, 0], [0, 1]], np.float32)})
    {'Ann': {2: 'similarity 0.00 to the nearest of 2 other photos of the person, at least 0.30'}}
    """
    if not gallery.card.thresholds or not people:
        return {}
    curve = FalseAcceptCurve(gallery.card.thresholds)
    doubtful, strange = curve.similarity(_DOUBTFUL_FAR), curve.similarity(_STRANGE_FAR)
    names, rows = list(people), np.concatenate(list(people.values()))
    owners = np.repeat(np.arange(len(names)), [len(part) for part in people.values()])
    same = owners[:, None] == owners[None]
    similarities = rows @ rows.T
    np.fill_diagonal(similarities, -1)
    own, others = np.where(same, similarities, -1).max(1), np.where(same, -1, similarities).max(1)
    counts = np.bincount(owners)[owners] - 1
    enrolled = {person.name for person in gallery.people()}
    for number, name in enumerate(names):
        if name in enrolled:
            known = np.stack([entry.embedding for _, entry in gallery.entries(name)])
            mine = owners == number
            own[mine] = np.maximum(own[mine], (rows[mine] @ known.T).max(1))
            counts[mine] += len(known)
    if enrolled:
        answers = gallery.identify(rows, k=2, threshold=Threshold(math.inf, math.nan, 0, "none"))
        best = [
            max((m.similarity for m in answer.matches if m.name != names[i]), default=-1) for i, answer in zip(owners, answers)
        ]
        others = np.maximum(others, best)
    wrong = (counts >= _LEAST_OTHERS) & ((own < strange) | ((own < doubtful) & (others > own)))
    found: dict[str, dict[int, str]] = {}
    firsts = np.searchsorted(owners, np.arange(len(names)))
    for row in np.flatnonzero(wrong).tolist():
        needed = strange if own[row] < strange else doubtful
        found.setdefault(names[owners[row]], {})[row - int(firsts[owners[row]])] = (
            f"similarity {own[row]:.2f} to the nearest of {counts[row]} other photos of the person, at least {needed:.2f}"
        )
    return found
