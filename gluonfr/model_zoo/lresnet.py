from __future__ import annotations

from mxnet.gluon import HybridBlock, nn

from gluonfr.core import GluonFRError
from gluonfr.model_zoo.registry import NETWORKS
from gluonfr.nn import CropResize, FrBase, PReLU, SELayer, embedding_head

_EPSILON = 2e-5
_UNITS = {10: (1, 1, 1, 1), 18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 152: (3, 8, 36, 3)}


def _norm(**kwargs):
    return nn.BatchNorm(epsilon=_EPSILON, **kwargs)


class _Unit(HybridBlock):
    """BN, conv, BN, PReLU, conv with the stride, BN[, SE]; a 1x1 convolution on the shortcut when shapes differ."""

    def __init__(self, channels, in_channels, stride, se, **kwargs) -> None:
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

    def hybrid_forward(self, F, x):
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


class LResNet(FrBase):
    """LResNet-E-IR of the ArcFace paper (https://arxiv.org/abs/1801.07698).

    L: the first convolution is 3x3 with stride 1 and no pooling follows, so that 112x112 reaches the head at 7x7.
    IR: the improved residual unit. E: the head is BatchNorm, dropout, dense, BatchNorm with fixed scale.
    Parameters without running statistics (512-d), and multiply-adds: 18 24,025,600, 2.61 G; 34 34,139,328, 4.46 G;
    50 43,590,848, 6.31 G; 100 65,156,160, 12.09 G.

    Parameters
    ----------
    units : sequence of int
        Residual units in each stage; the first of a stage halves height and width.
    channels : sequence of int, default (64, 64, 128, 256, 512)
        Of the first convolution and of each stage.
    embedding_size : int, default 512
    dropout : float, optional
        In the head; unless given, that of the head (0.4 with "E").
    head : {'E', 'GDC', 'GAP', 'FC'}
        As `gluonfr.nn.embedding_head`.
    se : bool, default False
        Squeeze-and-excitation, reduction 16, in every unit.
    stem_stride : int, default 1
        2 divides the cost of all layers but the first by four; for slow machines and small data.
    input_crop, input_size : int, optional
        Take the middle `input_crop` pixels of the 112x112 image, resized to `input_size`, which divides the cost again.
    **kwargs
        As `gluonfr.nn.FrBase`.
    """

    def __init__(
        self,
        units,
        channels=(64, 64, 128, 256, 512),
        classes=None,
        embedding_size=512,
        dropout=None,
        se=False,
        stem_stride=1,
        input_crop=None,
        input_size=None,
        head="E",
        **kwargs,
    ) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        if len(channels) != len(units) + 1:
            raise GluonFRError(f"channels names the first convolution and {len(units)} stages, got {len(channels)} numbers.")
        with self.name_scope():
            body = self.features
            if input_crop or input_size:
                body.add(CropResize(input_crop or 112, input_size or input_crop))
            body.add(nn.Conv2D(channels[0], 3, stem_stride, 1, use_bias=False, in_channels=3), _norm(), PReLU(channels[0]))
            for before, wide, count in zip(channels, channels[1:], units):
                body.add(_Unit(wide, before, 2, se))
                for _ in range(count - 1):
                    body.add(_Unit(wide, wide, 1, se))
            size = _halved(-(-(input_size or input_crop or 112) // stem_stride), len(units))
            body.add(*embedding_head(head, embedding_size, channels[-1], dropout, size, _EPSILON))


def _halved(size, times):
    """Side of a feature map after so many convolutions of stride 2 with padding."""
    return size if times == 0 else _halved(-(-size // 2), times - 1)


def _register(depth, se):
    name = f"l{'se' if se else ''}resnet{depth}e_ir"

    @NETWORKS.register(name)
    def make(**kwargs):
        return LResNet(**dict({"units": _UNITS[depth], "se": se}, **kwargs))

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"L{'SE-' if se else ''}ResNet{depth}E-IR, units {_UNITS[depth]}; arguments as `LResNet`."
    return make


(
    lresnet10e_ir,
    lresnet18e_ir,
    lresnet34e_ir,
    lresnet50e_ir,
    lresnet100e_ir,
    lresnet152e_ir,
) = (_register(depth, se=False) for depth in _UNITS)
(
    lseresnet10e_ir,
    lseresnet18e_ir,
    lseresnet34e_ir,
    lseresnet50e_ir,
    lseresnet100e_ir,
    lseresnet152e_ir,
) = (_register(depth, se=True) for depth in _UNITS)
