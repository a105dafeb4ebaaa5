from __future__ import annotations

from mxnet.gluon import HybridBlock, nn

from gluonfr.core import GluonFRError, check_number
from gluonfr.model_zoo.registry import NETWORKS
from gluonfr.nn import FrBase, PReLU, embedding_head

_EPSILON = 1e-5
# (channels inside, output channels, depthwise kernel, stride, squeeze-and-excitation), table 1 of GhostNet.
_UNITS = (
    (16, 16, 3, 1, False),
    (48, 24, 3, 2, False),
    (72, 24, 3, 1, False),
    (72, 40, 5, 2, True),
    (120, 40, 5, 1, True),
    (240, 80, 3, 2, False),
    (200, 80, 3, 1, False),
    (184, 80, 3, 1, False),
    (184, 80, 3, 1, False),
    (480, 112, 3, 1, True),
    (672, 112, 3, 1, True),
    (672, 160, 5, 2, True),
    (960, 160, 5, 1, False),
    (960, 160, 5, 1, True),
    (960, 160, 5, 1, False),
    (960, 160, 5, 1, True),
)
_FIRST_WITH_ATTENTION = 2
# Version 1 narrows its last unit and the convolution after it.
_LAST = {1: 512, 2: 960}
# Of the gates: Keras' in version 1, PyTorch's in version 2, as the authors have them.
_SLOPES = {1: 0.2, 2: 1 / 6}


