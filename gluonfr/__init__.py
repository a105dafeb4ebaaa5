"""Face recognition with Apache MXNet/Gluon.

Importing the package makes MXNet importable beside the installed NumPy, so write ``import gluonfr`` before
``import mxnet`` where NumPy is 1.24 or newer.
"""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet as _prepare_mxnet

_prepare_mxnet()

__version__ = "2.0.0.dev0"
