"""Gluon networks as ONNX models; MXNet's own exporter writes wrong PReLU slopes and fails with current versions of onnx."""

from __future__ import annotations

from gluonfr.deploy.onnx_export import arithmetic, layers, shapes  # noqa: F401  # They register their converters.
from gluonfr.deploy.onnx_export.model import CARD_ENTRY, onnx_model

__all__ = ["CARD_ENTRY", "onnx_model"]
