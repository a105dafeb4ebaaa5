"""GhostFaceNets, versions 1 and 2."""

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock, nn

from gluonfr.model_zoo.arguments import check_argument
from gluonfr.model_zoo.registry import register_network
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
# Slopes of the gates: those of Keras in version 1, of PyTorch in version 2, as in the authors' code.
_SLOPES = {1: 0.2, 2: 1 / 6}


def _round(channels: float) -> int:
    """Return the nearest multiple of four, but not more than a tenth below."""
    rounded = max(4, int(channels + 2) // 4 * 4)
    return rounded if rounded >= 0.9 * channels else rounded + 4


def _conv(
    out: nn.HybridSequential,
    channels: int,
    in_channels: int,
    kernel: int | tuple[int, int] = 1,
    stride: int = 1,
    groups: int = 1,
    activate: bool = False,
) -> None:
    sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    padding = tuple(side // 2 for side in sides)
    out.add(nn.Conv2D(channels, sides, stride, padding, groups=groups, use_bias=False, in_channels=in_channels))
    out.add(nn.BatchNorm(epsilon=_EPSILON, in_channels=channels))
    if activate:
        out.add(PReLU(channels))


class GhostModule(HybridBlock):
    """Ghost module (https://arxiv.org/abs/1911.11907).

    A 1x1 convolution computes half of the channels, and a cheap 3x3 depthwise convolution computes the other half ("ghosts")
    from those. BatchNorm follows both, and PReLU if `activate`.

    Parameters
    ----------
    channels, in_channels : int
        Number of channels of the output (even) and of the input.
    activate : bool, default True
        Whether a PReLU follows.

    Inputs:
        - **data**: (N, in_channels, H, W).
    Outputs:
        - **out**: (N, channels, H, W), ghosts last.

    Examples
    --------
    >>> GhostModule(8, 4).primary[0].weight.shape
    (4, 4, 1, 1)
    """

    def __init__(self, channels: int, in_channels: int, activate: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        half = channels // 2
        with self.name_scope():
            self.primary = nn.HybridSequential(prefix="")
            _conv(self.primary, half, in_channels, activate=activate)
            self.cheap = nn.HybridSequential(prefix="")
            _conv(self.cheap, half, half, 3, groups=half, activate=activate)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return the primary channels and their ghosts."""
        primary = self.primary(x)
        # Not concat: on CPU its backward pass fails if half of the channels do not fill blocks of eight or sixteen.
        return F.reshape(F.stack(primary, self.cheap(primary), axis=1), shape=(0, -3, 0, 0))


class LongRangeAttention(HybridBlock):
    """Decoupled fully connected attention of GhostNetV2 (https://arxiv.org/abs/2211.12905).

    One weight in (0, 1) per pixel and output channel, with a view of a row and a column at half the resolution: 2x2 mean,
    1x1 convolution, depthwise 1x5 and 5x1 convolutions, all with BatchNorm; sigmoid; bilinear resizing to the input's size.

    Parameters
    ----------
    channels, in_channels : int
        Number of channels of the output and of the input.

    Inputs:
        - **data**: (N, in_channels, H, W), H and W at least 2.
    Outputs:
        - **out**: (N, channels, H, W).

    Examples
    --------
    >>> LongRangeAttention(8, 4).body[1].weight.shape
    (8, 4, 1, 1)
    """

    def __init__(self, channels: int, in_channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            self.body.add(nn.AvgPool2D(2, 2))
            _conv(self.body, channels, in_channels)
            _conv(self.body, channels, channels, (1, 5), groups=channels)
            _conv(self.body, channels, channels, (5, 1), groups=channels)
            self.body.add(nn.Activation("sigmoid"))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return the weights of all pixels and channels."""
        return F.contrib.BilinearResize2D(self.body(x), x, mode="like", align_corners=False)


class HardGate(HybridBlock):
    """Squeeze-and-excitation with reduction 4 and a piecewise linear gate, clip(slope * x + 1/2, 0, 1).

    Parameters
    ----------
    channels : int
        Number of channels of the input and output.
    slope : float
        Slope of the gate.

    Inputs:
        - **data**: (N, C, H, W).
    Outputs:
        - **out**: same shape, every channel multiplied by a number in [0, 1].

    Examples
    --------
    >>> HardGate(24, 0.2).body[1].weight.shape
    (8, 24, 1, 1)
    """

    def __init__(self, channels: int, slope: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._slope = slope
        middle = _round(channels / 4)
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            self.body.add(nn.GlobalAvgPool2D(), nn.Conv2D(middle, 1, in_channels=channels), PReLU(middle))
            self.body.add(nn.Conv2D(channels, 1, in_channels=middle))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return `x` with weighted channels."""
        return F.broadcast_mul(x, F.clip(self.body(x) * self._slope + 0.5, 0, 1))


class GhostUnit(HybridBlock):
    """Residual unit of two ghost modules.

    A ghost module widens to `middle` channels; a depthwise convolution applies the stride, if there is one; the gate follows,
    if there is one; a ghost module without PReLU narrows to `channels`. If the shapes differ, the shortcut is a depthwise
    convolution with the stride and a 1x1 convolution.

    Parameters
    ----------
    channels, middle, in_channels : int
        Number of channels of the output, inside, and of the input.
    kernel : int
        Kernel size of the depthwise convolutions.
    stride : {1, 2}
        Stride of the unit.
    gate : float, optional
        Slope of `HardGate`; None leaves out squeeze-and-excitation.
    attention : bool, default False
        Whether the first ghost module is multiplied by `LongRangeAttention`, as in version 2.

    Inputs:
        - **data**: (N, in_channels, H, W).
    Outputs:
        - **out**: (N, channels, ceil(H / stride), ceil(W / stride)).

    Examples
    --------
    >>> GhostUnit(6, 16, 4, kernel=3, stride=2).shortcut is None
    False
    """

    def __init__(
        self,
        channels: int,
        middle: int,
        in_channels: int,
        kernel: int,
        stride: int,
        gate: float | None = None,
        attention: bool = False,
        **kwargs: Any,
    ) -> None:
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

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return the features with the shortcut added."""
        out = self.first(x)
        if self.attention is not None:
            out = out * self.attention(x)
        # The shortcut must come first: otherwise oneDNN's fusion of convolution and sum confuses parameters at inference.
        return (x if self.shortcut is None else self.shortcut(x)) + self.second(out)


class GhostFaceNet(FrBase):
    """GhostFaceNet (https://doi.org/10.1109/ACCESS.2023.3266068): GhostNet V1 or V2 with PReLU and a GDC head without bias.

    Input 112x112. Parameters without running statistics (512-d, width 1.3), and multiply-adds:

    - version 1: stride 1 4,059,748, 0.212 G; stride 2 4,037,836, 0.059 G. Published: 4.09 M with running statistics (here
      4,088,300); 215.7 and 60.3 MFLOPs.
    - version 2: stride 1 6,795,720, 0.267 G; stride 2 6,754,536, 0.075 G. Published: 6,795,720 and, with running statistics,
      6,880,288; 272.1 MFLOPs.

    The published MFLOPs are 2 % higher because TensorFlow's counter includes operations that `complexity` leaves out. Strided
    convolutions are padded equally on both sides; the authors' version 1 pads below and to the right only, as TensorFlow does.

    Parameters
    ----------
    version : {1, 2}
        2 has `LongRangeAttention` from the third unit on, and wider last layers.
    embedding_size : int, default 512
        Length of the embedding.
    width : float, default 1.3
        Multiplies the channels, rounded to multiples of four.
    stride : {1, 2}
        Stride of the first convolution.
    head : {'GDC', 'E', 'GAP', 'FC'}
        See `gluonfr.nn.embedding_head`.
    dropout : float, optional
        Before the dense layer of the embedding; default that of the head.
    **kwargs
        Arguments of `gluonfr.nn.FrBase`.

    Raises
    ------
    UsageError
        An argument has a wrong value.

    Examples
    --------
    >>> GhostFaceNet(version=2, embedding_size=64, width=0.5).embedding_size
    64
    """

    def __init__(
        self,
        version: int = 1,
        classes: int | None = None,
        embedding_size: int = 512,
        width: float = 1.3,
        stride: int = 1,
        head: str = "GDC",
        dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        for argument, value in (("version", version), ("width", width), ("stride", stride)):
            check_argument(argument, value)
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
            # 112 is halved four or five times.
            size = 7 if stride == 1 else 4
            body.add(*embedding_head(head, embedding_size, last, dropout, size, _EPSILON, use_bias=False, scale=True))


@register_network(GhostFaceNet, "ghostfacenetv1")
def ghostfacenetv1(**kwargs: Any) -> GhostFaceNet:
    """Build a `GhostFaceNet` of version 1; by default 512-d, width 1.3, stride 1.

    Examples
    --------
    >>> ghostfacenetv1().embedding_size
    512
    """
    return GhostFaceNet(version=1, **kwargs)


@register_network(GhostFaceNet, "ghostfacenetv2")
def ghostfacenetv2(**kwargs: Any) -> GhostFaceNet:
    """Build a `GhostFaceNet` of version 2; by default 512-d, width 1.3, stride 1.

    Examples
    --------
    >>> ghostfacenetv2().embedding_size
    512
    """
    return GhostFaceNet(version=2, **kwargs)
