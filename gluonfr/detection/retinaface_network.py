"""RetinaFace as HybridBlocks: a backbone, a feature pyramid, context modules and prediction layers per stride."""

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock, nn
from mxnet.initializer import Normal

from gluonfr.core import UsageError, check_choice

BACKBONES = ("mobilenet0.25", "resnet50")
# Coarsest first, like the outputs of the published networks.
STRIDES = (32, 16, 8)
ANCHORS_PER_CELL = 2
_EPSILON = 2e-5
# Predictions begin near the anchors (https://arxiv.org/abs/1504.08083).
_OUTPUT_INIT = Normal(0.01)
# Of ImageNet's photos in [0, 1].
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Stride and output channels of the depthwise-separable layers of MobileNet, before the factor of the width.
_MOBILENET = (
    (1, 64),
    (2, 128),
    (1, 128),
    (2, 256),
    (1, 256),
    (2, 512),
    *[(1, 512)] * 5,
    (2, 1024),
    (1, 1024),
)
# Layers of `_MOBILENET` after which the map has stride 8, 16 and 32 and is read once more. The published networks read one
# depthwise convolution early: before the first one of the next stride.
_MOBILENET_ENDS = (5, 11, 13)


class _ConvBlock(HybridBlock):
    """Convolution, BatchNorm and, unless `activate` is False, ReLU."""

    def __init__(self, channels: int, kernel: int, activate: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._activate = activate
        with self.name_scope():
            self.conv = nn.Conv2D(channels, kernel, padding=kernel // 2)
            self.norm = nn.BatchNorm(epsilon=_EPSILON)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.norm(self.conv(x))
        return F.relu(x) if self._activate else x


class _MobileNet(HybridBlock):
    """MobileNet v1 (https://arxiv.org/abs/1704.04861): maps of strides 8, 16 and 32."""

    def __init__(self, width: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.layers = nn.HybridSequential(prefix="")
            channels = int(32 * width)
            self.layers.add(_separable_part(channels, 3, 2, 1))
            for stride, out in _MOBILENET:
                pair = nn.HybridSequential(prefix="")
                pair.add(_separable_part(channels, 3, stride, channels))
                channels = int(out * width)
                pair.add(_separable_part(channels, 1, 1, 1))
                self.layers.add(pair)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        maps = []
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number in _MOBILENET_ENDS:
                maps.append(x)
        return tuple(maps)


def _separable_part(channels: int, kernel: int, stride: int, groups: int) -> nn.HybridSequential:
    part = nn.HybridSequential(prefix="")
    part.add(
        nn.Conv2D(channels, kernel, stride, kernel // 2, groups=groups, use_bias=False),
        nn.BatchNorm(epsilon=1e-5),
        nn.Activation("relu"),
    )
    return part


class _ResNet50(HybridBlock):
    """ResNet-50 v1 of Gluon's model zoo (https://arxiv.org/abs/1512.03385): maps of strides 8, 16 and 32."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        from mxnet.gluon.model_zoo.vision import resnet50_v1

        with self.name_scope():
            features = resnet50_v1().features
            self.stem = nn.HybridSequential(prefix="")
            # Convolution, BatchNorm, ReLU, pooling, and the first stage.
            self.stem.add(*list(features)[:5])
            self.stages = nn.HybridSequential(prefix="")
            self.stages.add(*list(features)[5:8])

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = self.stem(x)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return tuple(maps)


class _Pyramid(HybridBlock):
    """Feature pyramid (https://arxiv.org/abs/1612.03144) over maps of strides 8, 16 and 32."""

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        with self.name_scope():
            self.lateral32, self.lateral16, self.lateral8 = (_ConvBlock(channels, 1) for _ in STRIDES)
            self.merge16, self.merge8 = _ConvBlock(channels, 3), _ConvBlock(channels, 3)

    def hybrid_forward(self, F: Any, map8: Any, map16: Any, map32: Any) -> Any:
        top = self.lateral32(map32)
        middle = self.merge16(self.lateral16(map16) + F.UpSampling(top, scale=2, sample_type="nearest"))
        fine = self.merge8(self.lateral8(map8) + F.UpSampling(middle, scale=2, sample_type="nearest"))
        return top, middle, fine


class _Context(HybridBlock):
    """Context module of SSH (https://arxiv.org/abs/1708.03979): receptive fields of 3x3, 5x5 and 7x7 side by side."""

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        half, quarter = channels // 2, channels // 4
        with self.name_scope():
            self.small = _ConvBlock(half, 3, activate=False)
            self.first = _ConvBlock(quarter, 3)
            self.middle = _ConvBlock(quarter, 3, activate=False)
            self.second = _ConvBlock(quarter, 3)
            self.large = _ConvBlock(quarter, 3, activate=False)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        first = self.first(x)
        return F.relu(F.concat(self.small(x), self.middle(first), self.large(self.second(first)), dim=1))


class RetinaFaceNetwork(HybridBlock):
    """Predict faces with five landmarks at every place of an image, RetinaFace (https://arxiv.org/abs/1905.00641).

    Parameters
    ----------
    backbone : {'mobilenet0.25', 'resnet50'}
        'mobilenet0.25' has the topology of InsightFace's published `mnet.25`, whose weights fit.
    channels : int, optional
        Of the feature pyramid, a multiple of 4; default 64, with 'resnet50' 256.

    Inputs
        - **x**: (N, 3, H, W) float32 RGB in [0, 1]; H and W are multiples of 32.

    Outputs
        - Three arrays per stride 32, 16 and 8, of height h and width w = H / stride and W / stride: class logits
          (N, 4, h, w), the background's of both anchors first; box shifts (N, 8, h, w) and landmark shifts (N, 20, h, w),
          both anchor by anchor. :func:`gluonfr.detection.anchors.decode` converts them to faces.

    Examples
    --------
    >>> import mxnet as mx
    >>> net = RetinaFaceNetwork()
    >>> net.initialize()
    >>> [output.shape for output in net(mx.nd.zeros((1, 3, 64, 96)))[:3]]
    [(1, 4, 2, 3), (1, 8, 2, 3), (1, 20, 2, 3)]
    """

    def __init__(self, backbone: str = "mobilenet0.25", channels: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_choice("backbone", backbone, BACKBONES)
        small = backbone == "mobilenet0.25"
        channels = (64 if small else 256) if channels is None else channels
        if not isinstance(channels, int) or channels < 4 or channels % 4:
            raise UsageError(f"channels={channels!r} must be a positive multiple of 4.")
        self.backbone_name, self.channels = backbone, channels
        # The published MobileNet reads values from 0 to 255; ResNets read standardized ones.
        self._standardized = not small
        with self.name_scope():
            self.backbone = _MobileNet(0.25) if small else _ResNet50()
            self.pyramid = _Pyramid(channels)
            for stride in STRIDES:
                setattr(self, f"context{stride}", _Context(channels))
                for name, values in (("logits", 2), ("boxes", 4), ("landmarks", 10)):
                    setattr(self, f"{name}{stride}", nn.Conv2D(ANCHORS_PER_CELL * values, 1, weight_initializer=_OUTPUT_INIT))

    def __repr__(self) -> str:
        return f"RetinaFaceNetwork({self.backbone_name!r}, channels={self.channels})"

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        """Return the nine arrays."""
        x = F.image.normalize(x, _MEAN, _STD) if self._standardized else x * 255
        outputs: list[Any] = []
        for stride, features in zip(STRIDES, self.pyramid(*self.backbone(x))):
            features = getattr(self, f"context{stride}")(features)
            outputs += [getattr(self, f"{name}{stride}")(features) for name in ("logits", "boxes", "landmarks")]
        return tuple(outputs)
