"""Evaluation of face detectors on annotated photos."""

from __future__ import annotations

from gluonfr.evaluation.detectors.evaluate import DetectorEvaluation, Mistake, evaluate_detector
from gluonfr.evaluation.detectors.report import write_detector_report

__all__ = ["DetectorEvaluation", "Mistake", "evaluate_detector", "write_detector_report"]
