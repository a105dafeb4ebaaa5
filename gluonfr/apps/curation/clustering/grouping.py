"""Grouping of faces by person."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, Protocol, Sequence

import numpy as np

from gluonfr.apps.curation.clustering.linkage import AverageLinkage
from gluonfr.core import Card, UsageError, display_path
from gluonfr.metrics.false_accept import FalseAcceptCurve, far_from_fpir

# Probability that a group finds a stranger above the threshold among the other groups; beyond it joining does more harm.
_PROBABILITY = 0.5
# Fewer groups say too little about the number of people.
_FEWEST = 10
_BLOCK = 1 << 12


class NamingGallery(Protocol):
    """What `name_groups` requires of a gallery; `gluonfr.apps.gallery.Gallery` has it.

    Examples
    --------
    >>> from gluonfr.apps.gallery import Gallery  # doctest: +SKIP
    """

    def threshold(self, fpir: float) -> Any:
        """Return the threshold for a false positive rate."""

    def identify(self, embeddings: np.ndarray, k: int, threshold: Any) -> Sequence[Any]:
        """Return one answer with a `name` per embedding."""


@dataclass
class Clusters:
    """Faces in groups, one per person as far as the network can tell.

    Attributes
    ----------
    people : np.ndarray, (N,) int64
        Group of each face; group 0 is the largest.
    similarity : np.ndarray, (N,) float64
        Mean cosine to the other faces of the group; NaN for a face that is alone.
    threshold : float
        Groups were joined while the mean cosine of their pairs was above it.
    given : bool
        Whether the caller chose the threshold.
    compared : int
        Number of groups with two or more faces for which the threshold holds.
    repeated : np.ndarray, (n,) int64
        Faces whose photo shows a better face of the same person, as contact strips and collages do.

    Examples
    --------
    >>> Clusters(np.array([0, 0, 1]), np.array([0.8, 0.8, np.nan]), 0.4, True, 1, np.empty(0, np.int64))
    Clusters(faces=3, people=2, threshold=0.4000)
    """

    people: np.ndarray
    similarity: np.ndarray
    threshold: float
    given: bool
    compared: int
    repeated: np.ndarray

    def __repr__(self) -> str:
        groups = len(np.unique(self.people))
        return f"Clusters(faces={len(self.people)}, people={groups}, threshold={self.threshold:.4f})"

    def explain(self) -> str:
        """Return the threshold in words."""
        text = f"groups are one person while their mean similarity is above {self.threshold:.4f}"
        if self.given:
            return f"{text}, given by the user"
        return (
            f"{text}: from the thresholds of the network's card, for comparisons among {self.compared:,} groups; a single face "
            "finds a stranger of this similarity in one of two such searches, a group far more rarely"
        )


def cluster_faces(
    embeddings: np.ndarray,
    card: Card | None = None,
    threshold: float | None = None,
    photo: np.ndarray | None = None,
    space: np.ndarray | None = None,
    progress: str | None = None,
) -> Clusters:
    """Group faces by person with average linkage; the threshold follows from the number of groups.

    Two faces of different people are as similar as the card's threshold for a FAR f with probability f. A search among C
    groups finds such a face with probability 1 - (1 - f)**C, which the rule sets to one half. C is not known in advance:
    joining starts as if each face were a person and continues, at the threshold for the number of groups with two or more
    faces, until this number is stable.

    Parameters
    ----------
    embeddings : np.ndarray, (N, D) float32
        Norm 1.
    card : Card, optional
        With thresholds; required if `threshold` is None.
    threshold : float, optional
        Mean cosine to use instead.
    photo : np.ndarray, (N,) int, optional
        Photo of each face. Of two faces of a group on one photo, the less similar one becomes a group of its own, unless its
        mean similarity to the faces on other photos of the group is above the threshold too.
    space : np.ndarray, (N, D) float32, optional
        Space to work in, such as a memory-mapped file, if a copy of the embeddings would not fit into memory.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    Clusters

    Raises
    ------
    UsageError
        The card has no thresholds and none is given, or the given one is not a cosine.

    Examples
    --------
    >>> cluster_faces(np.array([[1, 0], [0, 1], [1, 0]], np.float32), threshold=0.5).people
    array([0, 1, 0])
    """
    check_threshold(card, threshold)
    if space is None:
        space = np.empty(embeddings.shape, np.float32)
    for start in range(0, len(embeddings), _BLOCK):
        space[start : start + _BLOCK] = embeddings[start : start + _BLOCK]
    linkage, compared = AverageLinkage(space), len(embeddings)
    if threshold is not None:
        linkage.join(threshold, progress)
        groups, similarity, repeated = _people(embeddings, linkage.groups(), photo, threshold)
        return Clusters(groups, similarity, threshold, True, _count_groups(linkage), repeated)
    curve, before = FalseAcceptCurve(card.thresholds if card else []), compared + 1
    while compared < before:
        threshold = curve.similarity(far_from_fpir(_PROBABILITY, max(compared, _FEWEST)))
        linkage.join(threshold, progress)
        before, compared = compared, max(_count_groups(linkage), _FEWEST)
    assert threshold is not None
    groups, similarity, repeated = _people(embeddings, linkage.groups(), photo, threshold)
    return Clusters(groups, similarity, threshold, False, before, repeated)


def check_threshold(card: Card | None, threshold: float | None) -> None:
    """Raise UsageError unless there is a valid threshold for clustering.

    Examples
    --------
    >>> check_threshold(None, 0.4)
    """
    if threshold is not None and not -1 <= threshold <= 1:
        raise UsageError(f"the threshold must be a cosine from -1 to 1, got {threshold}.")
    if threshold is None and not (card and card.thresholds):
        raise UsageError("the network's card has no thresholds; set a threshold for joining groups.")


def name_groups(gallery: NamingGallery, embeddings: np.ndarray, people: np.ndarray, fpir: float) -> tuple[dict[int, str], Any]:
    """Name groups with a gallery.

    A group gets a name if more than half of its faces are identified as this person. Each face is identified by itself,
    because the threshold of the gallery holds for single faces.

    Parameters
    ----------
    gallery : NamingGallery
    embeddings : np.ndarray, (N, D) float32
    people : np.ndarray, (N,) int64
        Group of each face.
    fpir : float
        False positive identification rate.

    Returns
    -------
    names : dict of int to str
        Names of groups; two groups with one name are one person.
    threshold : Threshold
        Of the gallery.

    Examples
    --------
    >>> name_groups(gallery, embeddings, clusters.people, 0.01)[0]  # doctest: +SKIP
    {0: 'Ann'}
    """
    threshold = gallery.threshold(fpir)
    votes: dict[int, list[str | None]] = {}
    for start in range(0, len(embeddings), _BLOCK):
        answers = gallery.identify(embeddings[start : start + _BLOCK], 1, threshold)
        for group, answer in zip(people[start : start + _BLOCK].tolist(), answers):
            votes.setdefault(group, []).append(answer.name)
    names = {}
    for group, answered in votes.items():
        name = max(set(answered) - {None}, key=answered.count, default=None)
        if name is not None and 2 * answered.count(name) > len(answered):
            names[group] = name
    return names, threshold


def people_of_folders(files: Sequence[str]) -> list[str]:
    """Return the person of each photo in one folder per person: the name of its folder.

    Raises
    ------
    UsageError
        A photo is not in a folder.

    Examples
    --------
    >>> people_of_folders(["Ann/1.jpg", "Bea/1.jpg"])
    ['Ann', 'Bea']
    """
    outside = next((file for file in files if os.sep not in file), None)
    if outside is not None:
        raise UsageError(
            f"{display_path(outside)} is not in the folder of a person; an evaluation requires one folder of photos per person."
        )
    return [file.split(os.sep)[0] for file in files]


def _count_groups(linkage: AverageLinkage) -> int:
    return int((linkage.sizes > 1).sum())


def _people(
    embeddings: np.ndarray, groups: np.ndarray, photo: np.ndarray | None, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the group and similarity of each face, and the faces that repeat a person of their photo."""
    groups, similarity = _by_size(embeddings, groups)
    if photo is None:
        return groups, similarity, np.empty(0, np.int64)
    photo = np.asarray(photo)
    # Sorted by group, photo and similarity: the best face of a person on a photo comes first.
    order = np.lexsort((-np.nan_to_num(similarity), photo, groups))
    again = (np.diff(groups[order]) == 0) & (np.diff(photo[order]) == 0)
    repeated = order[1:][again]
    same_person = np.array([_is_similar(embeddings, groups, photo, face, threshold) for face in repeated], bool)
    apart, repeated = repeated[~same_person], np.sort(repeated[same_person])
    groups[apart] = groups.max() + 1 + np.arange(len(apart))
    groups, similarity = _by_size(embeddings, groups)
    return groups, similarity, repeated


