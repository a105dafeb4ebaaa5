"""Face recognition with Apache MXNet/Gluon.

Importing the package makes MXNet importable beside the installed NumPy, so write ``import gluonfr`` before
``import mxnet`` where NumPy is 1.24 or newer.
"""

from gluonfr.core.compat import require_mxnet as _require_mxnet

_require_mxnet()

__version__ = "2.0.0.dev0"
