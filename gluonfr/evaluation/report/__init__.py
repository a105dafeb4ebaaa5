"""The evaluation report: one self-contained HTML page, with its figures as PNG and JSON files."""

from __future__ import annotations

from gluonfr.evaluation.report.entry import ReportEntry
from gluonfr.evaluation.report.write import write_report

__all__ = ["ReportEntry", "write_report"]
