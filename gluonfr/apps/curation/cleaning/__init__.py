"""Wrong labels, people under two labels, copies, and people of a test set, in a training set."""

from __future__ import annotations

from gluonfr.apps.curation.cleaning.apply import apply_changes, is_report, need_report_of
from gluonfr.apps.curation.cleaning.clean import Findings, analyze, clean
from gluonfr.apps.curation.cleaning.embedded import Embedded, embed_set
from gluonfr.apps.curation.cleaning.sets import open_set

__all__ = ["Embedded", "Findings", "analyze", "apply_changes", "clean", "embed_set", "is_report", "need_report_of", "open_set"]
