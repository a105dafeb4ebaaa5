from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gluonfr.metrics.checks import id_array
from gluonfr.metrics.results import MetricResult


@dataclass(frozen=True, repr=False)
class ClusteringResult(MetricResult):
    """Agreement of clusters with identities.

    Attributes
    ----------
    faces, people, clusters : int
        Number of faces, of identities, and of clusters.
    precision : float
        B-cubed precision: the share of a face's cluster that shows the face's identity, averaged over all faces.
    recall : float
        B-cubed recall: the share of an identity's faces that lie in the face's cluster, averaged over all faces.
    f : float
        Harmonic mean of precision and recall.

    Examples
    --------
    >>> bcubed(["a", "a", "b", "b"], [0, 0, 0, 1]).to_dict()["people"]
    2
    """

    faces: int
    people: int
    clusters: int
    precision: float
    recall: float
    f: float

    def name_values(self) -> list[tuple[str, float]]:
        """Return precision, recall and f as (name, value) pairs."""
        return [("precision", self.precision), ("recall", self.recall), ("f", self.f)]

    def _summary(self) -> str:
        return f"{self.faces:,} faces, {self.people:,} identities, {self.clusters:,} clusters"


def bcubed(labels: Any, clusters: Any) -> ClusteringResult:
    """Compute B-cubed precision, recall and F (Bagga and Baldwin 1998), in which every face has the same weight.

    Parameters
    ----------
    labels : array-like, (N,)
        Identity of each face: names or integers.
    clusters : array-like, (N,)
        Cluster of each face: names or integers. A face outside all clusters is a cluster of its own and needs a unique name.

    Returns
    -------
    ClusteringResult

    Raises
    ------
    UsageError
        There are no faces, the lengths differ, or labels are neither names nor integers.

    Examples
    --------
    >>> result = bcubed(["a", "a", "b", "b"], [0, 0, 0, 1])
    >>> round(result.precision, 3), result.recall
    (0.667, 0.75)
    """
    labels = id_array(labels, "labels", what="face")
    clusters = id_array(clusters, "clusters", max(len(labels), 1), what="face")
    people, person = np.unique(labels, return_inverse=True)
    groups, cluster = np.unique(clusters, return_inverse=True)
    # Faces of a person in a cluster, for the combinations of the two that occur.
    pairs, both = np.unique(person.astype(np.int64) * len(groups) + cluster, return_counts=True)
    of_person, of_cluster = np.bincount(person)[pairs // len(groups)], np.bincount(cluster)[pairs % len(groups)]
    precision = float((both * (both / of_cluster)).sum() / len(labels))
    recall = float((both * (both / of_person)).sum() / len(labels))
    f = 2 * precision * recall / (precision + recall)
    return ClusteringResult(len(labels), len(people), len(groups), precision, recall, f)
