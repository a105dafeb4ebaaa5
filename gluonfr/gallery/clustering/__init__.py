"""Unknown photos into a folder a person."""

from gluonfr.gallery.clustering.cluster import Clusters, cluster_faces
from gluonfr.gallery.clustering.folder import Clustered, cluster_photos
from gluonfr.gallery.clustering.linkage import AverageLinkage

__all__ = ["AverageLinkage", "Clustered", "Clusters", "cluster_faces", "cluster_photos"]
