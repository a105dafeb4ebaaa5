from __future__ import annotations

from mxnet.gluon import HybridBlock, nn
from mxnet.gluon.model_zoo.vision.resnet import BottleneckV2

from gluonfr.core import GluonFRError
from gluonfr.model_zoo.complexity import as_size
from gluonfr.model_zoo.registry import NETWORKS
from gluonfr.nn import FrBase
from gluonfr.nn.embedding import embedding_head

# Layers -> (attention modules in each stage, (p, t, r)).
_DEPTHS = {
    56: ((1, 1, 1), (1, 2, 1)),
    92: ((1, 2, 3), (1, 2, 1)),
    128: ((3, 3, 3), (1, 2, 1)),
    164: ((4, 4, 4), (1, 2, 1)),
    236: ((6, 6, 6), (1, 2, 1)),
    452: ((6, 6, 6), (2, 4, 3)),
}
_CHANNELS = (64, 256, 512, 1024, 2048)


def _units(channels, count):
    out = nn.HybridSequential(prefix="")
    for _ in range(count):
        out.add(BottleneckV2(channels, 1, in_channels=channels))
    return out


class _Hourglass(HybridBlock):
    """Half the size, residual units, the same again inside with a residual unit around it, residual units, full size.

    Parameters
    ----------
    channels : int
    size : (H, W)
        Of the input and output.
    depth : int
        How many times it is halved.
    r : int
        Residual units before and after.
    """

    def __init__(self, channels, size, depth, r, **kwargs) -> None:
        super().__init__(**kwargs)
        self._size = size
        with self.name_scope():
            self.pool = nn.MaxPool2D(3, 2, 1)
            self.down = _units(channels, r)
            self.skip = self.inside = None
            if depth > 1:
                self.skip = BottleneckV2(channels, 1, in_channels=channels)
                self.inside = _Hourglass(channels, tuple((each + 1) // 2 for each in size), depth - 1, r)
            self.up = _units(channels, r)

    def hybrid_forward(self, F, x):
        x = self.down(self.pool(x))
        if self.inside is not None:
            x = self.inside(x) + self.skip(x)
        return F.contrib.BilinearResize2D(self.up(x), height=self._size[0], width=self._size[1])


class AttentionModule(HybridBlock):
    """Attention module of the residual attention network (https://arxiv.org/abs/1704.06904): (1 + mask) x trunk.

    The trunk is a row of residual units. The mask, in (0, 1), has one number a position and channel: it comes from the module's
    input halved and enlarged `depth` times by max-pooling and bilinear interpolation, with residual units and skips between,
    and two 1x1 convolutions.

    Parameters
    ----------
    channels : int
        Of input and output.
    size : (H, W)
        Of input and output.
    depth : int
        How many times the mask is halved.
    p, t, r : int, default 1, 2, 1
        Residual units before and after the split, in the trunk, and between two steps of the mask.

    Inputs:
        - **data**: (N, C, H, W).
    Outputs:
        - **out**: same shape.
    """

    def __init__(self, channels, size, depth, p=1, t=2, r=1, **kwargs) -> None:
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

    def hybrid_forward(self, F, x):
        x = self.before(x)
        return self.after((1 + self.mask(x)) * self.trunk(x))


class AttentionFaceNet(FrBase):
    """Residual attention network (https://arxiv.org/abs/1704.06904) for 112x112 faces.

    The first convolution is 3x3 with stride 1 and no pooling follows; four stages halve height and width, the first three
    followed by attention modules whose masks reach down to 7x7. But for head and first convolution this is the paper's network,
    whose 224x224 images are 56x56 at the first module, too.
    Parameters without running statistics (512-d), and multiply-adds: 56 30,806,208, 6.21 G; 92 51,461,824, 10.47 G;
    128 56,462,528, 14.94 G; 164 69,290,688, 19.31 G; 236 94,947,008, 28.04 G; 452 175,494,848, 48.43 G.

    gluon-face's `attentionfacenet56` and `attentionfacenet92` build the network for 224x224, without an embedding; these are
    what its `get_attention_face` builds, less the PReLU that cuts the embedding there.

    Parameters
    ----------
    modules : sequence of 3 int
        Attention modules in each stage.
    p, t, r : int, default 1, 2, 1
        As `AttentionModule`.
    channels : sequence of 5 int, default (64, 256, 512, 1024, 2048)
        Of the first convolution and of each stage.
    image_size : (H, W), default (112, 112)
        Masks are enlarged to sizes that follow from it.
    embedding_size : int, default 512
    head : {'GAP', 'E', 'GDC', 'FC'}, default 'GAP'
        As `gluonfr.nn.embedding.embedding_head`.
    dropout : float, optional
        In the head; the head's own default otherwise.
    **kwargs
        As `gluonfr.nn.FrBase`.
    """

    def __init__(
        self,
        modules,
        p=1,
        t=2,
        r=1,
        channels=_CHANNELS,
        image_size=(112, 112),
        classes=None,
        embedding_size=512,
        head="GAP",
        dropout=None,
        **kwargs,
    ) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        if len(modules) != 3 or len(channels) != 5:
            raise GluonFRError(f"modules are 3 numbers and channels 5, got {tuple(modules)} and {tuple(channels)}.")
        size = as_size(image_size)
        with self.name_scope():
            body = self.features
            body.add(nn.Conv2D(channels[0], 3, 1, 1, use_bias=False, in_channels=3))
            body.add(nn.BatchNorm(in_channels=channels[0]), nn.Activation("relu"))
            for before, wide, count, depth in zip(channels, channels[1:], modules, (3, 2, 1)):
                body.add(BottleneckV2(wide, 2, True, before))
                size = tuple((each + 1) // 2 for each in size)
                for _ in range(count):
                    body.add(AttentionModule(wide, size, depth, p, t, r))
            body.add(BottleneckV2(channels[4], 2, True, channels[3]), *_units(channels[4], 2))
            size = tuple((each + 1) // 2 for each in size)
            body.add(*embedding_head(head, embedding_size, channels[4], dropout, size))


def get_attention_face(classes=None, num_layers=56, embedding_size=512, **kwargs):
    """`AttentionFaceNet` of 56, 92, 128, 164, 236 or 452 layers; the name is gluon-face's."""
    if num_layers not in _DEPTHS:
        raise GluonFRError(f"num_layers is one of {', '.join(map(str, _DEPTHS))}, got {num_layers!r}.")
    modules, (p, t, r) = _DEPTHS[num_layers]
    kwargs = dict({"modules": modules, "p": p, "t": t, "r": r}, **kwargs)
    return AttentionFaceNet(classes=classes, embedding_size=embedding_size, **kwargs)


def _register(depth):
    aliases = [f"attention_net{depth}"]
    if depth == 56:
        # gluon-face's name that takes the number of layers as an argument.
        aliases.append("attention_facenet")

    @NETWORKS.register(f"attentionfacenet{depth}", *aliases)
    def make(**kwargs):
        return get_attention_face(**dict({"num_layers": depth}, **kwargs))

    modules, (p, t, r) = _DEPTHS[depth]
    make.__name__ = make.__qualname__ = f"attentionfacenet{depth}"
    make.__doc__ = f"`AttentionFaceNet` of {depth} layers: modules {modules}, p {p}, t {t}, r {r}; arguments as there."
    return make


(
    attentionfacenet56,
    attentionfacenet92,
    attentionfacenet128,
    attentionfacenet164,
    attentionfacenet236,
    attentionfacenet452,
) = (_register(depth) for depth in _DEPTHS)
