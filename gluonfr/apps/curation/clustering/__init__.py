"""Unknown photos into a folder a person."""

from __future__ import annotations

from gluonfr.apps.curation.clustering.cluster import Clusters, cluster_faces
from gluonfr.apps.curation.clustering.folder import Clustered, cluster_photos
from gluonfr.apps.curation.clustering.linkage import AverageLinkage

__all__ = ["AverageLinkage", "Clustered", "Clusters", "cluster_faces", "cluster_photos"]
