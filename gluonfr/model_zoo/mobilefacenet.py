from __future__ import annotations

from mxnet.gluon import HybridBlock, nn

from gluonfr.core import GluonFRError, check_integer, check_number, is_integer
from gluonfr.model_zoo.registry import NETWORKS
from gluonfr.nn import FrBase, PReLU, embedding_head

# (output channels, channels in the middle of the unit that opens it, of its residual units) of the stages that halve the map.
_STAGES = ((64, 128, 128), (128, 256, 256), (128, 512, 256))
# MXNet symbols default to eps 1e-3, with which y1 and y2 were trained; Gluon's 1e-5 is off by 0.08 there.
_FLAVORS = {
    "mxnet": {"epsilon": 1e-3, "opening": 64, "head": {"epsilon": 2e-5, "inner_epsilon": 1e-3}},
    "torch": {"epsilon": 1e-5, "opening": 128, "head": {"epsilon": 1e-5, "use_bias": False, "scale": True}},
}


def _conv(out, channels, kernel=1, stride=1, padding=0, groups=1, activate=True, epsilon=1e-3) -> None:
    out.add(nn.Conv2D(channels, kernel, stride, padding, groups=groups, use_bias=False), nn.BatchNorm(epsilon=epsilon))
    if activate:
        out.add(PReLU(channels))


class _Unit(HybridBlock):
    """1x1 convolution that widens, 3x3 depthwise, 1x1 that narrows without activation; input added when `residual`."""

    def __init__(self, channels, middle, stride=1, residual=False, epsilon=1e-3, **kwargs) -> None:
        super().__init__(**kwargs)
        self._residual = residual
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            _conv(self.body, middle, epsilon=epsilon)
            _conv(self.body, middle, 3, stride, 1, groups=middle, epsilon=epsilon)
            _conv(self.body, channels, activate=False, epsilon=epsilon)

    def hybrid_forward(self, F, x):
        out = self.body(x)
        return x + out if self._residual else out


class MobileFaceNet(FrBase):
    """MobileFaceNet (https://arxiv.org/abs/1804.07573) in the topologies whose weights InsightFace publishes.

    Input 112x112. Parameters without running statistics, and multiply-adds:

    - y1, blocks (1, 4, 6, 2): 128-d 1,003,264, 0.221 G; 256-d 1,069,184; 512-d 1,201,024.
    - y2, blocks (2, 8, 16, 4): 256-d 1,996,288, 0.469 G.
    - mbf, flavor "torch", scale 2: 512-d 2,059,520, 0.438 G. It is published as MobileFaceNet-0.45G, which counts BatchNorm
      (two a value) and PReLU (one) too.
    - mbf_large, flavor "torch", scale 4, blocks (2, 8, 12, 4): 512-d 6,314,880, 1.816 G.

    Parameters
    ----------
    embedding_size : int, default 128
    width : float, default 1
        Multiplies the channels of all layers but the embedding (rounded to multiples of 8).
    dropout : float, optional
        Before the dense layer of the embedding, for small training sets; unless given, that of the head.
    blocks : 4 ints, default (1, 4, 6, 2)
        The first is how many residual units work at 56x56, where 1 stands for one 3x3 depthwise convolution instead; the
        others, how many follow the unit that opens each of the three stages (28x28, 14x14, 7x7).
    scale : int, default 1
        Multiplies the channels between units alone, not those inside them, and not the last 512.
    head : {'GDC', 'E', 'GAP', 'FC'}
        As `gluonfr.nn.embedding_head`.
    flavor : {'mxnet', 'torch'}
        "mxnet": BatchNorm with eps 1e-3, a dense layer with bias and a last BatchNorm with fixed scale and eps 2e-5.
        "torch" (arcface_torch): BatchNorm with eps 1e-5, a dense layer without bias, a last BatchNorm with its own scale,
        and twice as many channels inside the units at 56x56.
    **kwargs
        As `gluonfr.nn.FrBase`.

    Raises
    ------
    GluonFRError
        For an unknown head or flavor, or blocks, scale or width that are not such.
    """

    def __init__(
        self,
        classes=None,
        embedding_size=128,
        width=1.0,
        dropout=None,
        blocks=(1, 4, 6, 2),
        scale=1,
        head="GDC",
        flavor="mxnet",
        **kwargs,
    ) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        if not isinstance(blocks, (list, tuple)) or len(blocks) != 4 or not all(is_integer(count) and count > 0 for count in blocks):
            raise GluonFRError(f"blocks is four positive whole numbers, got {blocks!r}.")
        check_integer("scale", scale, minimum=1)
        check_number("width", width, above=0)
        if flavor not in _FLAVORS:
            raise GluonFRError(f"flavor is one of {', '.join(_FLAVORS)}, got {flavor!r}.")
        epsilon, opening = _FLAVORS[flavor]["epsilon"], _FLAVORS[flavor]["opening"]

        def wide(channels):
            return max(8, int(channels * width / 8 + 0.5) * 8)

        with self.name_scope():
            body = self.features
            between = wide(64) * scale
            _conv(body, between, 3, 2, 1, epsilon=epsilon)
            if blocks[0] == 1:
                # With a scale, several input channels for each output: the groups stay as many as without.
                _conv(body, between, 3, 1, 1, groups=wide(64), epsilon=epsilon)
            else:
                for _ in range(blocks[0]):
                    body.add(_Unit(between, wide(opening), residual=True, epsilon=epsilon))
            for (channels, first, middle), count in zip(_STAGES, blocks[1:]):
                body.add(_Unit(wide(channels) * scale, wide(first), 2, epsilon=epsilon))
                for _ in range(count):
                    body.add(_Unit(wide(channels) * scale, wide(middle), residual=True, epsilon=epsilon))
            _conv(body, wide(512), epsilon=epsilon)
            body.add(*embedding_head(head, embedding_size, wide(512), dropout, **_FLAVORS[flavor]["head"]))


@NETWORKS.register("mobilefacenet", "mobile_facenet", "mobilefacenet_y1")
def mobilefacenet(**kwargs):
    """`MobileFaceNet`, 128-d unless `embedding_size` says otherwise."""
    return MobileFaceNet(**kwargs)


@NETWORKS.register("mobilefacenet_y2")
def mobilefacenet_y2(**kwargs):
    """InsightFace's y2: `MobileFaceNet` with twice as many residual units, 256-d; other arguments as `MobileFaceNet`."""
    return MobileFaceNet(**dict({"blocks": (2, 8, 16, 4), "embedding_size": 256}, **kwargs))


@NETWORKS.register("mbf")
def mbf(**kwargs):
    """arcface_torch's mbf: `MobileFaceNet` with scale 2, flavor "torch", 512-d; other arguments as `MobileFaceNet`."""
    return MobileFaceNet(**dict({"scale": 2, "flavor": "torch", "embedding_size": 512}, **kwargs))


@NETWORKS.register("mbf_large")
def mbf_large(**kwargs):
    """arcface_torch's mbf_large: as `mbf`, with scale 4 and blocks (2, 8, 12, 4)."""
    return mbf(**dict({"scale": 4, "blocks": (2, 8, 12, 4)}, **kwargs))


def get_mobile_facenet(classes=None, **kwargs):
    """gluon-face's name of `mobilefacenet`."""
    return mobilefacenet(classes=classes, **kwargs)
