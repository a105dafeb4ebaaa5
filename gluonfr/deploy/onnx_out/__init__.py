"""Gluon networks as ONNX models; MXNet's own exporter writes wrong slopes and fails with current onnx."""

from __future__ import annotations

from gluonfr.deploy.onnx_out import arithmetic, layers, shapes  # noqa: F401  # They register what they convert.
from gluonfr.deploy.onnx_out.model import CARD_ENTRY, need_onnx, onnx_model

__all__ = ["CARD_ENTRY", "need_onnx", "onnx_model"]
