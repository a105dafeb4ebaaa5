"""Evaluation protocols end to end: verification, identification, MegaFace, IJB, and the HTML report."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.evaluation.report import ReportEntry, write_report

__all__ = [
    "ReportEntry",
    "write_report",
]
