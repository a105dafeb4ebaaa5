"""MobileFaceNet in the topologies of InsightFace: y1, y2, mbf and mbf_large."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mxnet.gluon import HybridBlock, nn

from gluonfr.model_zoo.arguments import check_argument
from gluonfr.model_zoo.registry import register_network
from gluonfr.nn import FrBase, PReLU, embedding_head
from gluonfr.nn.resize import halved, input_layer

# Of the stages that halve the map: (output channels, inner channels of the first unit, inner channels of the residual units).
_STAGES = ((64, 128, 128), (128, 256, 256), (128, 512, 256))
# y1 and y2 were trained with 1e-3, the default of MXNet symbols; with Gluon's 1e-5 their embeddings would be off by 0.08.
_FLAVORS: dict[str, dict[str, Any]] = {
    "mxnet": {"epsilon": 1e-3, "opening": 64, "head": {"epsilon": 2e-5, "inner_epsilon": 1e-3}},
    "torch": {"epsilon": 1e-5, "opening": 128, "head": {"epsilon": 1e-5, "use_bias": False, "scale": True}},
}


def _conv(
    out: nn.HybridSequential,
    channels: int,
    kernel: int = 1,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    activate: bool = True,
    epsilon: float = 1e-3,
) -> None:
    out.add(nn.Conv2D(channels, kernel, stride, padding, groups=groups, use_bias=False), nn.BatchNorm(epsilon=epsilon))
    if activate:
        out.add(PReLU(channels))


class _Unit(HybridBlock):
    """1x1 convolution that widens, 3x3 depthwise, 1x1 that narrows without activation; the input is added if `residual`."""

    def __init__(
        self, channels: int, middle: int, stride: int = 1, residual: bool = False, epsilon: float = 1e-3, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self._residual = residual
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            _conv(self.body, middle, epsilon=epsilon)
            _conv(self.body, middle, 3, stride, 1, groups=middle, epsilon=epsilon)
            _conv(self.body, channels, activate=False, epsilon=epsilon)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        out = self.body(x)
        return x + out if self._residual else out


class MobileFaceNet(FrBase):
    """MobileFaceNet (https://arxiv.org/abs/1804.07573) in the topologies of InsightFace's published weights.

    Input 112x112. Parameters without running statistics, and multiply-adds:

    - y1, blocks (1, 4, 6, 2): 128-d 1,003,264, 0.221 G; 256-d 1,069,184; 512-d 1,201,024.
    - y2, blocks (2, 8, 16, 4): 256-d 1,996,288, 0.469 G.
    - mbf, flavor "torch", scale 2: 512-d 2,059,520, 0.438 G. It is published as MobileFaceNet-0.45G, which also counts
      BatchNorm (two per value) and PReLU (one per value).
    - mbf_large, flavor "torch", scale 4, blocks (2, 8, 12, 4): 512-d 6,314,880, 1.816 G.

    Parameters
    ----------
    embedding_size : int, default 128
        Length of the embedding.
    width : float, default 1
        Multiplies the channels of all layers except the embedding, rounded to multiples of 8.
    dropout : float, optional
        Before the dense layer of the embedding, for small training sets; default that of the head.
    blocks : 4 ints, default (1, 4, 6, 2)
        Number of residual units at 56x56 (1 means one 3x3 depthwise convolution instead), and after the first unit of each of
        the three stages (28x28, 14x14, 7x7).
    scale : int, default 1
        Multiplies only the channels between units, not those inside them, and not the last 512.
    input_crop, input_size : int, optional
        Crop the image to its central `input_crop` pixels and resize it to `input_size` pixels, which also reduces the cost.
    last_stride : {1, 2}, default 2
        Stride of the last stage. With 1, the last map of 56x56 pixels is 7x7, as that of 112x112 with 2, so that the weights
        fit.
    head : {'GDC', 'E', 'GAP', 'FC'}
        See `gluonfr.nn.embedding_head`.
    flavor : {'mxnet', 'torch'}
        "mxnet": BatchNorm with eps 1e-3, a dense layer with bias and a last BatchNorm with fixed scale and eps 2e-5.
        "torch" (arcface_torch): BatchNorm with eps 1e-5, a dense layer without bias, a last BatchNorm with its own scale,
        and twice as many channels inside the units at 56x56.
    **kwargs
        Arguments of `gluonfr.nn.FrBase`.

    Raises
    ------
    UsageError
        An argument has a wrong value.

    Examples
    --------
    >>> MobileFaceNet(embedding_size=128)
    MobileFaceNet(input 3x112x112, embedding 128, 1,003,264 parameters)
    """

    def __init__(
        self,
        classes: int | None = None,
        embedding_size: int = 128,
        width: float = 1.0,
        dropout: float | None = None,
        blocks: Sequence[int] = (1, 4, 6, 2),
        scale: int = 1,
        input_crop: int | None = None,
        input_size: int | None = None,
        last_stride: int = 2,
        head: str = "GDC",
        flavor: str = "mxnet",
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        checked = {"blocks": blocks, "scale": scale, "width": width, "last_stride": last_stride, "flavor": flavor}
        for argument, value in checked.items():
            check_argument(argument, value)
        epsilon, opening = _FLAVORS[flavor]["epsilon"], _FLAVORS[flavor]["opening"]

        def wide(channels: int) -> int:
            return max(8, int(channels * width / 8 + 0.5) * 8)

        with self.name_scope():
            self.resize, inside = input_layer(input_crop, input_size)
            body = self.features
            between = wide(64) * scale
            _conv(body, between, 3, 2, 1, epsilon=epsilon)
            if blocks[0] == 1:
                # The scale does not change the number of groups: with a scale, a group has several channels.
                _conv(body, between, 3, 1, 1, groups=wide(64), epsilon=epsilon)
            else:
                for _ in range(blocks[0]):
                    body.add(_Unit(between, wide(opening), residual=True, epsilon=epsilon))
            for (channels, first, middle), stride, count in zip(_STAGES, (2, 2, last_stride), blocks[1:]):
                body.add(_Unit(wide(channels) * scale, wide(first), stride, epsilon=epsilon))
                for _ in range(count):
                    body.add(_Unit(wide(channels) * scale, wide(middle), residual=True, epsilon=epsilon))
            _conv(body, wide(512), epsilon=epsilon)
            size = halved(inside, 3 + (last_stride == 2))
            body.add(*embedding_head(head, embedding_size, wide(512), dropout, size, **_FLAVORS[flavor]["head"]))


@register_network(MobileFaceNet, "mobilefacenet", "mobile_facenet", "mobilefacenet_y1")
def mobilefacenet(**kwargs: Any) -> MobileFaceNet:
    """Build InsightFace's y1: `MobileFaceNet`, by default 128-d.

    Examples
    --------
    >>> mobilefacenet(embedding_size=64).embedding_size
    64
    """
    return MobileFaceNet(**kwargs)


@register_network(MobileFaceNet, "mobilefacenet_y2")
def mobilefacenet_y2(**kwargs: Any) -> MobileFaceNet:
    """Build InsightFace's y2: `MobileFaceNet` with twice as many residual units, by default 256-d.

    Examples
    --------
    >>> mobilefacenet_y2().embedding_size
    256
    """
    return MobileFaceNet(**{"blocks": (2, 8, 16, 4), "embedding_size": 256, **kwargs})


@register_network(MobileFaceNet, "mbf")
def mbf(**kwargs: Any) -> MobileFaceNet:
    """Build arcface_torch's mbf: `MobileFaceNet` with scale 2 and flavor "torch", by default 512-d.

    Examples
    --------
    >>> mbf().embedding_size
    512
    """
    return MobileFaceNet(**{"scale": 2, "flavor": "torch", "embedding_size": 512, **kwargs})


@register_network(MobileFaceNet, "mbf_large")
def mbf_large(**kwargs: Any) -> MobileFaceNet:
    """Build arcface_torch's mbf_large: `mbf` with scale 4 and blocks (2, 8, 12, 4).

    Examples
    --------
    >>> mbf_large().embedding_size
    512
    """
    return mbf(**{"scale": 4, "blocks": (2, 8, 12, 4), **kwargs})


def get_mobile_facenet(classes: int | None = None, **kwargs: Any) -> MobileFaceNet:
    """Build `mobilefacenet`; the name is gluon-face's.

    Examples
    --------
    >>> get_mobile_facenet(10).classes
    10
    """
    return mobilefacenet(classes=classes, **kwargs)
