"""Training in lower precision: what is cast, and the scale that keeps small gradients of float16 alive."""

from __future__ import annotations

import logging

import mxnet as mx
from mxnet import nd
from mxnet.contrib import amp

from gluonfr.core import GluonFRError, UsageError

logger = logging.getLogger(__name__)

DTYPES = ("float32", "bfloat16", "float16")
_cast_to = None


def use(dtype, contexts) -> None:
    """From now on, networks that are built in this process compute their convolutions in `dtype`.

    Parameters stay float32, and so do embeddings and classifiers: cosines in bfloat16 have steps of 0.004, and the scale
    multiplies them by 64.

    Raises
    ------
    GluonFRError
        float16 on a CPU, which MXNet cannot; another dtype than the process already uses.
    """
    global _cast_to
    if dtype == "float16" and any(context.device_type == "cpu" for context in contexts):
        raise GluonFRError("dtype float16 needs GPUs, MXNet has no such convolution on a CPU; use bfloat16 there.")
    if (_cast_to or "float32") == dtype:
        return
    if _cast_to is not None:
        raise GluonFRError(f"this process casts to {_cast_to} already, MXNet cannot take that back; train in a new process.")
    if dtype == "bfloat16":
        _require_bfloat16(contexts)
    lists = amp.lists.symbol_bf16.FP32_FUNCS if dtype == "bfloat16" else amp.lists.symbol_fp16.FP32_FUNCS
    amp.init(dtype, target_precision_ops=["Convolution"], fp32_ops=[*lists, "FullyConnected"])
    _cast_to = dtype


def _require_bfloat16(contexts: list[mx.Context]) -> None:
    """Raise UsageError unless MXNet computes a convolution in bfloat16 on each context."""
    for context in contexts:
        try:
            image = nd.amp_cast(nd.ones((1, 1, 3, 3), ctx=context), dtype="bfloat16")
            output = nd.Convolution(image, image, kernel=(3, 3), num_filter=1, no_bias=True)
            nd.amp_cast(output, dtype="float32").wait_to_read()
        except mx.MXNetError as error:
            raise UsageError(
                f"dtype bfloat16 does not work on {context}: its instructions are missing there (a CPU needs AVX-512). "
                "Use float32."
            ) from error


class LossScale:
    """What losses are multiplied by so that float16 gradients do not vanish: halved when one overflows, doubled after two
    thousand steps without that, as in https://arxiv.org/abs/1710.03740.

    Attributes
    ----------
    value : float
    """

    def __init__(self, value=65536.0, patience=2000) -> None:
        self.value, self._patience, self._good = value, patience, 0

    def judge(self, finite) -> bool:
        """Whether the step may be taken, told whether all gradients are finite; moves the scale."""
        if not finite:
            self.value, self._good = max(1.0, self.value / 2), 0
            logger.info("a gradient overflowed: the step is left out, the loss scale is %g now", self.value)
            return False
        self._good += 1
        if self._good >= self._patience:
            self.value, self._good = self.value * 2, 0
        return True

    def state(self):
        """What `restore` takes back."""
        return [self.value, self._good]

    def restore(self, state) -> None:
        """Go on from what `state` gave."""
        self.value, self._good = state
