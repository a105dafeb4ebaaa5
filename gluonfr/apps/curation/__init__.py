"""Curation of data sets: clustering of unlabeled photos, and cleaning of training sets."""

from __future__ import annotations

from gluonfr.apps.curation.cleaning import Findings, apply_changes, clean, open_set
from gluonfr.apps.curation.clustering import Clustered, Clusters, cluster_faces, cluster_photos

__all__ = [
    "Clustered",
    "Clusters",
    "Findings",
    "apply_changes",
    "clean",
    "cluster_faces",
    "cluster_photos",
    "open_set",
]
