from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator

import mxnet as mx
from mxnet import nd
from mxnet.gluon import HybridBlock

_FORMS = ("operator", "depthwise")
_forced_form: str | None = None


@contextmanager
def prelu_form(form: str) -> Iterator[None]:
    """Select how every `PReLU` computes inside a with block, for example ``"operator"`` while a network is exported.

    A hybridized network that has run already uses the form of its trace: hybridize it again inside the block.

    Parameters
    ----------
    form : {'operator', 'depthwise'}
        MXNet's own operator, or two depthwise 1x1 convolutions with the same value (see `PReLU`).

    Examples
    --------
    >>> with prelu_form("operator"):
    ...     symbol = PReLU(8)(mx.sym.var("data"))
    """
    global _forced_form
    if form not in _FORMS:
        raise ValueError(f"the form of PReLU is one of {', '.join(_FORMS)}, got {form!r}")
    before, _forced_form = _forced_form, form
    try:
        yield
    finally:
        _forced_form = before


class PReLU(HybridBlock):
    r"""Parametric ReLU with one slope per channel; `gluon.nn.PReLU` shares one slope by default.

    .. math:: y_c = \max(0, x_c) + \alpha_c \min(0, x_c)

    On CPU MXNet's operator takes four fifths of MobileFaceNet's time. There the same function is computed as
    :math:`\alpha \odot x + (1 - \alpha) \odot \max(0, x)`, with depthwise 1x1 convolutions, which are fast in oneDNN
    and use its memory layout; values differ by rounding only. Where a GPU is present the operator is used.

    Parameters
    ----------
    in_channels : int
        Number of channels C.
    alpha_initializer : Initializer or str, default Constant(0.25)
        Initializer of the slopes (C,); the default is the paper's (https://arxiv.org/abs/1502.01852).

    Inputs:
        - **data**: (N, C, H, W).
    Outputs:
        - **out**: same shape.

    Examples
    --------
    >>> block = PReLU(1)
    >>> block.initialize()
    >>> block(mx.nd.array([[[[-4, 2]]]])).asnumpy().tolist()
    [[[[-1.0, 2.0]]]]
    """

    def __init__(self, in_channels: int, alpha_initializer: Any = "default", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._channels = in_channels
        if alpha_initializer == "default":
            alpha_initializer = mx.init.Constant(0.25)
        with self.name_scope():
            self.alpha = self.params.get("alpha", shape=(in_channels,), init=alpha_initializer)

    def _form(self, x: Any) -> str:
        if _forced_form is not None:
            return _forced_form
        on_gpu = x.context.device_type == "gpu" if isinstance(x, nd.NDArray) else mx.context.num_gpus() > 0
        return "operator" if on_gpu else "depthwise"

    def hybrid_forward(self, F: Any, x: Any, alpha: Any) -> Any:
        """Return the activations."""
        if self._form(x) == "operator":
            return F.LeakyReLU(x, alpha, act_type="prelu", name="fwd")
        scale = {"kernel": (1, 1), "num_filter": self._channels, "num_group": self._channels, "no_bias": True}
        slopes = F.reshape(alpha, shape=(-1, 1, 1, 1))
        positive = F.Activation(x, act_type="relu")
        return F.Convolution(x, slopes, **scale) + F.Convolution(positive, 1 - slopes, **scale)

    def __repr__(self) -> str:
        return f"PReLU({self._channels})"
