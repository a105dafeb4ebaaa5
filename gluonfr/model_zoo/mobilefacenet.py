from mxnet.gluon import HybridBlock, nn

from gluonfr.model_zoo.registry import NETWORKS
from gluonfr.nn import FrBase, PReLU

# (output channels, channels in the middle, stride of the first unit, residual units after it)
_STAGES = ((64, 128, 2, 4), (128, 256, 2, 6), (128, 512, 2, 2))
# The residual units of a stage are narrower than the unit that opens it from the second stage on.
_RESIDUAL_CHANNELS = (128, 256, 256)


def _conv(out, channels, kernel=1, stride=1, padding=0, groups=1, activate=True):
    # MXNet symbols default to eps 1e-3, with which the published weights were trained; Gluon's 1e-5 is off by 0.08.
    out.add(nn.Conv2D(channels, kernel, stride, padding, groups=groups, use_bias=False), nn.BatchNorm(epsilon=1e-3))
    if activate:
        out.add(PReLU(channels))


class _Unit(HybridBlock):
    """1x1 convolution that widens, 3x3 depthwise, 1x1 that narrows without activation; input added when `residual`."""

    def __init__(self, channels, middle, stride=1, residual=False, **kwargs):
        super().__init__(**kwargs)
        self._residual = residual
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            _conv(self.body, middle)
            _conv(self.body, middle, 3, stride, 1, groups=middle)
            _conv(self.body, channels, activate=False)

    def hybrid_forward(self, F, x):
        out = self.body(x)
        return x + out if self._residual else out


class MobileFaceNet(FrBase):
    """MobileFaceNet (https://arxiv.org/abs/1804.07573) in the topology of InsightFace's published model y1.

    Input 112x112. Embedding by global depthwise convolution (7x7), a dense layer with bias and BatchNorm with fixed scale.
    Parameters without running statistics, and multiply-adds: 128-d 1,003,264, 0.221 G; 256-d 1,069,184; 512-d 1,201,024.

    Parameters
    ----------
    embedding_size : int, default 128
    width : float, default 1
        Multiplies the channels of all layers but the embedding (rounded to multiples of 8).
    dropout : float, default 0
        Before the dense layer of the embedding, for small training sets.
    **kwargs
        As `gluonfr.nn.FrBase`.
    """

    def __init__(self, classes=None, embedding_size=128, width=1.0, dropout=0.0, **kwargs):
        super().__init__(classes, embedding_size, **kwargs)

        def wide(channels):
            return max(8, int(channels * width / 8 + 0.5) * 8)

        with self.name_scope():
            body = self.features
            _conv(body, wide(64), 3, 2, 1)
            _conv(body, wide(64), 3, 1, 1, groups=wide(64))
            for (channels, middle, stride, count), residual in zip(_STAGES, _RESIDUAL_CHANNELS):
                body.add(_Unit(wide(channels), wide(middle), stride))
                for _ in range(count):
                    body.add(_Unit(wide(channels), wide(residual), residual=True))
            _conv(body, wide(512))
            _conv(body, wide(512), 7, groups=wide(512), activate=False)
            body.add(nn.Flatten())
            if dropout:
                body.add(nn.Dropout(dropout))
            body.add(nn.Dense(embedding_size), nn.BatchNorm(epsilon=2e-5, scale=False))


@NETWORKS.register("mobilefacenet", "mobile_facenet", "mobilefacenet_y1")
def mobilefacenet(**kwargs):
    """`MobileFaceNet`, 128-d unless `embedding_size` says otherwise."""
    return MobileFaceNet(**kwargs)


def get_mobile_facenet(classes=None, **kwargs):
    """gluon-face's name of `mobilefacenet`."""
    return mobilefacenet(classes=classes, **kwargs)
