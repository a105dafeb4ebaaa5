"""Curation of data sets: clustering of unlabeled photos, and cleaning of training sets."""

from __future__ import annotations

from gluonfr.apps.curation.cleaning import Findings, apply_changes, clean_set, open_set
from gluonfr.apps.curation.clustering import ClusteredPhotos, Clusters, cluster_faces, cluster_photos

__all__ = [
    "ClusteredPhotos",
    "Clusters",
    "Findings",
    "apply_changes",
    "clean_set",
    "cluster_faces",
    "cluster_photos",
    "open_set",
]
