"""Native CPU operators: compiled on first use, always optional; `status` reports whether they are used."""

from __future__ import annotations

from gluonfr.core.compat import prepare_mxnet

# Before any module of this room imports MXNet.
prepare_mxnet()

from gluonfr.ops.block import NativeBlock
from gluonfr.ops.library import OpsStatus, available, status
from gluonfr.ops.softmax import Change, cross_entropy, log_sum_exp_of_others

__all__ = ["Change", "NativeBlock", "OpsStatus", "available", "cross_entropy", "log_sum_exp_of_others", "status"]
