from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock, nn

from gluonfr.core import UsageError
from gluonfr.nn.prelu import PReLU


class SELayer(HybridBlock):
    """Squeeze-and-excitation (https://arxiv.org/abs/1709.01507) as InsightFace builds it: 1x1 convolutions with bias.

    Parameters
    ----------
    channel : int
        Number of channels C of input and output.
    in_channel : int, optional
        Accepted for gluon-face's scripts; only the same number is possible.
    reduction : int, default 16
        Reduction ratio: there are C / reduction channels in the middle.

    Inputs:
        - **data**: (N, C, H, W).
    Outputs:
        - **out**: same shape, every channel multiplied by a number in (0, 1).

    Examples
    --------
    >>> import mxnet as mx
    >>> layer = SELayer(32)
    >>> layer.initialize()
    >>> layer(mx.nd.zeros((1, 32, 4, 4))).shape
    (1, 32, 4, 4)
    """

    def __init__(self, channel: int, in_channel: int | None = None, reduction: int = 16, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if in_channel not in (None, channel):
            raise UsageError(f"SELayer: in_channel must be the number of channels {channel}, got {in_channel!r}.")
        middle = max(1, channel // reduction)
        with self.name_scope():
            self.gate = nn.HybridSequential(prefix="")
            self.gate.add(
                nn.GlobalAvgPool2D(),
                nn.Conv2D(middle, 1, in_channels=channel),
                PReLU(middle),
                nn.Conv2D(channel, 1, in_channels=middle),
                nn.Activation("sigmoid"),
            )

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return the weighted channels."""
        return F.broadcast_mul(x, self.gate(x))
