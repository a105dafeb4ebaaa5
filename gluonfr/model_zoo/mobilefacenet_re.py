"""gluon-face's smaller variant of MobileFaceNet."""

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock, nn

from gluonfr.model_zoo.registry import register_network
from gluonfr.nn import FrBase, PReLU, SELayer, embedding_head

# (output channels, stride of the first unit, units)
_STAGES = ((24, 2, 1), (32, 2, 2), (64, 1, 3), (96, 2, 2), (160, 1, 2))


def _conv(
    out: nn.HybridSequential,
    channels: int,
    in_channels: int,
    kernel: int = 1,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    activate: bool = True,
) -> None:
    out.add(
        nn.Conv2D(channels, kernel, stride, padding, groups=groups, use_bias=False, in_channels=in_channels),
        nn.BatchNorm(in_channels=channels),
    )
    if activate:
        out.add(PReLU(channels))


class _Unit(HybridBlock):
    """1x1 convolution to three times the channels, 3x3 depthwise, 1x1 without activation[, SE]; shortcut if shapes agree."""

    def __init__(self, channels: int, in_channels: int, stride: int, se: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._residual = stride == 1 and channels == in_channels
        middle = 3 * in_channels
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            _conv(self.body, middle, in_channels)
            _conv(self.body, middle, middle, 3, stride, 1, groups=middle)
            _conv(self.body, channels, middle, activate=False)
            if se:
                self.body.add(SELayer(channels))

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        out = self.body(x)
        return x + out if self._residual else out


class MobileFaceNetRe(FrBase):
    """gluon-face's smaller variant of MobileFaceNet: narrower and shallower, a quarter of the multiply-adds.

    Input 112x112. 3x3 convolution with stride 2; ten units with three times as many channels inside, in stages of 24, 32, 64,
    96 and 160 channels with strides 2, 2, 1, 2, 1; 1x1 convolution to 320 channels, global depthwise 7x7, a dense layer without
    bias and BatchNorm with fixed scale. Unlike in gluon-face, every channel has its own PReLU slope, and the last BatchNorm
    learns a shift. 539,688 parameters without running statistics, 0.051 G multiply-adds.

    Parameters
    ----------
    embedding_size : int, default 160
        Length of the embedding.
    use_se : bool, default False
        Whether every unit has squeeze-and-excitation with reduction 16.
    **kwargs
        Arguments of `gluonfr.nn.FrBase`.

    Examples
    --------
    >>> MobileFaceNetRe().embedding_size
    160
    """

    def __init__(self, classes: int | None = None, embedding_size: int = 160, use_se: bool = False, **kwargs: Any) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        with self.name_scope():
            body = self.features
            _conv(body, 32, 3, 3, 2, 1)
            before = 32
            for channels, stride, count in _STAGES:
                for number in range(count):
                    body.add(_Unit(channels, before, 1 if number else stride, use_se))
                    before = channels
            _conv(body, 320, before)
            body.add(*embedding_head("GDC", embedding_size, 320, epsilon=1e-5, use_bias=False))


@register_network(MobileFaceNetRe, "mobilefacenet_re", "mobile_facenet_re")
def mobilefacenet_re(**kwargs: Any) -> MobileFaceNetRe:
    """Build a `MobileFaceNetRe`, by default 160-d.

    Examples
    --------
    >>> mobilefacenet_re(embedding_size=64).embedding_size
    64
    """
    return MobileFaceNetRe(**kwargs)


def get_mobile_facenet_re(classes: int | None = None, **kwargs: Any) -> MobileFaceNetRe:
    """Build `mobilefacenet_re`; the name is gluon-face's.

    Examples
    --------
    >>> get_mobile_facenet_re(10).classes
    10
    """
    return mobilefacenet_re(classes=classes, **kwargs)
