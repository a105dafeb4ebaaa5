from mxnet.gluon import HybridBlock, nn

from gluonfr.nn.prelu import PReLU


class SELayer(HybridBlock):
    """Squeeze-and-excitation (https://arxiv.org/abs/1709.01507) as InsightFace builds it: 1x1 convolutions with bias.

    Parameters
    ----------
    channels : int
        Number of channels C of input and output.
    reduction : int, default 16
        C / reduction channels in the middle.

    Inputs:
        - **data**: (N, C, H, W).
    Outputs:
        - **out**: same shape, every channel multiplied by a number in (0, 1).
    """

    def __init__(self, channels, reduction=16, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.gate = nn.HybridSequential(prefix="")
            self.gate.add(
                nn.GlobalAvgPool2D(),
                nn.Conv2D(channels // reduction, 1, in_channels=channels),
                PReLU(channels // reduction),
                nn.Conv2D(channels, 1, in_channels=channels // reduction),
                nn.Activation("sigmoid"),
            )

    def hybrid_forward(self, F, x):
        return F.broadcast_mul(x, self.gate(x))
