"""Import paths of gluon-face."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()
