"""The residual network of dlib's face recognition."""

from __future__ import annotations

from typing import Any

from mxnet.gluon import HybridBlock, nn

from gluonfr.core import UsageError
from gluonfr.model_zoo.registry import register_network
from gluonfr.nn import FrBase
from gluonfr.nn.resize import input_layer

# (channels, whether the unit halves the map) of the residual units.
_UNITS = (
    *((32, False),) * 3,
    (64, True),
    *((64, False),) * 3,
    (128, True),
    *((128, False),) * 2,
    (256, True),
    *((256, False),) * 2,
    (256, True),
)
# Smaller images leave nothing for the last unit.
_SMALLEST = 71


def _affine(channels: int) -> nn.BatchNorm:
    # dlib stores only a scale and a shift; statistics that stay at 0 and 1 make BatchNorm the same, in training too.
    return nn.BatchNorm(in_channels=channels, use_global_stats=True)


class _Unit(HybridBlock):
    """Two 3x3 convolutions beside the input; with `down` the first has stride 2 and the input is averaged over 2x2.

    The smaller of the two is padded with zeros: below, to the right and in the last channels. The first convolution pads its
    input if it has stride 1 or `padded`, which a map that is smaller than the kernel needs.
    """

    def __init__(self, in_channels: int, channels: int, down: bool, padded: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._down, self._shared = down, in_channels if in_channels < channels else None
        first = {"strides": 2 if down else 1, "padding": int(padded or not down)}
        with self.name_scope():
            self.body = nn.HybridSequential(prefix="")
            self.body.add(
                nn.Conv2D(channels, 3, in_channels=in_channels, **first),
                _affine(channels),
                nn.Activation("relu"),
                nn.Conv2D(channels, 3, padding=1, in_channels=channels),
                _affine(channels),
            )
            if down:
                self.shortcut = nn.AvgPool2D(2, 2)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        out = self.body(x)
        if self._down:
            x = self.shortcut(x)
            # Of s pixels, (s - 1) // 2 remain here and s // 2 in the shortcut, which may be one row and column more.
            out = F.pad(out, mode="constant", constant_value=0, pad_width=(0, 0, 0, 0, 0, 1, 0, 1))
            out = F.slice_like(out, x, axes=(2, 3))
        if self._shared:
            rest = F.slice_axis(out, axis=1, begin=self._shared, end=None)
            out = F.concat(F.slice_axis(out, axis=1, begin=0, end=self._shared) + x, rest, dim=1)
        else:
            out = out + x
        return F.relu(out)


class DlibResNet(FrBase):
    """The residual network of dlib's face recognition (http://dlib.net/dnn_face_recognition_ex.cpp.html).

    A ResNet-34 with half the channels and 29 convolutions. Its weights are in the public domain (CC0):
    `get_model("dlib_resnet29", pretrained=True)` loads them from the package `face-recognition-models`.

    Input 150x150, crop template "dlib". 5,614,592 parameters without running statistics, 0.271 G multiply-adds. Embeddings are
    compared by their Euclidean distance; dlib regards two faces at less than 0.6 as the same person.

    dlib's scale and shift are a BatchNorm with running statistics fixed at 0 and 1. This suits training that begins with the
    weights; from scratch, other networks train better.

    Parameters
    ----------
    embedding_size : int, default 128
        Length of the embedding.
    input_crop, input_size : int, optional
        Crop the image to its central `input_crop` pixels and resize it to `input_size` pixels, at least 71. The weights fit
        every size, but have to be trained further at another one than 150.
    **kwargs
        Arguments of `gluonfr.nn.FrBase`.

    Raises
    ------
    UsageError
        The input is too small.

    Examples
    --------
    >>> DlibResNet().image_size
    (150, 150)
    """

    image_size = (150, 150)

    def __init__(
        self,
        classes: int | None = None,
        embedding_size: int = 128,
        input_crop: int | None = None,
        input_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, embedding_size, **kwargs)
        with self.name_scope():
            self.resize, inside = input_layer(input_crop, input_size, self.image_size[0])
            if inside < _SMALLEST:
                raise UsageError(f"input_size={inside} is too small: dlib's network needs at least {_SMALLEST} pixels.")
            body, before = self.features, 32
            body.add(nn.Conv2D(before, 7, 2, in_channels=3), _affine(before), nn.Activation("relu"), nn.MaxPool2D(3, 2))
            size = ((inside - 7) // 2 + 1 - 3) // 2 + 1
            for channels, down in _UNITS:
                body.add(_Unit(before, channels, down, padded=size < 3))
                before, size = channels, size // 2 if down else size
            body.add(nn.GlobalAvgPool2D(), nn.Flatten(), nn.Dense(embedding_size, use_bias=False, in_units=before))


@register_network(DlibResNet, "dlib_resnet29")
def dlib_resnet29(**kwargs: Any) -> DlibResNet:
    """Build a `DlibResNet`.

    Examples
    --------
    >>> dlib_resnet29(embedding_size=64).embedding_size
    64
    """
    return DlibResNet(**kwargs)
