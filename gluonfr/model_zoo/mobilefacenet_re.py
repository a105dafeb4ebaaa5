from __future__ import annotations

from mxnet.gluon import HybridBlock, nn

from gluonfr.model_zoo.registry import NETWORKS
from gluonfr.nn import FrBase, PReLU, SELayer
from gluonfr.nn.embedding import embedding_head

# (output channels, stride of the first unit, units)
_STAGES = ((24, 2, 1), (32, 2, 2), (64, 1, 3), (96, 2, 2), (160, 1, 2))


def _conv(out, channels, in_channels, kernel=1, stride=1, padding=0, groups=1, activate=True) -> None:
    out.add(
        nn.Conv2D(channels, kernel, stride, padding, groups=groups, use_bias=False, in_channels=in_channels),
        nn.BatchNorm(in_channels=channels),
    )
    if activate:
        out.add(PReLU(channels))


class _Unit(HybridBlock):
    """1x1 convolution to three times the channels, 3x3 depthwise, 1x1 without activation[, SE]; input added if shapes agree."""

    def __init__(self, channels, in_channels, stride, se, **kwargs) -> None:
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

    def hybrid_forward(self, F, x):
        out = self.body(x)
        return x + out if self._residual else out


class MobileFaceNetRe(FrBase):
    """gluon-face's smaller relative of MobileFaceNet, 160-d: narrower and shallower, a quarter of the work.

    Input 112x112. 3x3 convolution with stride 2; ten units that widen three times inside, in stages of 24, 32, 64, 96 and 160
    channels with strides 2, 2, 1, 2, 1; 1x1 convolution to 320, global depthwise 7x7, a dense layer without bias and BatchNorm
    with fixed scale. Unlike in gluon-face, every channel has a PReLU slope of its own, and the last BatchNorm learns a shift.
    Parameters without running statistics, and multiply-adds: 539,688, 0.051 G.

    Parameters
    ----------
    embedding_size : int, default 160
    use_se : bool, default False
        Squeeze-and-excitation, reduction 16, in every unit.
    **kwargs
        As `gluonfr.nn.FrBase`.
    """

    def __init__(self, classes=None, embedding_size=160, use_se=False, **kwargs) -> None:
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


@NETWORKS.register("mobilefacenet_re", "mobile_facenet_re")
def mobilefacenet_re(**kwargs):
    """`MobileFaceNetRe`, 160-d unless `embedding_size` says otherwise."""
    return MobileFaceNetRe(**kwargs)


def get_mobile_facenet_re(classes=None, **kwargs):
    """gluon-face's name of `mobilefacenet_re`."""
    return mobilefacenet_re(classes=classes, **kwargs)
