from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from gluonfr.core import GluonFRError


@dataclass(frozen=True)
class ClusteringResult:
    """How well clusters are people.

    Attributes
    ----------
    faces, people, clusters : int
    precision : float
        B-cubed: the share of a face's cluster that shows the face's person, mean over all faces, itself among them.
    recall : float
        B-cubed: the share of a person's faces that lie in the face's cluster, mean over all faces.
    f : float
        Harmonic mean of the two.
    """

    faces: int
    people: int
    clusters: int
    precision: float
    recall: float
    f: float

    def to_dict(self):
        """Plain Python, for JSON."""
        return asdict(self)


def bcubed(labels, clusters):
    """B-cubed precision, recall and F (Bagga and Baldwin 1998): every face counts alike, however large its person is.

    Parameters
    ----------
    labels : array-like, (N,)
        Whose face each is; whatever can be sorted.
    clusters : array-like, (N,)
        In which cluster each lies. A face that is left alone is a cluster of its own, which needs a name of its own.

    Returns
    -------
    ClusteringResult

    Raises
    ------
    GluonFRError
        There are no faces, or not one cluster for each label.
    """
    labels, clusters = np.asarray(labels), np.asarray(clusters)
    if labels.shape != clusters.shape or labels.ndim != 1 or not len(labels):
        raise GluonFRError(f"labels {labels.shape} and clusters {clusters.shape}: give one of each a face, and at least one.")
    people, person = np.unique(labels, return_inverse=True)
    groups, cluster = np.unique(clusters, return_inverse=True)
    # Faces of a person in a cluster, for the pairs of the two that have some.
    pairs, both = np.unique(person.astype(np.int64) * len(groups) + cluster, return_counts=True)
    of_person, of_cluster = np.bincount(person)[pairs // len(groups)], np.bincount(cluster)[pairs % len(groups)]
    precision = float((both * (both / of_cluster)).sum() / len(labels))
    recall = float((both * (both / of_person)).sum() / len(labels))
    f = 2 * precision * recall / (precision + recall)
    return ClusteringResult(len(labels), len(people), len(groups), precision, recall, f)
