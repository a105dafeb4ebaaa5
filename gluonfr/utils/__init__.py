"""Import paths of gluon-face."""

from __future__ import annotations

from gluonfr.core.cpu import tune_cpu

# Before any module of this room imports MXNet.
tune_cpu()
