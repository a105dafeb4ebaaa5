"""SE-ResNet v2, gluon-face's residual networks with squeeze-and-excitation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mxnet.gluon import HybridBlock, nn

from gluonfr.core import UsageError
from gluonfr.model_zoo.arguments import check_stages
from gluonfr.model_zoo.registry import register_network
from gluonfr.nn import FrBase, PReLU, SELayer, embedding_head

_UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_NARROW, _WIDE = (64, 64, 128, 256, 512), (64, 256, 512, 1024, 2048)
_EPSILON = 2e-5


def _norm(channels: int) -> nn.BatchNorm:
    return nn.BatchNorm(epsilon=_EPSILON, in_channels=channels)


def _conv(channels: int, in_channels: int, kernel: int = 3, stride: int = 1) -> nn.Conv2D:
    return nn.Conv2D(channels, kernel, stride, kernel // 2, use_bias=False, in_channels=in_channels)


class _Unit(HybridBlock):
    """Pre-activation residual unit with squeeze-and-excitation: BatchNorm and PReLU before every convolution.

    Two 3x3 convolutions, or with `bottleneck` 1x1, 3x3 and 1x1 with a quarter of the channels inside. If the shapes differ, the
    shortcut is a 1x1 convolution of the activated input.
    """

    def __init__(self, channels: int, in_channels: int, stride: int, bottleneck: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        middle = channels // 4 if bottleneck else channels
        with self.name_scope():
            self.activation = nn.HybridSequential(prefix="")
            self.activation.add(_norm(in_channels), PReLU(in_channels))
            self.body = nn.HybridSequential(prefix="")
            if bottleneck:
                self.body.add(_conv(middle, in_channels, 1), _norm(middle), PReLU(middle), _conv(middle, middle, 3, stride))
            else:
                self.body.add(_conv(middle, in_channels, 3, stride))
            self.body.add(_norm(middle), PReLU(middle), _conv(channels, middle, 1 if bottleneck else 3), SELayer(channels))
            self.shortcut = None
            if stride != 1 or channels != in_channels:
                self.shortcut = _conv(channels, in_channels, 1, stride)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        activated = self.activation(x)
        return self.body(activated) + (x if self.shortcut is None else self.shortcut(activated))


class SEResNetV2(FrBase):
    """ResNet v2 (https://arxiv.org/abs/1603.05027) for 112x112 faces, with squeeze-and-excitation and PReLU.

    As in variant L of the ArcFace paper (https://arxiv.org/abs/1801.07698), the first convolution is 3x3 with stride 1, no
    pooling follows, and the first unit of every stage halves height and width: the last feature map of a 112x112 image is 7x7.

    Parameters without running statistics (512-d), and multiply-adds: 18 11,528,112, 1.73 G; 34 21,712,216, 3.58 G;
    50 27,097,632, 4.03 G; 101 48,363,680, 7.75 G; 152 65,882,656, 11.46 G.

    Five faults of gluon-face's networks of these names are corrected, so parameters trained there do not fit. There, all
    channels of a PReLU share one slope; 18 and 34 layers are built of bottlenecks with 16 channels inside, instead of two 3x3
    convolutions; a max-pool halves the image before the first stage; a BatchNorm normalizes the pixels, which `FrBase` scales
    here; and a PReLU clips the embedding.

    Parameters
    ----------
    units : sequence of int
        Number of residual units per stage.
    channels : sequence of int, default (64, 256, 512, 1024, 2048)
        Of the first convolution and of each stage.
    bottleneck : bool, default True
        Whether units have three convolutions instead of two.
    embedding_size : int, default 512
        Length of the embedding.
    head : {'GAP', 'E', 'GDC', 'FC'}, default 'GAP'
        See `gluonfr.nn.embedding_head`.
    dropout : float, optional
        In the head; default that of the head.
    **kwargs
        Arguments of `gluonfr.nn.FrBase`.

    Examples
    --------
    >>> SEResNetV2((1, 1), (16, 32, 64), embedding_size=32).embedding_size
    32
    """

    def __init__(
        self,
        units: Sequence[int],
        channels: Sequence[int] = _WIDE,
        bottleneck: bool = True,
        classes: int | None = None,
        embedding_size: int = 512,
        head: str = "GAP",
        dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        check_stages(units, channels)
        with self.name_scope():
            body = self.features
            body.add(_conv(channels[0], 3), _norm(channels[0]), PReLU(channels[0]))
            for before, wide, count in zip(channels, channels[1:], units):
                body.add(_Unit(wide, before, 2, bottleneck))
                for _ in range(count - 1):
                    body.add(_Unit(wide, wide, 1, bottleneck))
            body.add(*embedding_head(head, embedding_size, channels[-1], dropout))


def get_se_resnet(num_layers: int, **kwargs: Any) -> SEResNetV2:
    """Build an `SEResNetV2` of 18, 34, 50, 101 or 152 layers.

    Examples
    --------
    >>> get_se_resnet(18, embedding_size=128).embedding_size
    128
    """
    if num_layers not in _UNITS:
        raise UsageError(f"num_layers must be one of {', '.join(map(str, _UNITS))}, got {num_layers!r}.")
    deep = num_layers >= 50
    return SEResNetV2(**{"units": _UNITS[num_layers], "channels": _WIDE if deep else _NARROW, "bottleneck": deep, **kwargs})


def _variant(depth: int) -> Callable[..., SEResNetV2]:
    @register_network(SEResNetV2, f"l_se_resnet{depth}v2", f"se_resnet{depth}_v2")
    def make(**kwargs: Any) -> SEResNetV2:
        return get_se_resnet(depth, **kwargs)

    make.__name__ = make.__qualname__ = f"se_resnet{depth}_v2"
    make.__doc__ = f"Build an `SEResNetV2` of {depth} layers, with units {_UNITS[depth]}."
    return make


se_resnet18_v2, se_resnet34_v2, se_resnet50_v2, se_resnet101_v2, se_resnet152_v2 = (_variant(depth) for depth in _UNITS)
