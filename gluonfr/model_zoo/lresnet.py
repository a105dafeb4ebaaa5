"""LResNet-E-IR, the residual networks of the ArcFace paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mxnet.gluon import HybridBlock, nn

from gluonfr.model_zoo.arguments import check_stages
from gluonfr.model_zoo.registry import register_network
from gluonfr.nn import FrBase, PReLU, SELayer, embedding_head
from gluonfr.nn.resize import halved, input_layer

_EPSILON = 2e-5
_UNITS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 152: (3, 8, 36, 3)}


def _norm(**kwargs: Any) -> nn.BatchNorm:
    return nn.BatchNorm(epsilon=_EPSILON, **kwargs)


class _Unit(HybridBlock):
    """BN, conv, BN, PReLU, strided conv, BN[, SE]; a 1x1 convolution on the shortcut if the shapes differ."""

    def __init__(self, channels: int, in_channels: int, stride: int, se: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            self.body.add(
                _norm(in_channels=in_channels),
                nn.Conv2D(channels, 3, 1, 1, use_bias=False, in_channels=in_channels),
                _norm(in_channels=channels),
                PReLU(channels),
                nn.Conv2D(channels, 3, stride, 1, use_bias=False, in_channels=channels),
                _norm(in_channels=channels),
            )
            if se:
                self.body.add(SELayer(channels))
            self.shortcut = None
            if stride != 1 or channels != in_channels:
                self.shortcut = nn.HybridSequential(prefix="shortcut_")
                self.shortcut.add(
                    nn.Conv2D(channels, 1, stride, use_bias=False, in_channels=in_channels), _norm(in_channels=channels)
                )

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


class LResNet(FrBase):
    """LResNet-E-IR of the ArcFace paper (https://arxiv.org/abs/1801.07698).

    L: the first convolution is 3x3 with stride 1 and no pooling follows, so that the last feature map of a 112x112 image is
    7x7. IR: the improved residual unit. E: the head is BatchNorm, dropout, dense, BatchNorm with fixed scale.

    Parameters without running statistics (512-d), and multiply-adds: 18 24,025,600, 2.61 G; 34 34,139,328, 4.46 G;
    50 43,590,848, 6.31 G; 100 65,156,160, 12.09 G.

    Parameters
    ----------
    units : sequence of int
        Number of residual units per stage; the first of a stage halves height and width.
    channels : sequence of int, default (64, 64, 128, 256, 512)
        Of the first convolution and of each stage.
    embedding_size : int, default 512
        Length of the embedding.
    dropout : float, optional
        In the head; default that of the head (0.4 with "E").
    head : {'E', 'GDC', 'GAP', 'FC'}
        See `gluonfr.nn.embedding_head`.
    se : bool, default False
        Whether every unit has squeeze-and-excitation with reduction 16.
    stem_stride : int, default 1
        Stride of the first convolution; 2 divides the cost by four, for slow machines and small data.
    input_crop, input_size : int, optional
        Crop the image to its central `input_crop` pixels and resize it to `input_size` pixels, which also reduces the cost.
    **kwargs
        Arguments of `gluonfr.nn.FrBase`.

    Examples
    --------
    >>> LResNet((1, 1), (8, 8, 16), embedding_size=32, stem_stride=2)
    LResNet(input 3x112x112, embedding 32, 105,720 parameters)
    """

    def __init__(
        self,
        units: Sequence[int],
        channels: Sequence[int] = (64, 64, 128, 256, 512),
        classes: int | None = None,
        embedding_size: int = 512,
        dropout: float | None = None,
        se: bool = False,
        stem_stride: int = 1,
        input_crop: int | None = None,
        input_size: int | None = None,
        head: str = "E",
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        check_stages(units, channels)
        with self.name_scope():
            body = self.features
            resize, inside = input_layer(input_crop, input_size)
            if resize is not None:
                body.add(resize)
            body.add(nn.Conv2D(channels[0], 3, stem_stride, 1, use_bias=False, in_channels=3), _norm(), PReLU(channels[0]))
            for before, wide, count in zip(channels, channels[1:], units):
                body.add(_Unit(wide, before, 2, se))
                for _ in range(count - 1):
                    body.add(_Unit(wide, wide, 1, se))
            size = halved(-(-inside // stem_stride), len(units))
            body.add(*embedding_head(head, embedding_size, channels[-1], dropout, size, _EPSILON))


def _variant(depth: int, se: bool) -> Callable[..., LResNet]:
    name = f"l{'se' if se else ''}resnet{depth}e_ir"

    @register_network(LResNet, name)
    def make(**kwargs: Any) -> LResNet:
        return LResNet(**{"units": _UNITS[depth], "se": se, **kwargs})

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"Build L{'SE-' if se else ''}ResNet{depth}E-IR: an `LResNet` with units {_UNITS[depth]}."
    return make


(
    lresnet10e_ir,
    lresnet18e_ir,
    lresnet34e_ir,
    lresnet50e_ir,
    lresnet100e_ir,
    lresnet152e_ir,
) = (_variant(depth, se=False) for depth in _UNITS)
(
    lseresnet10e_ir,
    lseresnet18e_ir,
    lseresnet34e_ir,
    lseresnet50e_ir,
    lseresnet100e_ir,
    lseresnet152e_ir,
) = (_variant(depth, se=True) for depth in _UNITS)
