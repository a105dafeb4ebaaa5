"""Training in lower precision: which operators are cast, and the loss scale that float16 needs."""

from __future__ import annotations

import logging
from typing import Sequence

import mxnet as mx
from mxnet import nd
from mxnet.contrib import amp

from gluonfr.core import UsageError
from gluonfr.core.cpu import cpu_info

logger = logging.getLogger(__name__)

_cast_to: str | None = None


def choose_dtype(contexts: Sequence[mx.Context]) -> str:
    """Return 'bfloat16' on CPUs with instructions for it (avx512_bf16 or amx_bf16), otherwise 'float32'.

    Examples
    --------
    >>> choose_dtype([mx.gpu(0)])
    'float32'
    """
    flags = set() if any(context.device_type == "gpu" for context in contexts) else set(cpu_info().get("flags", "").split())
    dtype = "bfloat16" if flags & {"avx512_bf16", "amx_bf16"} else "float32"
    logger.info("dtype=auto: %s", dtype)
    return dtype


def use_dtype(dtype: str, contexts: Sequence[mx.Context]) -> None:
    """Compute the convolutions of all networks that this process builds from now on in `dtype`.

    Parameters, embeddings and classifiers remain float32: cosines in bfloat16 have steps of 0.004, and the scale multiplies
    them by 64.

    Parameters
    ----------
    dtype : {'float32', 'bfloat16', 'float16'}
    contexts : list of Context
        Devices of the training.

    Raises
    ------
    UsageError
        The devices cannot compute in `dtype`, or the process already uses another one.

    Examples
    --------
    >>> use_dtype("float32", [mx.cpu()])
    """
    global _cast_to
    if dtype == "float16" and any(context.device_type == "cpu" for context in contexts):
        raise UsageError("dtype=float16 needs GPUs: MXNet has no float16 convolution on CPUs; use bfloat16 there.")
    if (_cast_to or "float32") == dtype:
        return
    if _cast_to is not None:
        raise UsageError(
            f"dtype={dtype}: this process computes in {_cast_to}, which MXNet cannot undo; train in a new process."
        )
    if dtype == "bfloat16":
        _require_bfloat16(contexts)
    lists = amp.lists.symbol_bf16.FP32_FUNCS if dtype == "bfloat16" else amp.lists.symbol_fp16.FP32_FUNCS
    amp.init(dtype, target_precision_ops=["Convolution"], fp32_ops=[*lists, "FullyConnected"])
    _cast_to = dtype


def _require_bfloat16(contexts: Sequence[mx.Context]) -> None:
    """Raise UsageError unless MXNet computes a convolution in bfloat16 on each context."""
    for context in contexts:
        try:
            image = nd.amp_cast(nd.ones((1, 1, 3, 3), ctx=context), dtype="bfloat16")
            output = nd.Convolution(image, image, kernel=(3, 3), num_filter=1, no_bias=True)
            nd.amp_cast(output, dtype="float32").wait_to_read()
        except mx.MXNetError as error:
            raise UsageError(
                f"dtype=bfloat16 does not work on {context}: its instructions are missing there (a CPU needs AVX-512). "
                "Use float32."
            ) from error


class LossScale:
    """Factor of the losses that prevents float16 gradients from vanishing (https://arxiv.org/abs/1710.03740).

    The factor is halved when a gradient overflows, and doubled after `patience` steps without an overflow.

    Parameters
    ----------
    value : float, default 65536
        First factor.
    patience : int, default 2000
        Steps without an overflow after which the factor is doubled.

    Attributes
    ----------
    value : float
        The current factor.

    Examples
    --------
    >>> scale = LossScale(8.0)
    >>> scale.update(finite=False), scale.value
    (False, 4.0)
    """

    def __init__(self, value: float = 65536.0, patience: int = 2000) -> None:
        self.value, self._patience, self._good_steps = value, patience, 0

    def __repr__(self) -> str:
        return f"LossScale({self.value:g}, patience={self._patience})"

    def update(self, finite: bool) -> bool:
        """Adapt the factor to whether all gradients are finite, and return whether the step may update the parameters."""
        if not finite:
            self.value, self._good_steps = max(1.0, self.value / 2), 0
            logger.info("a gradient overflowed: the step is skipped, and the loss scale is now %g", self.value)
            return False
        self._good_steps += 1
        if self._good_steps >= self._patience:
            self.value, self._good_steps = self.value * 2, 0
        return True

    def state(self) -> list[float]:
        """Return the state for `restore`."""
        return [self.value, self._good_steps]

    def restore(self, state: Sequence[float]) -> None:
        """Restore what `state` returned."""
        self.value, self._good_steps = float(state[0]), int(state[1])
