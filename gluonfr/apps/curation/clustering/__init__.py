"""Clustering: photos of unknown people into one folder per person."""

from __future__ import annotations

from gluonfr.apps.curation.clustering.grouping import Clusters, cluster_faces
from gluonfr.apps.curation.clustering.linkage import AverageLinkage
from gluonfr.apps.curation.clustering.sorted_folder import ClusteredPhotos, cluster_photos

__all__ = ["AverageLinkage", "ClusteredPhotos", "Clusters", "cluster_faces", "cluster_photos"]