def _round(channels):
    """The nearest multiple of four, not more than a tenth below."""
    rounded = max(4, int(channels + 2) // 4 * 4)
    return rounded if rounded >= 0.9 * channels else rounded + 4


def _conv(out, channels, in_channels, kernel=1, stride=1, groups=1, activate=False) -> None:
    sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = tuple(side // 2 for side in sides)
    out.add(nn.Conv2D(channels, sides, stride, padding, groups=groups, use_bias=False, in_channels=in_channels))
    out.add(nn.BatchNorm(epsilon=_EPSILON, in_channels=channels))
    if activate:
        out.add(PReLU(channels))


class GhostModule(HybridBlock):
    """Half of the channels by a 1x1 convolution, the other half ("ghosts") from those by a cheap 3x3 depthwise one
    (https://arxiv.org/abs/1911.11907). Both end in BN, and PReLU where `activate`.

    Parameters
    ----------
    channels, in_channels : int
        C of the output, even, and of the input.
    activate : bool, default True

    Inputs:
        - **data**: (N, in_channels, H, W).
    Outputs:
        - **out**: (N, channels, H, W), the ghosts behind.
    """

    def __init__(self, channels, in_channels, activate=True, **kwargs) -> None:
        super().__init__(**kwargs)
        half = channels // 2
        with self.name_scope():
            self.primary = nn.HybridSequential(prefix="")
            _conv(self.primary, half, in_channels, activate=activate)
            self.cheap = nn.HybridSequential(prefix="")
            _conv(self.cheap, half, half, 3, groups=half, activate=activate)

    def hybrid_forward(self, F, x):
        primary = self.primary(x)
        # Not concat: on CPU its backward pass fails where half of the channels does not fill blocks of eight or sixteen.
        return F.reshape(F.stack(primary, self.cheap(primary), axis=1), shape=(0, -3, 0, 0))


class LongRangeAttention(HybridBlock):
    """Decoupled fully connected attention of GhostNetV2 (https://arxiv.org/abs/2211.12905): for every pixel and output
    channel a weight in (0, 1) that sees five pixels to each side along its row and column, at half the resolution.

    2x2 mean, 1x1 convolution, depthwise 1x5 and 5x1, each with BN; sigmoid; bilinear resizing to the input's height and width.

    Parameters
    ----------
    channels, in_channels : int

    Inputs:
        - **data**: (N, in_channels, H, W), H and W at least 2.
    Outputs:
        - **out**: (N, channels, H, W).
    """

    def __init__(self, channels, in_channels, **kwargs) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            self.body.add(nn.AvgPool2D(2, 2))
            _conv(self.body, channels, in_channels)
            _conv(self.body, channels, channels, (1, 5), groups=channels)
            _conv(self.body, channels, channels, (5, 1), groups=channels)
            self.body.add(nn.Activation("sigmoid"))

    def hybrid_forward(self, F, x):
        return F.contrib.BilinearResize2D(self.body(x), x, mode="like", align_corners=False)


class HardGate(HybridBlock):
    """Squeeze-and-excitation with reduction 4 and a gate of straight lines, clip(slope * x + 1/2, 0, 1).

    Parameters
    ----------
    channels : int
    slope : float
        Of the gate.

    Inputs:
        - **data**: (N, C, H, W).
    Outputs:
        - **out**: same shape, every channel multiplied by a number in [0, 1].
    """

    def __init__(self, channels, slope, **kwargs) -> None:
        super().__init__(**kwargs)
        self._slope = slope
        middle = _round(channels / 4)
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            self.body.add(nn.GlobalAvgPool2D(), nn.Conv2D(middle, 1, in_channels=channels), PReLU(middle))
            self.body.add(nn.Conv2D(channels, 1, in_channels=middle))

    def hybrid_forward(self, F, x):
        return F.broadcast_mul(x, F.clip(self.body(x) * self._slope + 0.5, 0, 1))


class GhostUnit(HybridBlock):
    """Residual unit of two ghost modules: to `middle` channels, [depthwise with the stride,] [SE,] to `channels` without PReLU.

    Where the input cannot be added, the shortcut is a depthwise convolution with the stride and a 1x1 one.

    Parameters
    ----------
    channels, middle, in_channels : int
    kernel : int
        Of the depthwise convolutions in the shortcut and with the stride.
    stride : {1, 2}
    gate : float, optional
        Slope of the gate of `HardGate`; None leaves squeeze-and-excitation out.
    attention : bool, default False
        Multiply the first ghost module by `LongRangeAttention`, as in version 2.

    Inputs:
        - **data**: (N, in_channels, H, W).
    Outputs:
        - **out**: (N, channels, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(self, channels, middle, in_channels, kernel, stride, gate=None, attention=False, **kwargs) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.first = GhostModule(middle, in_channels)
            self.attention = LongRangeAttention(middle, in_channels) if attention else None
            self.second = nn.HybridSequential(prefix="")
            if stride != 1:
                _conv(self.second, middle, middle, kernel, stride, middle)
            if gate is not None:
                self.second.add(HardGate(middle, gate))
            self.second.add(GhostModule(channels, middle, activate=False))
            self.shortcut = None
            if stride != 1 or channels != in_channels:
                self.shortcut = nn.HybridSequential(prefix="")
                _conv(self.shortcut, in_channels, in_channels, kernel, stride, in_channels)
                _conv(self.shortcut, channels, in_channels)

    def hybrid_forward(self, F, x):
        out = self.first(x)
        if self.attention is not None:
            out = out * self.attention(x)
        # The shortcut first: the other way round oneDNN's fusion of convolution and sum, at inference, mixes up parameters.
        return (x if self.shortcut is None else self.shortcut(x)) + self.second(out)


class GhostFaceNet(FrBase):
    """GhostFaceNets (https://doi.org/10.1109/ACCESS.2023.3266068): GhostNet V1 or V2 with PReLU and a GDC head without bias.

    Input 112x112. Parameters without running statistics (512-d, width 1.3), and multiply-adds:

    - version 1: stride 1 4,059,748, 0.212 G; stride 2 4,037,836, 0.059 G. Published: 4.09 M with running statistics, which is
      4,088,300 here; 215.7 and 60.3 MFLOPs.
    - version 2: stride 1 6,795,720, 0.267 G; stride 2 6,754,536, 0.075 G. Published: 6,795,720 and, with running statistics,
      6,880,288; 272.1 MFLOPs.

    The published MFLOPs are 2 % more, for TensorFlow's counter also counts what `complexity` leaves out. Convolutions
    with stride are padded on both sides alike; the authors' version 1 pads below and to the right only, as TensorFlow does.

    Parameters
    ----------
    version : {1, 2}
        2 has `LongRangeAttention` from the third unit on, and wider last layers.
    embedding_size : int, default 512
    width : float, default 1.3
        Multiplies the channels, rounded to multiples of four.
    stride : {1, 2}
        Of the first convolution.
    head : {'GDC', 'E', 'GAP', 'FC'}
        As `gluonfr.nn.embedding_head`.
    dropout : float, optional
        Before the dense layer of the embedding; unless given, that of the head.
    **kwargs
        As `gluonfr.nn.FrBase`.

    Raises
    ------
    GluonFRError
        For an unknown version or head, another stride, or a width that is no positive number.
    """

    def __init__(
        self, version=1, classes=None, embedding_size=512, width=1.3, stride=1, head="GDC", dropout=None, **kwargs
    ) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        if version not in _LAST:
            raise GluonFRError(f"version is 1 or 2, got {version!r}.")
        if stride not in (1, 2):
            raise GluonFRError(f"stride is 1 or 2, got {stride!r}.")
        check_number("width", width, above=0)
        last = _round(_LAST[version] * width)
        with self.name_scope():
            body = self.features
            before = _round(16 * width)
            _conv(body, before, 3, 3, stride, activate=True)
            for i, (middle, channels, kernel, step, se) in enumerate(_UNITS):
                middle = last if i == len(_UNITS) - 1 else _round(middle * width)
                gate = _SLOPES[version] if se else None
                attention = version == 2 and i >= _FIRST_WITH_ATTENTION
                body.add(GhostUnit(_round(channels * width), middle, before, kernel, step, gate, attention))
                before = _round(channels * width)
            _conv(body, last, before, activate=True)
            # 112 is halved four times, or five.
            size = 7 if stride == 1 else 4
            norms = {"epsilon": _EPSILON, "scale": True}
            body.add(*embedding_head(head, embedding_size, last, dropout, size, use_bias=False, **norms))


@NETWORKS.register("ghostfacenetv1")
def ghostfacenetv1(**kwargs):
    """`GhostFaceNet` version 1, 512-d, width 1.3, stride 1 unless the arguments say otherwise."""
    return GhostFaceNet(version=1, **kwargs)


@NETWORKS.register("ghostfacenetv2")
def ghostfacenetv2(**kwargs):
    """`GhostFaceNet` version 2, 512-d, width 1.3, stride 1 unless the arguments say otherwise."""
    return GhostFaceNet(version=2, **kwargs)
