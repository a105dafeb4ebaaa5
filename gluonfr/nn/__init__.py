"""Blocks of face-recognition networks."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.nn.base import FR_Base, FRBase, FrBase
from gluonfr.nn.dense import NormDense
from gluonfr.nn.embedding import HEADS, embedding_head
from gluonfr.nn.prelu import PReLU, prelu_form
from gluonfr.nn.resize import CropResize
from gluonfr.nn.se import SELayer

__all__ = [
    "HEADS",
    "CropResize",
    "FRBase",
    "FR_Base",
    "FrBase",
    "NormDense",
    "PReLU",
    "SELayer",
    "embedding_head",
    "prelu_form",
]