def _is_similar(embeddings: np.ndarray, groups: np.ndarray, photo: np.ndarray, face: int, threshold: float) -> bool:
    """Return whether a face is similar enough to the faces of its group on other photos."""
    others = np.flatnonzero((groups == groups[face]) & (photo != photo[face]))
    return len(others) > 0 and float((embeddings[others] @ embeddings[face]).mean()) > threshold


def _by_size(embeddings: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return groups numbered from the largest, and the mean similarity of each face to the others of its group."""
    groups = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(groups)
    new = np.empty(len(sizes), np.int64)
    new[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    groups, sizes = new[groups], -np.sort(-sizes)
    sums = np.zeros((len(sizes), embeddings.shape[1]))
    for start in range(0, len(groups), _BLOCK):
        np.add.at(sums, groups[start : start + _BLOCK], embeddings[start : start + _BLOCK])
    similarity = np.full(len(groups), np.nan)
    for start in range(0, len(groups), _BLOCK):
        rows, of = np.asarray(embeddings[start : start + _BLOCK], np.float64), groups[start : start + _BLOCK]
        others = np.einsum("ij,ij->i", sums[of] - rows, rows)
        similarity[start : start + _BLOCK] = np.where(sizes[of] > 1, others / np.maximum(sizes[of] - 1, 1), np.nan)
    return groups, similarity
