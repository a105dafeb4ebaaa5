"""The evaluation report: one HTML page that needs nothing else, with the same as PNG and JSON beside it."""

from gluonfr.viz.report.entry import ReportEntry
from gluonfr.viz.report.write import write_report

__all__ = ["ReportEntry", "write_report"]
