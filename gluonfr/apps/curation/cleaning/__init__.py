"""Cleaning: wrong labels, people under two labels, copies, and people of a test set in a training set."""

from __future__ import annotations

from gluonfr.apps.curation.cleaning.apply import apply_changes, check_report, is_report
from gluonfr.apps.curation.cleaning.clean import clean_set
from gluonfr.apps.curation.cleaning.embedded_set import EmbeddedSet, embed_set
from gluonfr.apps.curation.cleaning.face_sets import FaceSet, open_set
from gluonfr.apps.curation.cleaning.findings import Findings, analyze

__all__ = [
    "EmbeddedSet",
    "FaceSet",
    "Findings",
    "analyze",
    "apply_changes",
    "check_report",
    "clean_set",
    "embed_set",
    "is_report",
    "open_set",
]
