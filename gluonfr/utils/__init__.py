"""gluon-face's import paths; the code lives elsewhere."""

from __future__ import annotations

from gluonfr.core.cpu import tune_cpu

# Before any module of this room imports MXNet.
tune_cpu()
