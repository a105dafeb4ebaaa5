"""The evaluation report: one HTML page that needs nothing else, with the same as PNG and JSON beside it."""

from __future__ import annotations

from gluonfr.evaluation.report.entry import ReportEntry
from gluonfr.evaluation.report.write import write_report

__all__ = ["ReportEntry", "write_report"]
