from __future__ import annotations

from mxnet.gluon import HybridBlock, nn

from gluonfr.core import GluonFRError
from gluonfr.model_zoo.registry import NETWORKS
from gluonfr.nn import FrBase, PReLU, SELayer
from gluonfr.nn.embedding import embedding_head

_UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_NARROW, _WIDE = (64, 64, 128, 256, 512), (64, 256, 512, 1024, 2048)
_EPSILON = 2e-5


def _norm(channels):
    return nn.BatchNorm(epsilon=_EPSILON, in_channels=channels)


def _conv(channels, in_channels, kernel=3, stride=1):
    return nn.Conv2D(channels, kernel, stride, kernel // 2, use_bias=False, in_channels=in_channels)


class _Unit(HybridBlock):
    """Normalized and activated first, then convolutions with the same between them, then SE.

    Two 3x3 convolutions, or with `bottleneck` 1x1, 3x3 and 1x1 with a quarter of the channels inside. Where shapes differ, the
    shortcut is a 1x1 convolution of the activated input.
    """

    def __init__(self, channels, in_channels, stride, bottleneck, **kwargs) -> None:
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

    def hybrid_forward(self, F, x):
        activated = self.activation(x)
        return self.body(activated) + (x if self.shortcut is None else self.shortcut(activated))


class SEResNetV2(FrBase):
    """ResNet v2 (https://arxiv.org/abs/1603.05027) for 112x112 faces, with squeeze-and-excitation and PReLU.

    As L of the ArcFace paper (https://arxiv.org/abs/1801.07698) says, the first convolution is 3x3 with stride 1, no pooling
    follows, and the first unit of every stage halves height and width, so that 112x112 reaches the head at 7x7.

    Parameters without running statistics (512-d), and multiply-adds: 18 11,528,112, 1.73 G; 34 21,712,216, 3.58 G;
    50 27,097,632, 4.03 G; 101 48,363,680, 7.75 G; 152 65,882,656, 11.46 G.

    gluon-face's networks of these names are put right in five places, so parameters trained there do not fit. There, one slope
    serves all channels of a PReLU; 18 and 34 layers are built of bottlenecks with 16 channels inside, instead of two 3x3
    convolutions; a max-pool halves the image before the first stage; the pixels go through a BatchNorm, where here `FrBase`
    scales them; and a PReLU cuts the embedding.

    Parameters
    ----------
    units : sequence of int
        Residual units in each stage.
    channels : sequence of int, default (64, 256, 512, 1024, 2048)
        Of the first convolution and of each stage.
    bottleneck : bool, default True
        Units of three convolutions instead of two.
    embedding_size : int, default 512
    head : {'GAP', 'E', 'GDC', 'FC'}, default 'GAP'
        As `gluonfr.nn.embedding.embedding_head`.
    dropout : float, optional
        In the head; the head's own default otherwise.
    **kwargs
        As `gluonfr.nn.FrBase`.
    """

    def __init__(
        self, units, channels=_WIDE, bottleneck=True, classes=None, embedding_size=512, head="GAP", dropout=None, **kwargs
    ) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        if len(channels) != len(units) + 1:
            raise GluonFRError(f"channels names the first convolution and {len(units)} stages, got {len(channels)} numbers.")
        with self.name_scope():
            body = self.features
            body.add(_conv(channels[0], 3), _norm(channels[0]), PReLU(channels[0]))
            for before, wide, count in zip(channels, channels[1:], units):
                body.add(_Unit(wide, before, 2, bottleneck))
                for _ in range(count - 1):
                    body.add(_Unit(wide, wide, 1, bottleneck))
            body.add(*embedding_head(head, embedding_size, channels[-1], dropout))


def get_se_resnet(num_layers, **kwargs):
    """`SEResNetV2` of 18, 34, 50, 101 or 152 layers."""
    if num_layers not in _UNITS:
        raise GluonFRError(f"num_layers is one of {', '.join(map(str, _UNITS))}, got {num_layers!r}.")
    deep = num_layers >= 50
    return SEResNetV2(
        **dict({"units": _UNITS[num_layers], "channels": _WIDE if deep else _NARROW, "bottleneck": deep}, **kwargs)
    )


def _register(depth):
    @NETWORKS.register(f"l_se_resnet{depth}v2", f"se_resnet{depth}_v2")
    def make(**kwargs):
        return get_se_resnet(depth, **kwargs)

    make.__name__ = make.__qualname__ = f"se_resnet{depth}_v2"
    make.__doc__ = f"`SEResNetV2` of {depth} layers, units {_UNITS[depth]}; arguments as there."
    return make


se_resnet18_v2, se_resnet34_v2, se_resnet50_v2, se_resnet101_v2, se_resnet152_v2 = (_register(depth) for depth in _UNITS)
