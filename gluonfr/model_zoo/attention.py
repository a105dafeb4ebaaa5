"""Residual attention networks for faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mxnet.gluon import HybridBlock, nn
from mxnet.gluon.model_zoo.vision.resnet import BottleneckV2

from gluonfr.core import UsageError
from gluonfr.model_zoo.arguments import as_image_size, check_argument
from gluonfr.model_zoo.registry import register_network
from gluonfr.nn import FrBase, embedding_head

# Number of layers -> (attention modules per stage, (p, t, r)).
_DEPTHS = {
    56: ((1, 1, 1), (1, 2, 1)),
    92: ((1, 2, 3), (1, 2, 1)),
    128: ((3, 3, 3), (1, 2, 1)),
    164: ((4, 4, 4), (1, 2, 1)),
    236: ((6, 6, 6), (1, 2, 1)),
    452: ((6, 6, 6), (2, 4, 3)),
}
_CHANNELS = (64, 256, 512, 1024, 2048)


def _halve(size: tuple[int, int]) -> tuple[int, int]:
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def _units(channels: int, count: int) -> nn.HybridSequential:
    out = nn.HybridSequential(prefix="")
    for _ in range(count):
        out.add(BottleneckV2(channels, 1, in_channels=channels))
    return out


class _Hourglass(HybridBlock):
    """Max-pooling, residual units, a nested hourglass with a residual unit as skip, residual units, bilinear enlargement.

    Parameters
    ----------
    channels : int
        Of the input and output.
    size : (H, W)
        Of the input and output.
    depth : int
        Number of times that height and width are halved.
    r : int
        Number of residual units before and after the nested hourglass.
    """

    def __init__(self, channels: int, size: tuple[int, int], depth: int, r: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._size = size
        with self.name_scope():
            self.pool = nn.MaxPool2D(3, 2, 1)
            self.down = _units(channels, r)
            self.skip: Any = None
            self.inside: Any = None
            if depth > 1:
                self.skip = BottleneckV2(channels, 1, in_channels=channels)
                self.inside = _Hourglass(channels, _halve(size), depth - 1, r)
            self.up = _units(channels, r)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.down(self.pool(x))
        if self.inside is not None:
            x = self.inside(x) + self.skip(x)
        return F.contrib.BilinearResize2D(self.up(x), height=self._size[0], width=self._size[1])


class AttentionModule(HybridBlock):
    """Attention module of the residual attention network (https://arxiv.org/abs/1704.06904): (1 + mask) x trunk.

    The trunk is a sequence of residual units. The mask has one number in (0, 1) per position and channel. It is computed from
    the module's input, halved and enlarged `depth` times by max-pooling and bilinear interpolation with residual units and
    skip connections in between, followed by two 1x1 convolutions.

    Parameters
    ----------
    channels : int
        Of the input and output.
    size : (H, W)
        Of the input and output.
    depth : int
        Number of times that the mask is halved.
    p, t, r : int, default 1, 2, 1
        Number of residual units before and after the split, in the trunk, and between two steps of the mask.

    Inputs:
        - **data**: (N, C, H, W).
    Outputs:
        - **out**: same shape.

    Examples
    --------
    >>> import mxnet as mx
    >>> module = AttentionModule(8, (14, 14), depth=2)
    >>> module.initialize()
    >>> module(mx.nd.ones((1, 8, 14, 14))).shape
    (1, 8, 14, 14)
    """

    def __init__(
        self, channels: int, size: tuple[int, int], depth: int, p: int = 1, t: int = 2, r: int = 1, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.before = _units(channels, p)
            self.trunk = _units(channels, t)
            self.mask = nn.HybridSequential(prefix="")
            self.mask.add(_Hourglass(channels, size, depth, r))
            for _ in range(2):
                self.mask.add(
                    nn.BatchNorm(in_channels=channels),
                    nn.Activation("relu"),
                    nn.Conv2D(channels, 1, use_bias=False, in_channels=channels),
                )
            self.mask.add(nn.Activation("sigmoid"))
            self.after = _units(channels, p)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return the trunk of `x`, weighted by the mask."""
        x = self.before(x)
        return self.after((1 + self.mask(x)) * self.trunk(x))


class AttentionFaceNet(FrBase):
    """Residual attention network (https://arxiv.org/abs/1704.06904) for 112x112 faces.

    The first convolution is 3x3 with stride 1 and no pooling follows. Four stages halve height and width; attention modules
    follow the first three, with masks that reach down to 7x7. Apart from the head and the first convolution this is the
    paper's network, where the feature map of a 224x224 image is also 56x56 at the first module.

    Parameters without running statistics (512-d), and multiply-adds: 56 30,806,208, 6.21 G; 92 51,461,824, 10.47 G;
    128 56,462,528, 14.94 G; 164 69,290,688, 19.31 G; 236 94,947,008, 28.04 G; 452 175,494,848, 48.43 G.

    gluon-face's `attentionfacenet56` and `attentionfacenet92` build the network for 224x224, without an embedding. These are
    the networks of its `get_attention_face`, without the PReLU that clips the embedding there.

    Parameters
    ----------
    modules : sequence of 3 int
        Number of attention modules per stage.
    p, t, r : int, default 1, 2, 1
        See `AttentionModule`.
    channels : sequence of 5 int, default (64, 256, 512, 1024, 2048)
        Of the first convolution and of each stage.
    image_size : (H, W), default (112, 112)
        Size of the images in pixels, which determines the sizes of the masks.
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
    >>> AttentionFaceNet((1, 1, 1), channels=(8, 8, 16, 16, 32), image_size=(64, 64)).image_size
    (64, 64)
    """

    def __init__(
        self,
        modules: Sequence[int],
        p: int = 1,
        t: int = 2,
        r: int = 1,
        channels: Sequence[int] = _CHANNELS,
        image_size: Any = (112, 112),
        classes: int | None = None,
        embedding_size: int = 512,
        head: str = "GAP",
        dropout: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        check_argument("modules", modules)
        if len(channels) != 5:
            raise UsageError(f"channels must be 5 numbers, got {tuple(channels)}.")
        self.image_size = as_image_size(image_size)
        size = self.image_size
        with self.name_scope():
            body = self.features
            body.add(nn.Conv2D(channels[0], 3, 1, 1, use_bias=False, in_channels=3))
            body.add(nn.BatchNorm(in_channels=channels[0]), nn.Activation("relu"))
            for before, wide, count, depth in zip(channels, channels[1:], modules, (3, 2, 1)):
                body.add(BottleneckV2(wide, 2, True, before))
                size = _halve(size)
                for _ in range(count):
                    body.add(AttentionModule(wide, size, depth, p, t, r))
            body.add(BottleneckV2(channels[4], 2, True, channels[3]), *_units(channels[4], 2))
            body.add(*embedding_head(head, embedding_size, channels[4], dropout, _halve(size)))


def get_attention_face(
    classes: int | None = None, num_layers: int = 56, embedding_size: int = 512, **kwargs: Any
) -> AttentionFaceNet:
    """Build an `AttentionFaceNet` of 56, 92, 128, 164, 236 or 452 layers; the name is gluon-face's.

    Examples
    --------
    >>> get_attention_face(num_layers=56, embedding_size=128).embedding_size
    128
    """
    if num_layers not in _DEPTHS:
        raise UsageError(f"num_layers must be one of {', '.join(map(str, _DEPTHS))}, got {num_layers!r}.")
    modules, (p, t, r) = _DEPTHS[num_layers]
    arguments = {"modules": modules, "p": p, "t": t, "r": r, **kwargs}
    return AttentionFaceNet(classes=classes, embedding_size=embedding_size, **arguments)


def _variant(depth: int) -> Callable[..., AttentionFaceNet]:
    aliases = [f"attention_net{depth}"]
    if depth == 56:
        # gluon-face's name, with the number of layers as an argument.
        aliases.append("attention_facenet")

    @register_network(AttentionFaceNet, f"attentionfacenet{depth}", *aliases)
    def make(num_layers: int = depth, **kwargs: Any) -> AttentionFaceNet:
        return get_attention_face(num_layers=num_layers, **kwargs)

    modules, (p, t, r) = _DEPTHS[depth]
    make.__name__ = make.__qualname__ = f"attentionfacenet{depth}"
    make.__doc__ = f"Build an `AttentionFaceNet` of {depth} layers: modules {modules}, p {p}, t {t}, r {r}."
    return make


(
    attentionfacenet56,
    attentionfacenet92,
    attentionfacenet128,
    attentionfacenet164,
    attentionfacenet236,
    attentionfacenet452,
) = (_variant(depth) for depth in _DEPTHS)
