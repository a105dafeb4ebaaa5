"""Evaluation protocols end to end: verification, identification, MegaFace, IJB, and the HTML report."""

from __future__ import annotations

from gluonfr.core.cpu import tune_cpu

# Before any module of this room imports MXNet.
tune_cpu()

from gluonfr.evaluation.report import ReportEntry, write_report

__all__ = [
    "ReportEntry",
    "write_report",
]
