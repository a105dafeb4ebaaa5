"""VarGFaceNet, a network of variable group convolutions."""

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock, nn

from gluonfr.model_zoo.arguments import check_argument
from gluonfr.model_zoo.registry import register_network
from gluonfr.nn import FrBase, PReLU, SELayer
from gluonfr.nn.embedding import point_norm

_EPSILON = 2e-5
_GROUP = 8
_CHANNELS = (32, 64, 128, 256)
_UNITS = (3, 7, 4)
_LAST = 1024


def _norm(channels: int, **kwargs: Any) -> nn.BatchNorm:
    return nn.BatchNorm(epsilon=_EPSILON, in_channels=channels, **kwargs)


def _conv(channels: int, in_channels: int, kernel: int = 1, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Conv2D:
    return nn.Conv2D(channels, kernel, stride, padding, groups=groups, use_bias=False, in_channels=in_channels)


def _separable(channels: int, in_channels: int, stride: int, factor: int) -> nn.HybridSequential:
    """3x3 convolution in groups of eight channels to `factor` times as many, BN, PReLU; 1x1 convolution, BN."""
    middle = in_channels * factor
    out = nn.HybridSequential(prefix="")
    out.add(_conv(middle, in_channels, 3, stride, 1, in_channels // _GROUP), _norm(middle), PReLU(middle))
    out.add(_conv(channels, middle), _norm(channels))
    return out


class VariableGroupUnit(HybridBlock):
    """Residual unit of variable group convolutions (https://arxiv.org/abs/1907.05653).

    The number of channels per group is fixed (eight), not the number of groups. Two separable convolutions with PReLU between
    them, [SE,] the shortcut, PReLU.

    Parameters
    ----------
    channels, in_channels : int
        Number of channels of the output and of the input, multiples of eight.
    stride : {1, 2}
        Stride of the first separable convolution. If the shapes of input and output differ, the shortcut is a third
        separable convolution.
    factor : int, default 2
        Factor by which the separable convolutions are wider inside.
    branches : int, default 1
        Number of parallel first separable convolutions, which are added.
    se : bool, default True
        Whether the unit has squeeze-and-excitation with reduction 4.

    Inputs:
        - **data**: (N, in_channels, H, W).
    Outputs:
        - **out**: (N, channels, ceil(H / stride), ceil(W / stride)).

    Examples
    --------
    >>> VariableGroupUnit(16, 16).shortcut is None
    True
    """

    def __init__(
        self,
        channels: int,
        in_channels: int,
        stride: int = 1,
        factor: int = 2,
        branches: int = 1,
        se: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.shortcut = None
            if stride != 1 or channels != in_channels:
                self.shortcut = _separable(channels, in_channels, stride, factor)
            self.first = nn.HybridSequential(prefix="")
            for _ in range(branches):
                self.first.add(_separable(channels, in_channels, stride, factor))
            self.second = nn.HybridSequential(prefix="")
            self.second.add(PReLU(channels), *_separable(channels, channels, 1, factor))
            if se:
                self.second.add(SELayer(channels, reduction=4))
            self.last = PReLU(channels)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return the features with the shortcut added."""
        first = sum(branch(x) for branch in self.first)
        shortcut = x if self.shortcut is None else self.shortcut(x)
        # The shortcut must come first: otherwise oneDNN's fusion of convolution and sum confuses parameters at inference.
        return self.last(shortcut + self.second(first))


class VarGFaceNet(FrBase):
    """VarGFaceNet (https://arxiv.org/abs/1910.04985), winner of the light track of the LFR challenge of 2019.

    Input 112x112. 3x3 convolution with stride 1, a unit with stride 2, then stages of 3, 7 and 4 units. The first unit of a
    stage has two branches, stride 2 and no SE. Embedding: 1x1 convolution to 1024, BN, PReLU; 7x7 in groups of eight channels,
    BN; 1x1 to 512, BN, PReLU; dense with bias, BN with fixed scale.

    5,198,292 parameters without running statistics (512-d), 0.513 G multiply-adds. Published are 20 MB (5,240,036 float32 with
    running statistics are 19.99 MiB) and 1022 MFLOPs (two per multiply-add), which is 0.3 % less.

    Parameters
    ----------
    embedding_size : int, default 512
        Length of the embedding.
    width : float, default 1.25
        Multiplies (32, 64, 128, 256), the channels of the first unit and of the stages, rounded to multiples of eight.
    **kwargs
        Arguments of `gluonfr.nn.FrBase`.

    Raises
    ------
    UsageError
        `width` is not a positive number.

    Examples
    --------
    >>> VarGFaceNet(width=0.25, embedding_size=32).embedding_size
    32
    """

    def __init__(self, classes: int | None = None, embedding_size: int = 512, width: float = 1.25, **kwargs: Any) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        check_argument("width", width)
        channels = [max(_GROUP, int(channels * width / _GROUP + 0.5) * _GROUP) for channels in _CHANNELS]
        with self.name_scope():
            body = self.features
            body.add(_conv(channels[0], 3, 3, 1, 1), _norm(channels[0]), PReLU(channels[0]))
            body.add(VariableGroupUnit(channels[0], channels[0], 2, factor=1))
            for before, wide, count in zip(channels, channels[1:], _UNITS):
                body.add(VariableGroupUnit(wide, before, 2, branches=2, se=False))
                for _ in range(count - 1):
                    body.add(VariableGroupUnit(wide, wide))
            body.add(_conv(_LAST, channels[-1]), _norm(_LAST), PReLU(_LAST))
            body.add(_conv(_LAST, _LAST, 7, groups=_LAST // _GROUP), point_norm(_EPSILON, _LAST))
            body.add(_conv(_LAST // 2, _LAST), point_norm(_EPSILON, _LAST // 2), PReLU(_LAST // 2))
            body.add(nn.Flatten(), nn.Dense(embedding_size, in_units=_LAST // 2), _norm(embedding_size, scale=False))


@register_network(VarGFaceNet, "vargfacenet")
def vargfacenet(**kwargs: Any) -> VarGFaceNet:
    """Build a `VarGFaceNet`, by default 512-d.

    Examples
    --------
    >>> vargfacenet().embedding_size
    512
    """
    return VarGFaceNet(**kwargs)
