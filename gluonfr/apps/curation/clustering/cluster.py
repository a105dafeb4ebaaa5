"""Who is the same person on photos of people whom nobody named."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from gluonfr.apps.curation.clustering.linkage import AverageLinkage
from gluonfr.core import GluonFRError, display_path
from gluonfr.metrics.false_accept import FalseAcceptCurve, far_from_fpir

# The chance that a group has a stranger among the other groups: from there on joining does more harm than good.
_CHANCE = 0.5
# Fewer groups tell too little of how many people there are.
_FEWEST = 10
_BLOCK = 1 << 12


@dataclass
class Clusters:
    """Faces in groups, each of one person as far as the network can tell.

    Attributes
    ----------
    people : (N,) int64
        The group of each face, numbered from 0, the largest group first.
    similarity : (N,) float64
        Mean cosine to the other faces of its group; NaN where it is alone.
    threshold : float
        Groups were joined while the mean cosine of their pairs was above it.
    given : bool
        Whether the caller chose it.
    compared : int
        Groups of two faces or more for whose number it holds.
    """

    people: np.ndarray
    similarity: np.ndarray
    threshold: float
    given: bool
    compared: int

    def explain(self) -> str:
        """The threshold in words."""
        said = f"faces are one person while the mean similarity of two groups is above {self.threshold:.4f}"
        if self.given:
            return f"{said}, given by you"
        return (
            f"{said}: from the thresholds on the network's card, for {self.compared:,} groups each compared with all others; a "
            "single face would meet a stranger as similar in one of two such searches, a whole group far more rarely"
        )


def cluster_faces(embeddings, card=None, threshold=None, photo=None, space=None, progress=None):
    """Group faces by person: average linkage, from a threshold that follows from the number of groups.

    A pair of strangers is as similar as the card's threshold for a FAR f in f of all cases. Among C groups that is met where
    1 - (1 - f)**C is a half. C is not known before: joining begins as if each face were a person and goes on, at the threshold
    for as many groups of two faces or more as there are then, until their number stays.

    Parameters
    ----------
    embeddings : (N, D) float32, norm 1
    card : Card
        With thresholds; needed where `threshold` is None.
    threshold : float, optional
        Mean cosine of your own.
    photo : (N,) int, optional
        On which photo each face is. Two faces of one photo are two people: of those that would be one, the face most like the
        others of its group stays and the rest are groups of their own.
    space : (N, D) float32, optional
        To work in, such as a memory-mapped file, where a copy of the embeddings would not fit into memory.
    progress : str, optional
        Text of a progress bar.

    Returns
    -------
    Clusters

    Raises
    ------
    GluonFRError
        The card states no thresholds and none is given, or the one given is no cosine.
    """
    need_threshold(card, threshold)
    if space is None:
        space = np.empty(embeddings.shape, np.float32)
    for start in range(0, len(embeddings), _BLOCK):
        space[start : start + _BLOCK] = embeddings[start : start + _BLOCK]
    linkage, compared = AverageLinkage(space), len(embeddings)
    if threshold is not None:
        linkage.join(threshold, progress)
        return Clusters(*_people(embeddings, linkage.groups(), photo), threshold, True, _groups(linkage))
    curve, before = FalseAcceptCurve(card.thresholds), None
    while before is None or compared < before:
        threshold = curve.similarity(far_from_fpir(_CHANCE, max(compared, _FEWEST)))
        linkage.join(threshold, progress)
        before, compared = compared, max(_groups(linkage), _FEWEST)
    return Clusters(*_people(embeddings, linkage.groups(), photo), threshold, False, before)


def need_threshold(card, threshold) -> None:
    """GluonFRError unless there is a threshold to group by."""
    if threshold is not None and not -1 <= threshold <= 1:
        raise GluonFRError(f"the threshold must be a cosine from -1 to 1, got {threshold}.")
    if threshold is None and not (card and card.thresholds):
        raise GluonFRError("the network's card states no thresholds; give one with --join.")


def _groups(linkage):
    return int((linkage.sizes > 1).sum())


def _people(embeddings, groups, photo):
    groups, similarity = _ordered(embeddings, groups)
    if photo is None:
        return groups, similarity
    # Best first within each photo and group; whoever follows is somebody else.
    order = np.lexsort((-np.nan_to_num(similarity), photo, groups))
    again = (np.diff(groups[order]) == 0) & (np.diff(np.asarray(photo)[order]) == 0)
    apart = order[1:][again]
    groups[apart] = groups.max() + 1 + np.arange(len(apart))
    return _ordered(embeddings, groups)


def _ordered(embeddings, groups):
    """Groups numbered from the largest, and each face's mean similarity to the others of its group."""
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


def known_people(gallery, embeddings, people, fpir):
    """Names of groups by a gallery: dict of group to name.

    A group is called as more than half of its faces are, each identified by itself, because the gallery's threshold holds for
    single faces. Groups of one name are one person.
    """
    threshold, votes = gallery.threshold(fpir), {}
    for start in range(0, len(embeddings), _BLOCK):
        answers = gallery.identify(embeddings[start : start + _BLOCK], 1, threshold)
        for group, answer in zip(people[start : start + _BLOCK].tolist(), answers):
            votes.setdefault(group, []).append(answer.name)
    names = {}
    for group, told in votes.items():
        name = max(set(told) - {None}, key=told.count, default=None)
        if name is not None and 2 * told.count(name) > len(told):
            names[group] = name
    return names, threshold


def people_of_folders(files):
    """The person of each photo where photos lie in a folder a person: names of the folders. GluonFRError where one does not."""
    loose = next((file for file in files if os.sep not in file), None)
    if loose is not None:
        raise GluonFRError(f"{display_path(loose)} lies in no person's folder; --evaluate needs photos in a folder a person.")
    return [file.split(os.sep)[0] for file in files]
