from __future__ import annotations

from mxnet.gluon import HybridBlock, nn

from gluonfr.core import GluonFRError
from gluonfr.nn.prelu import PReLU


class SELayer(HybridBlock):
    """Squeeze-and-excitation (https://arxiv.org/abs/1709.01507) as InsightFace builds it: 1x1 convolutions with bias.

    Parameters
    ----------
    channel : int
        Number of channels C of input and output.
    in_channel : int, optional
        The same, as gluon-face asks for it; another number is refused.
    reduction : int, default 16
        C / reduction channels in the middle.

    Inputs:
        - **data**: (N, C, H, W).
    Outputs:
        - **out**: same shape, every channel multiplied by a number in (0, 1).
    """

    def __init__(self, channel, in_channel=None, reduction=16, **kwargs) -> None:
        super().__init__(**kwargs)
        if in_channel not in (None, channel):
            raise GluonFRError(f"SELayer keeps the number of channels: in_channel is {channel}, got {in_channel!r}.")
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

    def hybrid_forward(self, F, x):
        return F.broadcast_mul(x, self.gate(x))
