"""gluon-face's import path of the blocks in `gluonfr.nn`."""

from __future__ import annotations

from gluonfr.nn.base import FR_Base, FRBase, FrBase
from gluonfr.nn.dense import NormDense
from gluonfr.nn.se import SELayer

__all__ = ["FRBase", "FR_Base", "FrBase", "NormDense", "SELayer"]
